"""When a training has nothing left to gain, from the scores of its epochs."""

import logging
from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

History = Sequence[Mapping[str, float]]
"""Scores of each finished epoch: "train_loss", those of the validation split, maybe "loss"."""

RISE, LEAST_RISE = 0.05, 0.02
"""Part of a loss, and the amount, that a change exceeds if it is more than noise."""


def count_stale_epochs(history: History, metric: str) -> int:
    """Epochs since the validation metric last rose or the validation loss last fell to a new best.

    A small set often gains accuracy while its loss rises: only epochs that better neither count.

    Args:
        history: Scores of each finished epoch.
        metric: Name of the score that selects the best epoch; larger is better.
    """
    gains = [[scores[metric] for scores in history]]
    if all("loss" in scores for scores in history):
        gains.append([-scores["loss"] for scores in history])
    best = max((values.index(max(values)) for values in gains if values), default=-1)
    return len(history) - 1 - best


def describe_end(history: History, metric: str, patience: int) -> str | None:
    """The reason to end a training before its last epoch; `None`: it should go on.

    Args:
        history: See `count_stale_epochs`, as for the next.
        metric: Name of the score.
        patience: Number of stale epochs that end a training; 0: it never ends early.
    """
    if not patience or count_stale_epochs(history, metric) < patience:
        return None
    count = "1 epoch" if patience == 1 else f"{patience} epochs"
    return f"patience: for {count} neither {metric} nor validation loss was better than before"


def warn_of_overfitting(history: History) -> None:
    """Log a warning at the first epoch that overfits: the training rows are remembered.

    Its validation loss is clearly above the lowest before, its training loss clearly below the one
    of that epoch. Small changes are noise, as of a model that is still at chance or perfect.
    """
    if not all("loss" in scores for scores in history):
        return
    if not _overfits(history) or any(_overfits(history[:count]) for count in range(len(history))):
        return
    best, last = min(history, key=lambda scores: scores["loss"]), history[-1]
    logger.warning(
        "epoch %d: validation loss rose from %.3f to %.3f since epoch %d while training loss fell: "
        "the model begins to remember the training rows. The best epoch is kept. More rows help; "
        "in `anchornet train`, too, fewer epochs or stronger dropout and penalties.",
        last["epoch"],
        best["loss"],
        last["loss"],
        best["epoch"],
    )


def _overfits(history: History) -> bool:
    """Whether the last epoch does."""
    if not history:
        return False
    best, last = min(history, key=lambda scores: scores["loss"]), history[-1]
    rise = last["loss"] - best["loss"]
    fall = best["train_loss"] - last["train_loss"]
    return rise > max(LEAST_RISE, RISE * best["loss"]) and fall > RISE * best["train_loss"]
