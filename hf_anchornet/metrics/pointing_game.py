"""Pointing game: how often the word of highest score is one that humans marked as evidence."""

import math

import datasets
import evaluate

_CITATION = """\
@article{zhang-etal-2018-excitation,
    title = {Top-Down Neural Attention by Excitation Backprop},
    author = {Zhang, Jianming and Bargal, Sarah Adel and Lin, Zhe and Brandt, Jonathan and
              Shen, Xiaohui and Sclaroff, Stan},
    journal = {International Journal of Computer Vision},
    volume = {126},
    year = {2018},
}
"""

_INPUTS = """\
Args:
    predictions: For every document the scores of its words: finite floats, higher = more evidence.
    references: For every document the labels of its words: 1 = marked by a human, 0 = not.

Returns:
    `pointing_game`: Share of documents whose best word is marked, in [0, 1], higher is better;
        scores that know nothing reach about the share of marked words.
    `num_documents`: Number of documents in the share.
    `num_skipped`: Number of documents left out, because no word is marked.

Raises:
    ValueError: A document's scores and labels differ in number, a score is not finite, a label is
        neither 0 nor 1, or no document has a marked word.
"""


class PointingGame(evaluate.Metric):
    """Hits / (hits + misses) of the word with the highest score, documents counting alike.

    The pointing accuracy of Zhang et al. (2018), with words in place of pixels and without their
    tolerance of 15 pixels. Of several best words the first one counts.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    # An integer type would silently cut a label of 0.5 down to 0.
                    "references": datasets.List(datasets.Value("float64")),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[float]], references: list[list[float]]
    ) -> dict[str, float]:
        hits = []
        for index, (scores, labels) in enumerate(zip(predictions, references, strict=True)):
            _check_document(index, scores, labels)
            if any(labels):
                hits.append(labels[scores.index(max(scores))])
        if not hits:
            raise ValueError(
                "`references` must mark a word in at least one document, "
                f"got {len(references)} documents without any; check the label column."
            )
        return {
            "pointing_game": sum(hits) / len(hits),
            "num_documents": len(hits),
            "num_skipped": len(references) - len(hits),
        }


def _check_document(index: int, scores: list[float], labels: list[float]) -> None:
    if len(scores) != len(labels):
        raise ValueError(
            "`predictions` and `references` must hold one value for every word, got "
            f"{len(scores)} scores and {len(labels)} labels in document {index}; "
            "split both into the same words."
        )
    for score, label in zip(scores, labels, strict=True):
        if score is None or not math.isfinite(score):
            raise ValueError(
                f"`predictions` must be finite, got {score} in document {index}; "
                "give words without a score the lowest one."
            )
        if label not in (0, 1):
            raise ValueError(
                f"`references` must be 0 or 1, got {label} in document {index}; "
                "apply a threshold to graded labels."
            )
