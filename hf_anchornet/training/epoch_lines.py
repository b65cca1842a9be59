"""What a training prints: one line an epoch, and a summary at its end."""

from collections.abc import Mapping, Sequence
from typing import Any


def describe_epoch(history: Sequence[Mapping[str, float]], metric: str, num_epochs: int) -> str:
    """The last epoch: losses, scores of the validation split, and the best epoch so far.

    Args:
        history: Scores of each finished epoch.
        metric: Name of the score that selects the best epoch.
        num_epochs: Most epochs of the training.
    """
    last, best = history[-1], max(history, key=lambda scores: scores[metric])
    names = [name for name in last if name not in ("epoch", "train_loss", "loss")]
    parts = [f"training loss {last['train_loss']:.4f}"]
    parts += [f"validation loss {last['loss']:.4f}"] if "loss" in last else []
    parts += [f"{name} {last[name]:.4f}" for name in names]
    where = "now" if best is last else f"in epoch {best['epoch']:.0f}"
    return (
        f"epoch {last['epoch']:.0f} of {num_epochs}: {', '.join(parts)}; "
        f"best {metric} {best[metric]:.4f} {where}"
    )


def summarize_training(report: Mapping[str, Any]) -> str:
    """The folder, the score of its model, of how many rows, and why the training ended."""
    options, data, best = report["options"], report["data"], report["best"]
    metric = options["metric_for_best_model"]
    count = data.get("num_validation_rows")
    rows = f"{count:,} rows of " if count else ""
    linear = report.get("linear_ngrams") or {}
    what = ""
    if linear.get("weight"):
        alone = not linear["learned_weight"]
        what = " of its n-grams alone" if alone else " with a linear model of its n-grams"
    return (
        f"saved {options['output_dir']}: {metric} {best[metric]:.4f}{what} on {rows}split "
        f"{data['validation_split']}, best of epoch {best['epoch']} of "
        f"{len(report['history'])} ({report['ended']['reason']})"
    )
