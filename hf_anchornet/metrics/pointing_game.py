"""Pointing game: how often the highest-scoring word is one that humans marked as evidence."""

import evaluate

from .common import NUMBERS, POINTING, average, check_scores, check_words, describe

_INPUTS = """\
Args:
    predictions: For each document the scores of its words: finite floats, higher = more evidence.
    references: For each document the labels of its words: 1 = marked by a human, 0 = not.

Returns:
    `pointing_game`: Share of documents whose best word is marked, in [0, 1], higher is better;
        random scores reach about the share of marked words.
    `num_documents`: Number of documents in the share.
    `num_skipped`: Number of documents left out because no word is marked.

Raises:
    ValueError: A document's scores and labels differ in number, a score is not finite, a label is
        not 0 or 1, or no document has a marked word.
"""


class PointingGame(evaluate.Metric):
    """Hits / (hits + misses) of the highest-scoring word; every document has the same weight.

    The pointing accuracy of Zhang et al. (2018), with words in place of pixels and without their
    tolerance of 15 pixels. Of words with equal scores the first one counts.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, POINTING, _INPUTS, NUMBERS, NUMBERS)

    def _compute(
        self, predictions: list[list[float]], references: list[list[float]]
    ) -> dict[str, float]:
        hits = []
        for index, (scores, labels) in enumerate(zip(predictions, references, strict=True)):
            check_words(index, scores, labels)
            check_scores(index, scores)
            if any(labels):
                hits.append(labels[scores.index(max(scores))])
        return average("pointing_game", hits, references, "marked word", "document")
