"""The training loop: Accelerate, in small functions. The same loop trains every model here."""

import json
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import LengthGroupedSampler

from .cards import TRAINING_FILE
from .data import make_collator
from .evaluation import evaluate_accuracy

logger = logging.getLogger(__name__)

Collator = Callable[[list[dict[str, Any]]], dict[str, Tensor]]


class Processor(Protocol):
    """What makes a model's inputs and is saved with it: a tokenizer or an image processor."""

    def save_pretrained(self, folder: str, /) -> Any:
        """Write it to a folder."""


@dataclass
class TrainingOptions:
    """How to train.

    Attributes:
        output_dir: Folder for the best checkpoint and `training.json`.
        num_epochs: Passes over the training split.
        batch_size: Texts or images a step and process.
        learning_rate: Peak rate of everything that is not a table; falls linearly to 0.
        embedding_learning_rate: Peak rate of the embedding table.
        ngram_learning_rate: Peak rate of the n-gram tables, whose entries are scores, of the size
            of logits times the number of branches.
        weight_decay: Decoupled decay of the matrices that are not tables.
        warmup_ratio: Share of the steps in which the rates rise from 0.
        max_grad_norm: Gradients are clipped to this norm.
        gradient_accumulation_steps: Batches a step.
        mixed_precision: "no", "bf16" or "fp16".
        metric_for_best_model: What decides between epochs, on the validation split: "accuracy", or
            of image localizers "pointing", see `measure_pointing`.
        num_workers: Processes that decode and augment images; 0: the training process does.
        seed: Seed of weights, order and dropout.
    """

    output_dir: str
    num_epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 2e-3
    embedding_learning_rate: float = 5e-4
    ngram_learning_rate: float = 0.5
    weight_decay: float = 0.01
    warmup_ratio: float = 0.05
    max_grad_norm: float = 1.0
    gradient_accumulation_steps: int = 1
    mixed_precision: str = "no"
    metric_for_best_model: Literal["accuracy", "pointing"] = "accuracy"
    num_workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if self.metric_for_best_model not in ("accuracy", "pointing"):
            raise ValueError(
                '`metric_for_best_model` must be "accuracy" or "pointing", got '
                f"{self.metric_for_best_model!r}."
            )
        for name in ("num_epochs", "batch_size", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.num_workers < 0:
            raise ValueError(f"`num_workers` must be at least 0, got {self.num_workers}.")


def make_accelerator(options: TrainingOptions) -> Accelerator:
    """An Accelerator with the seed set; every process draws dropout and crops of its own."""
    accelerator = Accelerator(
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
    )
    set_seed(options.seed, device_specific=True)
    return accelerator


def make_loader(
    rows: Dataset, collate: Collator, batch_size: int, seed: int | None = None
) -> DataLoader[dict[str, Tensor]]:
    """Batches of texts of similar length; `seed`: shuffled, `None`: from short to long."""
    lengths = list(rows["length"])
    sampler: Iterable[int] = sorted(range(len(lengths)), key=lengths.__getitem__)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        sampler = LengthGroupedSampler(batch_size, lengths=lengths, generator=generator)
    return DataLoader(rows, batch_size=batch_size, sampler=sampler, collate_fn=collate)


def group_parameters(model: nn.Module, options: TrainingOptions) -> list[dict[str, Any]]:
    """Parameter groups with their own learning rate and decay."""
    rates = {
        "embeddings": (options.embedding_learning_rate, 0.0),
        "ngrams": (options.ngram_learning_rate, 0.0),
        "vectors": (options.learning_rate, 0.0),  # biases and normalisations
        "matrices": (options.learning_rate, options.weight_decay),
    }
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        table = next((part for part in name.split(".") if part in ("embeddings", "ngrams")), None)
        groups[table or ("vectors" if parameter.ndim == 1 else "matrices")].append(parameter)
    return [
        {"params": groups[name], "lr": rate, "weight_decay": decay}
        for name, (rate, decay) in rates.items()
        if groups[name]
    ]


def train_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset,
    validation_set: Dataset,
    options: TrainingOptions,
    accelerator: Accelerator,
    crop_tokens: int | None = None,
) -> dict[str, Any]:
    """Train a text classifier and save the best checkpoint with its tokenizer in `output_dir`.

    Args:
        model: The model, on any device.
        tokenizer: What made the tokens of both sets.
        train_set: Columns `input_ids`, `length` and `labels`.
        validation_set: The same.
        options: How to train.
        accelerator: From `make_accelerator`.
        crop_tokens: See `make_collator`, in training only.

    Returns:
        The report of `train`.
    """
    crop, whole = (make_collator(tokenizer.pad_token_id, size) for size in (crop_tokens, None))
    train_loader = make_loader(train_set, crop, options.batch_size, options.seed)
    validation_loader = make_loader(validation_set, whole, options.batch_size)
    return train_on_batches(model, tokenizer, train_loader, validation_loader, options, accelerator)


def train_on_batches(
    model: PreTrainedModel,
    processor: Processor,
    train_loader: DataLoader[Any],
    validation_loader: DataLoader[Any],
    options: TrainingOptions,
    accelerator: Accelerator,
    score: Callable[[PreTrainedModel], dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Train a classifier and save the best checkpoint with its processor in `output_dir`.

    Args:
        model: The model, on any device.
        processor: What made its inputs.
        train_loader: Batches of the model's keyword arguments, with `labels`, not yet prepared.
        validation_loader: The same, of the validation split.
        options: How to train.
        accelerator: From `make_accelerator`.
        score: More scores of the model on the validation split, next to "accuracy" and "loss".

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

    return train(model, train_loader, evaluate, options, accelerator, save)


def train(
    model: PreTrainedModel,
    loader: DataLoader[Any],
    evaluate: Callable[[nn.Module], dict[str, float]],
    options: TrainingOptions,
    accelerator: Accelerator,
    save: Callable[[PreTrainedModel, str], None],
) -> dict[str, Any]:
    """Train, evaluate after each epoch, keep the best checkpoint.

    Args:
        model: The model, on any device.
        loader: Training batches, not yet prepared.
        evaluate: Scores of the prepared model on the validation split, with
            `options.metric_for_best_model`.
        options: How to train.
        accelerator: From `make_accelerator`.
        save: Writes the model, and what belongs to it, to a folder.

    Returns:
        What was done: the options, the history of every epoch and the best one; also written to
        `training.json` in `options.output_dir`.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    optimizer = torch.optim.AdamW(group_parameters(model, options), betas=(0.9, 0.98))
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    # Accelerate steps the schedule once a process: count the steps of all of them.
    steps = math.ceil(len(loader) / options.gradient_accumulation_steps) * options.num_epochs
    steps *= accelerator.num_processes
    schedule = accelerator.prepare(
        get_linear_schedule_with_warmup(optimizer, int(options.warmup_ratio * steps), steps)
    )
    metric = options.metric_for_best_model
    history: list[dict[str, float]] = []
    best = -1.0
    for epoch in range(1, options.num_epochs + 1):
        loss = _train_epoch(model, loader, optimizer, schedule, options, accelerator, epoch)
        scores = evaluate(model)
        history.append({"epoch": epoch, "train_loss": loss, **scores})
        logger.info("epoch %d: %s", epoch, history[-1])
        if accelerator.is_main_process and scores[metric] > best:
            save(accelerator.unwrap_model(model), options.output_dir)
        best = max(best, scores[metric])
    report = {
        "options": asdict(options),
        "num_processes": accelerator.num_processes,
        "history": history,
        "best": max(history, key=lambda scores: scores[metric]),
    }
    if accelerator.is_main_process:
        write_json(Path(options.output_dir) / TRAINING_FILE, report)
    accelerator.wait_for_everyone()
    return report


def _train_epoch(
    model: nn.Module,
    loader: Any,
    optimizer: Any,
    schedule: Any,
    options: TrainingOptions,
    accelerator: Accelerator,
    epoch: int,
) -> float:
    """One pass over the training split; its mean loss over all processes."""
    model.train()
    total = torch.zeros((), device=accelerator.device)
    progress = tqdm(
        loader, desc=f"epoch {epoch}", disable=not accelerator.is_main_process, mininterval=5
    )
    for batch in progress:
        with accelerator.accumulate(model):
            loss = model(**batch).loss
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss became {loss.item()} in epoch {epoch}; lower `learning_rate` "
                    f"({options.learning_rate})."
                )
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), options.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        total += loss.detach()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return float(accelerator.reduce(total / len(loader), "mean"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
