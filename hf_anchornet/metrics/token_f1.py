"""Token F1: how well selected words match the words that humans marked as evidence."""

import evaluate
import numpy as np
from numpy.typing import NDArray

from .common import ERASER, NUMBERS, check_binary, check_words, describe, require_marked

_INPUTS = """\
Args:
    predictions: For each document its words: 1 = selected as evidence, 0 = not.
    references: For each document the labels of its words: 1 = marked by a human, 0 = not.

Returns:
    `token_f1`: Mean F1 over documents, in [0, 1], higher is better. A document with words on one
        side only has F1 0.
    `precision`: Mean over the same documents of the share of selected words that are marked, in
        [0, 1]; 0 where no word is selected.
    `recall`: Mean over the same documents of the share of marked words that are selected, in
        [0, 1]; 0 where no word is marked.
    `micro_f1`, `micro_precision`, `micro_recall`: The same over the pooled words of all documents.
    `num_documents`: Number of documents in the means.
    `num_skipped`: Number of documents left out because no word is selected or marked.

Raises:
    ValueError: A document's two sides differ in length, a value is not 0 or 1, or no document has
        a marked word.
"""


class TokenF1(evaluate.Metric):
    """Mean F1 of selected words; every document has the same weight.

    The token F1 of ERASER (DeYoung et al. 2020, section 4.1) for hard rationales, as in
    `score_hard_rationale_predictions` of the authors' code on single tokens: `token_f1` is its
    "instance_macro", which papers that use the benchmark report as token F1, `micro_f1` its
    "instance_micro". That code also ignores documents without a word on either side. It divides
    by zero where no document has a selected word; here all scores are 0 then.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, ERASER, _INPUTS, NUMBERS, NUMBERS)

    def _compute(
        self, predictions: list[list[float]], references: list[list[float]]
    ) -> dict[str, float]:
        counts = []
        for index, (selected, marked) in enumerate(zip(predictions, references, strict=True)):
            check_words(index, selected, marked)
            check_binary("predictions", index, selected)
            if any(selected) or any(marked):
                both = sum(a * b for a, b in zip(selected, marked, strict=True))
                counts.append([both, sum(selected), sum(marked)])
        table = np.array(counts, dtype=np.float64).reshape(-1, 3)
        require_marked(bool(table[:, 2].any()), references, "marked word", "document")
        precision, recall, f1 = _scores(table).mean(axis=1).tolist()
        micro_precision, micro_recall, micro_f1 = _scores(table.sum(axis=0)).tolist()
        return {
            "token_f1": f1,
            "precision": precision,
            "recall": recall,
            "micro_f1": micro_f1,
            "micro_precision": micro_precision,
            "micro_recall": micro_recall,
            "num_documents": len(table),
            "num_skipped": len(references) - len(table),
        }


def _scores(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision, recall and F1, (3, ...), from words on both sides, selected, marked: (..., 3)."""
    both, selected, marked = np.moveaxis(counts, -1, 0)
    return np.stack(
        [
            both / np.maximum(selected, 1),
            both / np.maximum(marked, 1),
            2 * both / (selected + marked),
        ]
    )
