"""How models are trained: one dataclass, which is also the command line's options."""

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal

TRACKERS = ("tensorboard", "trackio")
POSITIVE = ("num_epochs", "batch_size", "gradient_accumulation_steps", "keep_checkpoints")
_FREE = ("output_dir", "num_workers", "checkpoint_steps", "keep_checkpoints", "resume", "log_with")


@dataclass
class TrainingOptions:
    """How to train.

    Attributes:
        output_dir: Folder for the best checkpoint and `training.json`.
        num_epochs: Passes over the training split; of a stream: how often scores are taken, after
            equal parts of `max_steps`.
        max_steps: Steps of the whole training on a stream; 0: `num_epochs` times as many as its
            rows need, if what is written about it tells how many rows it has.
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
        num_workers: Processes that decode and augment images, or read a stream and make batches of
            it, each from its own shards; 0: the training process does.
        seed: Seed of weights, order, crops, augmentation and dropout.
        checkpoint_steps: Steps between two checkpoints of the whole training state, in
            `checkpoints` in `output_dir`; 0: none. The folder is removed when training ends well.
        keep_checkpoints: How many of them are kept, the last ones.
        resume: Whether to go on from the last checkpoint; without one, training starts anew.
        log_with: Tracker of loss, learning rate and scores: "tensorboard" or "trackio"; `None`:
            none. TensorBoard's files are in `logs` in `output_dir`.
    """

    output_dir: str
    num_epochs: int = 3
    max_steps: int = 0
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
        for name in POSITIVE:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        for name in ("max_steps", "num_workers", "checkpoint_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be at least 0, got {getattr(self, name)}.")
        if self.log_with is not None:
            _check_tracker(self.log_with)

    def decisive(self) -> dict[str, Any]:
        """The options, by name, that the weights depend on: a resumed training keeps them."""
        return {name: value for name, value in asdict(self).items() if name not in _FREE}


def _check_tracker(name: str) -> None:
    """Accelerate would only warn that a tracker is missing."""
    if name not in TRACKERS:
        raise ValueError(f"`log_with` must be one of {list(TRACKERS)} or None, got {name!r}.")
    if find_spec(name) is None:
        raise ImportError(
            f"`log_with` {name!r} needs the package {name}; install it with "
            "`pip install hf-anchornet[track]`."
        )
