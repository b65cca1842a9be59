"""What a model says of a split: accuracy on labels, and a localizer's view of each text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .text_localizer_anchornet import TextLocalizer
from .words_anchornet import LocatedText


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


@dataclass(frozen=True)
class Localization:
    """A localizer's view of one text.

    Attributes:
        located: The text's words and their attribution, as it is shown.
        logits: (labels,), float32.
        scales: Sizes of the spans, in its tokens, that a classifier should be given to read.
    """

    located: LocatedText
    logits: NDArray[np.float32]
    scales: Sequence[int]


def localize(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 32,
) -> Iterator[Localization]:
    """What a localizer says of each text, in order; texts of any length."""
    localizer = TextLocalizer(model, tokenizer)
    for start in range(0, len(texts), batch_size):
        batch = localizer.read(list(texts[start : start + batch_size]))
        for located, logits in zip(batch.locate(), batch.logits.cpu().numpy(), strict=True):
            yield Localization(located, logits, localizer.reading_scales)
