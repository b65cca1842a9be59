"""How good a localizer is: accuracy on labels, agreement of its attribution with people."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .data import check_column
from .metrics.pointing_game import PointingGame
from .metrics.token_auprc import TokenAUPRC
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


def evaluate_plausibility(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    text_column: str = "text",
    spans_column: str = "spans",
) -> dict[str, float]:
    """Agreement of the attribution to the predicted label with spans that people marked.

    Units are the localizer's tokens; a token is marked if it overlaps a human span. Rows without
    spans are left out.

    Returns:
        `pointing` (the best token is marked), `token_auprc`, the same smoothed (each token scores
        the mean over its sentence), and `marked_share` (what random scores reach), in [0, 1].

    Raises:
        ValueError: if a column is missing or no row has a span.
    """
    for column in (text_column, spans_column):
        check_column(rows.column_names, column)
    rows = rows.filter(lambda row: len(row[spans_column]) > 0)
    if len(rows) == 0:
        raise ValueError(
            f"`{spans_column}` must hold spans in at least one row, got none; choose a split that "
            "people have marked."
        )
    scores, smoothed, marks = [], [], []
    views = localize(model, tokenizer, rows[text_column])
    for view, spans in zip(views, rows[spans_column], strict=True):
        attribution = view.located.tokens[:, int(view.logits.argmax())]
        scores.append(attribution)
        smoothed.append(_average_sentences(attribution, view.located))
        marks.append(_mark(view.located, spans))
    pointing, auprc = PointingGame(keep_in_memory=True), TokenAUPRC(keep_in_memory=True)
    hits = pointing.compute(predictions=scores, references=marks)
    plain = auprc.compute(predictions=scores, references=marks)
    smooth = auprc.compute(predictions=smoothed, references=marks)
    return {
        "pointing": hits["pointing_game"],
        "token_auprc": plain["token_auprc"],
        "token_auprc_smoothed": smooth["token_auprc"],
        "marked_share": float(np.mean([mark.mean() for mark in marks])),
        "num_documents": len(marks),
    }


def _mark(located: LocatedText, spans: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """1 for each token that overlaps a span, else 0: (tokens,)."""
    marked = np.zeros(len(located.starts))
    for start, end in spans:
        marked[(located.starts < end) & (located.ends > start)] = 1
    return marked


def _average_sentences(values: NDArray[np.float64], located: LocatedText) -> NDArray[np.float64]:
    """Each token's value replaced by the mean over its sentence: (tokens,)."""
    words = located.words
    firsts = [first for first, _ in words.sentences()]
    sentence = np.searchsorted(firsts, words.at(located.starts), side="right") - 1
    sums, counts = np.bincount(sentence, values), np.bincount(sentence)
    means: NDArray[np.float64] = sums[sentence] / counts[sentence]
    return means
