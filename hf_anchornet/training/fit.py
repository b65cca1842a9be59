"""Fitting of models with this package's batches, scores and folders."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import datasets
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_anchornet.data.texts import make_collator
from hf_anchornet.evaluation.accuracy import evaluate_accuracy
from hf_anchornet.files import naming_full_disk
from hf_anchornet.publishing.leftovers import refuse_other_kind

from .batches import make_text_loader
from .loop import run_training
from .options import CompleteOptions, TrainingOptions
from .streams import StreamLoader


class Processor(Protocol):
    """A tokenizer or an image processor, saved with its model."""

    def save_pretrained(self, folder: str, /) -> Any:
        """Write the processor to a folder."""


def make_accelerator(options: TrainingOptions) -> Accelerator:
    """An Accelerator with the seed set; dropout differs between processes."""
    accelerator = Accelerator(
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        log_with=options.log_with,
        project_dir=str(Path(options.output_dir, "logs")) if options.log_with else None,
    )
    set_seed(options.seed, device_specific=True)
    return accelerator


@contextmanager
def preparing_data(accelerator: Accelerator) -> Iterator[None]:
    """A context in which the main process runs first, so that the others find its cached data."""
    cache = datasets.config.HF_DATASETS_CACHE
    with accelerator.main_process_first(), naming_full_disk(cache):
        yield


def check_localizer_labels(localizer: str, labels: Sequence[str]) -> None:
    """Check that a localizer, given by folder or Hub id, has the labels of the training data.

    Raises:
        ValueError: if it has others.
    """
    known = AutoConfig.from_pretrained(localizer).id2label.values()
    if sorted(known) != sorted(labels):
        raise ValueError(
            f"`localizer` must have the labels of the dataset, {sorted(labels)}, got {localizer} "
            f"with {sorted(known)}; choose a localizer trained on these labels."
        )


def fit_text_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset | StreamLoader,
    validation_set: Dataset,
    options: CompleteOptions,
    accelerator: Accelerator,
    crop_tokens: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report of `fit_model` on texts that are tokenized, or a stream of their batches.

    Tokenized texts have columns `input_ids`, `length` and `labels`. Only training texts are cropped
    to `crop_tokens`, as `make_collator` crops them.
    """
    crop, whole = (make_collator(tokenizer.pad_token_id, size) for size in (crop_tokens, None))
    loader: DataLoader[Any] | StreamLoader
    if isinstance(train_set, StreamLoader):
        loader = train_set
    else:
        batches = accelerator.num_processes * options.gradient_accumulation_steps
        size, seed, balance = options.batch_size, options.seed, options.balance
        loader = make_text_loader(train_set, crop, size, seed, batches, balance)
    validation = make_text_loader(validation_set, whole, options.batch_size)
    return fit_model(model, tokenizer, loader, validation, options, accelerator, settings=settings)


def fit_model(
    model: PreTrainedModel,
    processor: Processor,
    train_loader: DataLoader[Any] | StreamLoader,
    validation_loader: DataLoader[Any] | Sequence[DataLoader[Any]],
    options: CompleteOptions,
    accelerator: Accelerator,
    score: Callable[[PreTrainedModel], dict[str, float]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report of a training that saves the best model with its processor in `output_dir`.

    Args:
        model: The model, on any device.
        processor: The tokenizer or image processor of its inputs.
        train_loader: Batches of the model's keyword arguments with `labels`, not yet prepared, or
            this process's batches of a stream.
        validation_loader: The same of the validation split, not yet prepared; several, if their
            batches have different shapes.
        options: Options of the training.
        accelerator: From `make_accelerator`.
        score: Further scores of the model on the validation split, next to "accuracy" and "loss".
        settings: See `run_training`.

    Returns:
        The report of `run_training`.

    Raises:
        ValueError: if `options.metric_for_best_model` is not among the scores, or
            `options.output_dir` holds a model of another type.
    """
    refuse_other_kind(Path(options.output_dir), model.config.model_type)
    if options.metric_for_best_model != "accuracy" and score is None:
        raise ValueError(
            '`metric_for_best_model` must be "accuracy" for this model, got '
            f"{options.metric_for_best_model!r}; only image localizers point at boxes."
        )
    listed = isinstance(validation_loader, Sequence)
    given = validation_loader if listed else [validation_loader]
    loaders = [accelerator.prepare(loader) for loader in given]

    def evaluate(prepared: nn.Module) -> dict[str, float]:
        scores = evaluate_accuracy(prepared, chain(*loaders), accelerator)
        return scores | (score(accelerator.unwrap_model(prepared)) if score else {})

    save = partial(save_with_processor, processor)
    return run_training(model, train_loader, evaluate, options, accelerator, save, settings)


def save_with_processor(processor: Processor, model: PreTrainedModel, folder: str) -> None:
    """Write a model and the processor of its inputs to a folder."""
    model.save_pretrained(folder)
    if not isinstance(model, PreTrainedModel):  # adapters, which leave the config out
        model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
