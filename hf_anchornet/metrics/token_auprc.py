"""Token AUPRC: how well word scores rank the words that humans marked as evidence."""

import evaluate

from .common import ERASER, NUMBERS, average, check_scores, check_words, describe

_INPUTS = """\
Args:
    predictions: For each document the scores of its words: finite floats, higher = more evidence.
    references: For each document the labels of its words: 1 = marked by a human, 0 = not.

Returns:
    `token_auprc`: Mean over documents of the average precision, in (0, 1], higher is better;
        random scores reach about the share of marked words.
    `num_documents`: Number of documents in the mean.
    `num_skipped`: Number of documents left out because no word is marked.

Raises:
    ImportError: scikit-learn is not installed.
    ValueError: A document's scores and labels differ in number, a score is not finite, a label is
        not 0 or 1, or no document has a marked word.
"""


class TokenAUPRC(evaluate.Metric):
    """Mean average precision of word scores; every document has the same weight.

    The AUPRC of ERASER (DeYoung et al. 2020, section 4.1) for soft scores, except that the area is
    the average precision, the sum over thresholds of recall gained x precision. The authors' code
    interpolates linearly between the points, which favours coarse scores. Words with equal scores
    enter together.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, ERASER, _INPUTS, NUMBERS, NUMBERS)

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
            check_words(index, scores, labels)
            check_scores(index, scores)
            if any(labels):
                precisions.append(float(average_precision_score(labels, scores)))
        return average("token_auprc", precisions, references, "marked word", "document")
