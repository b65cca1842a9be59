"""Train any classifier here: batches, scores and what is saved; the loop is `training_loop`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_anchornet.data.texts import make_collator
from hf_anchornet.evaluation.accuracy import evaluate_accuracy

from .batches import make_loader
from .loop import train
from .options import TrainingOptions
from .streams import StreamLoader


class Processor(Protocol):
    """What makes a model's inputs and is saved with it: a tokenizer or an image processor."""

    def save_pretrained(self, folder: str, /) -> Any:
        """Write it to a folder."""


def make_accelerator(options: TrainingOptions) -> Accelerator:
    """An Accelerator with the seed set; every process draws dropout of its own."""
    accelerator = Accelerator(
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        log_with=options.log_with,
        project_dir=str(Path(options.output_dir, "logs")) if options.log_with else None,
    )
    set_seed(options.seed, device_specific=True)
    return accelerator


def train_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset | StreamLoader,
    validation_set: Dataset,
    options: TrainingOptions,
    accelerator: Accelerator,
    crop_tokens: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a text classifier and save the best checkpoint with its tokenizer in `output_dir`.

    Args:
        model: The model, on any device.
        tokenizer: What made the tokens of both sets.
        train_set: Columns `input_ids`, `length` and `labels`; or batches of a stream.
        validation_set: The same columns.
        options: How to train.
        accelerator: From `make_accelerator`.
        crop_tokens: See `make_collator`, in training only.
        settings: See `train`.

    Returns:
        The report of `train`.
    """
    crop, whole = (make_collator(tokenizer.pad_token_id, size) for size in (crop_tokens, None))
    train_loader: DataLoader[Any] | StreamLoader
    if isinstance(train_set, StreamLoader):
        train_loader = train_set
    else:
        batches = accelerator.num_processes * options.gradient_accumulation_steps
        train_loader = make_loader(train_set, crop, options.batch_size, options.seed, batches)
    loaders = train_loader, make_loader(validation_set, whole, options.batch_size)
    return train_on_batches(model, tokenizer, *loaders, options, accelerator, settings=settings)


def train_on_batches(
    model: PreTrainedModel,
    processor: Processor,
    train_loader: DataLoader[Any] | StreamLoader,
    validation_loader: DataLoader[Any],
    options: TrainingOptions,
    accelerator: Accelerator,
    score: Callable[[PreTrainedModel], dict[str, float]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a classifier and save the best checkpoint with its processor in `output_dir`.

    Args:
        model: The model, on any device.
        processor: What made its inputs.
        train_loader: Batches of the model's keyword arguments, with `labels`, not yet prepared, or
            those of this process of a stream.
        validation_loader: The same, not yet prepared, of the validation split.
        options: How to train.
        accelerator: From `make_accelerator`.
        score: More scores of the model on the validation split, next to "accuracy" and "loss".
        settings: See `train`.

    Returns:
        The report of `train`.

    Raises:
        ValueError: if `options.metric_for_best_model` is not among the scores.
    """
    if options.metric_for_best_model != "accuracy" and score is None:
        raise ValueError(
            '`metric_for_best_model` must be "accuracy" for this model, got '
            f"{options.metric_for_best_model!r}; only image localizers point at boxes."
        )
    validation_loader = accelerator.prepare(validation_loader)

    def evaluate(prepared: nn.Module) -> dict[str, float]:
        scores = evaluate_accuracy(prepared, validation_loader, accelerator)
        return scores | (score(accelerator.unwrap_model(prepared)) if score else {})

    def save(best: PreTrainedModel, folder: str) -> None:
        best.save_pretrained(folder)
        processor.save_pretrained(folder)

    return train(model, train_loader, evaluate, options, accelerator, save, settings)
