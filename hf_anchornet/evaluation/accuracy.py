"""Accuracy, loss and macro F1 on a labelled split."""

import math
from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor, nn


@torch.no_grad()
def evaluate_accuracy(
    model: nn.Module, loader: Iterable[dict[str, Tensor]], accelerator: Accelerator
) -> dict[str, float]:
    """Accuracy in [0, 1] and mean loss over a split, over all processes.

    For multi-label targets accuracy is the share of rows with all labels correct.

    Raises:
        FloatingPointError: if the loss is not finite: then accuracy means nothing.
    """
    model.eval()
    correct, losses, count = 0, 0.0, 0
    for batch in loader:
        output, labels = model(**batch), batch["labels"]
        if labels.ndim == 1:
            hits = output.logits.argmax(dim=-1) == labels
        else:
            hits = ((output.logits > 0) == (labels > 0.5)).all(dim=-1)
        hits, loss = accelerator.gather_for_metrics((hits, output.loss.expand(len(hits))))
        correct += int(hits.sum())
        losses += float(loss.sum())
        count += len(hits)
    if not math.isfinite(losses):
        raise FloatingPointError(
            f"the loss on the validation split became {losses}; lower `learning_rate`."
        )
    return {"accuracy": correct / count, "loss": losses / count}


def score_labels(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """`accuracy` and `macro_f1`, in [0, 1].

    Accuracy is the share of rows with all labels correct; F1 is averaged over the labels that
    occur among targets or predictions.

    Args:
        logits: (rows, labels).
        targets: (rows,), int64, or, of a multi-label model, (rows, labels), 0 or 1.
    """
    if targets.ndim == 1:
        num_labels = logits.shape[1]
        found = torch.nn.functional.one_hot(logits.argmax(dim=1), num_labels).bool()
        wanted = torch.nn.functional.one_hot(targets, num_labels).bool()
    else:
        found, wanted = logits > 0, targets > 0.5
    both = (found & wanted).sum(dim=0)  # (labels,)
    either = found.sum(dim=0) + wanted.sum(dim=0)
    f1 = (2 * both / either)[either > 0]
    return {
        "accuracy": float((found == wanted).all(dim=1).double().mean()),
        "macro_f1": float(f1.double().mean()),
    }
