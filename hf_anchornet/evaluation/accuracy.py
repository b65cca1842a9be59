"""What a model says of a split: accuracy on labels, and a localizer's view of each text."""

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor, nn


@torch.no_grad()
def evaluate_accuracy(
    model: nn.Module, loader: Iterable[dict[str, Tensor]], accelerator: Accelerator
) -> dict[str, float]:
    """Accuracy in [0, 1] and mean loss over a split, over all processes.

    For multi-label targets accuracy is the share of rows with every label right.
    """
    model.eval()
    right, losses, count = 0, 0.0, 0
    for batch in loader:
        output, labels = model(**batch), batch["labels"]
        if labels.ndim == 1:
            hits = output.logits.argmax(dim=-1) == labels
        else:
            hits = ((output.logits > 0) == (labels > 0.5)).all(dim=-1)
        hits, loss = accelerator.gather_for_metrics((hits, output.loss.expand(len(hits))))
        right += int(hits.sum())
        losses += float(loss.sum())
        count += len(hits)
    return {"accuracy": right / count, "loss": losses / count}
