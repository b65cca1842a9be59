"""Token AUPRC: how well word scores rank the words that humans marked as evidence."""

import math

import datasets
import evaluate

_CITATION = """\
@inproceedings{deyoung-etal-2020-eraser,
    title = {{ERASER}: A Benchmark to Evaluate Rationalized {NLP} Models},
    author = {DeYoung, Jay and Jain, Sarthak and Rajani, Nazneen Fatema and Lehman, Eric and
              Xiong, Caiming and Socher, Richard and Wallace, Byron C.},
    booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
                 Linguistics},
    year = {2020},
}
"""

_INPUTS = """\
Args:
    predictions: For every document the scores of its words: finite floats, higher = more evidence.
    references: For every document the labels of its words: 1 = marked by a human, 0 = not.

Returns:
    `token_auprc`: Mean over documents of the average precision, in (0, 1], higher is better;
        scores that know nothing reach about the share of marked words.
    `num_documents`: Number of documents in the mean.
    `num_skipped`: Number of documents left out, because no word is marked.

Raises:
    ImportError: scikit-learn is not installed.
    ValueError: A document's scores and labels differ in number, a score is not finite, a label is
        neither 0 nor 1, or no document has a marked word.
"""


class TokenAUPRC(evaluate.Metric):
    """Mean average precision of word scores, documents counting alike.

    The AUPRC of ERASER (DeYoung et al. 2020, section 4.1) for soft scores, except that the area is
    the average precision, the sum over thresholds of recall gained x precision: the authors' code
    draws straight lines between the points, which flatters coarse scores. Words of equal score
    enter together.
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
        try:
            from sklearn.metrics import average_precision_score
        except ImportError as error:
            raise ImportError(
                "`TokenAUPRC` needs scikit-learn; run `pip install 'hf-anchornet[eval]'`."
            ) from error
        precisions = []
        for index, (scores, labels) in enumerate(zip(predictions, references, strict=True)):
            _check_document(index, scores, labels)
            if any(labels):
                precisions.append(float(average_precision_score(labels, scores)))
        if not precisions:
            raise ValueError(
                "`references` must mark a word in at least one document, "
                f"got {len(references)} documents without any; check the label column."
            )
        return {
            "token_auprc": sum(precisions) / len(precisions),
            "num_documents": len(precisions),
            "num_skipped": len(references) - len(precisions),
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
