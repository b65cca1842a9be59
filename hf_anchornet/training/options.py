"""Options of the training loop, which are also options of the command line."""

import math
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

TRACKERS = ("tensorboard", "trackio")
PRECISIONS = ("no", "bf16", "fp16", "fp8")
POSITIVE = ("num_epochs", "batch_size", "gradient_accumulation_steps", "keep_checkpoints")
RATES = ("learning_rate", "embedding_learning_rate", "ngram_learning_rate")
NOT_NEGATIVE = (
    *("max_steps", "patience", "num_workers", "checkpoint_steps"),
    *(*RATES, "weight_decay", "warmup_ratio", "max_grad_norm"),
)
_FREE = ("output_dir", "num_workers", "checkpoint_steps", "keep_checkpoints", "resume", "log_with")


def check_seed(seed: int) -> None:
    """Raise a `ValueError` unless the generators of all libraries take the seed."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be in [0, 2**32), got {seed}; choose another.")


@dataclass
class TrainingOptions:
    """Options of the training loop.

    Attributes:
        output_dir: Folder for the best model, its card and the report `training.json`.
        num_epochs: Number of passes over the training split; the model is scored after each and
            the best one is kept. On a stream: number of equal parts of `max_steps`. By default 3,
            or more for a text localizer with fewer than 20,000 rows, an image localizer or a new
            image classifier with fewer than 50,000, a pretrained one with fewer than 10,000.
        max_steps: Number of optimizer steps on a stream; 0: as many as `num_epochs` passes take,
            if the dataset states how many rows it has.
        patience: Number of epochs in a row with neither a better `metric_for_best_model` nor a
            lower validation loss after which training ends; 0: never. By default 0, or more for a
            text localizer with fewer than 20,000 rows.
        balance: Draw every class equally often, rows of rare classes several times an epoch. An
            epoch has as many rows as without it.
        batch_size: Inputs per forward pass and process. Larger takes more memory; a step sees
            `batch_size` x `gradient_accumulation_steps` x processes of them. By default 32, or less
            for a text localizer with fewer than 20,000 rows, or images that are fewer than 10,000;
            16 for a classifier that starts from a checkpoint.
        learning_rate: Peak learning rate of all weights except embeddings and n-grams; it falls
            linearly to 0. Larger learns faster but may diverge. By default 0.002, or 0.00005 for a
            classifier that starts from a checkpoint, 0.001 if that has batch normalisation.
        embedding_learning_rate: Peak learning rate of the embedding table. By default 0.0005, or
            0.00005 for a classifier that starts from a checkpoint.
        ngram_learning_rate: Peak learning rate of the n-gram tables. It is large because their
            entries are scores on the scale of logits times the number of branches. By default 0.5.
        weight_decay: AdamW's decay of weight matrices, embeddings and n-grams excepted. Larger
            regularises more.
        warmup_ratio: Share of the steps, in [0, 1], over which learning rates rise from 0.
            By default 0.05, or 0.1 for a classifier that starts from a checkpoint.
        max_grad_norm: Largest norm of the gradient; longer gradients are scaled down to it. 0: they
            stay as they are.
        gradient_accumulation_steps: Batches per optimizer step. Larger imitates a larger batch in
            the same memory.
        mixed_precision: Precision of the forward pass: "no" (float32), "bf16" or "fp16".
        metric_for_best_model: Validation score that selects the best epoch: "accuracy", or
            "pointing" for image localizers: the share of images whose best patch has its centre in
            a box of `boxes_column`.
        num_workers: Worker processes that decode images or read a stream, at most one per shard
            of it; 0: the training process does it. More helps if the accelerator waits for data.
        seed: Seed of weights, order, crops, augmentation and dropout.
        checkpoint_steps: Steps between checkpoints of the whole training state, from which
            `resume` continues; 0: no checkpoints. They are deleted when training ends.
        keep_checkpoints: Number of latest checkpoints to keep.
        resume: Continue from the last checkpoint in `output_dir`; without one, start anew.
        log_with: Tracker of loss, learning rate and scores: "tensorboard" (files in `logs` in
            `output_dir`) or "trackio".
    """

    output_dir: str
    num_epochs: int | None = None
    max_steps: int = 0
    patience: int | None = None
    balance: bool = False
    batch_size: int | None = None
    learning_rate: float | None = None
    embedding_learning_rate: float | None = None
    ngram_learning_rate: float | None = None
    weight_decay: float = 0.01
    warmup_ratio: float | None = None
    max_grad_norm: float = 1.0
    gradient_accumulation_steps: int = 1
    mixed_precision: str = "no"
    metric_for_best_model: Literal["accuracy", "pointing"] = "accuracy"
    num_workers: int = 0
    seed: int = 0
    checkpoint_steps: int = 0
    keep_checkpoints: int = 2
    resume: bool = False
    log_with: str | None = None

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if self.metric_for_best_model not in ("accuracy", "pointing"):
            raise ValueError(
                '`metric_for_best_model` must be "accuracy" or "pointing", got '
                f"{self.metric_for_best_model!r}."
            )
        for least, names in ((1, POSITIVE), (0, NOT_NEGATIVE)):
            for name in names:
                value = getattr(self, name)
                if value is not None and not least <= value < math.inf:
                    raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if self.mixed_precision not in PRECISIONS:
            raise ValueError(
                f"`mixed_precision` must be one of {', '.join(PRECISIONS)}, got "
                f"{self.mixed_precision!r}; choose one."
            )
        check_seed(self.seed)
        if self.warmup_ratio is not None and self.warmup_ratio > 1:
            raise ValueError(
                f"`warmup_ratio` must be at most 1, got {self.warmup_ratio}; it is a share of all "
                "steps."
            )
        if Path(self.output_dir).is_file():
            raise ValueError(
                f"`output_dir` must be a folder, got the file {self.output_dir}; choose another."
            )
        if self.log_with is not None:
            _check_tracker(self.log_with)

    def decisive(self) -> dict[str, Any]:
        """The options that decide the weights, by name; a resumed training must repeat them."""
        return {name: value for name, value in asdict(self).items() if name not in _FREE}


@dataclass(kw_only=True)
class CompleteOptions(TrainingOptions):
    """Training options of which none is left to choose; see `TrainingOptions` for what they mean.

    `complete_options` of `defaults.py` makes them.
    """

    num_epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    embedding_learning_rate: float
    ngram_learning_rate: float
    warmup_ratio: float


def _check_tracker(name: str) -> None:
    """Raise if a tracker is unknown or not installed; Accelerate would only warn."""
    if name not in TRACKERS:
        raise ValueError(f"`log_with` must be one of {list(TRACKERS)} or None, got {name!r}.")
    if find_spec(name) is None:
        raise ImportError(
            f"`log_with` {name!r} needs the package {name}; install it with "
            "`pip install hf-anchornet[track]`."
        )
