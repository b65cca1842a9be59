"""Expected calibration error: how far a classifier's confidence is from its accuracy."""

import evaluate
import numpy as np

from .common import NUMBER, NUMBERS, describe, require_examples

_CITATION = """\
@inproceedings{guo-etal-2017-calibration,
    title = {On Calibration of Modern Neural Networks},
    author = {Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.},
    booktitle = {Proceedings of the 34th International Conference on Machine Learning},
    year = {2017},
}
"""

_INPUTS = """\
Args:
    predictions: For each example the probabilities of all labels: numbers in [0, 1] that sum to 1.
    references: For each example the number of its true label, from 0.
    num_bins: Number of bins of equal width (default 15).

Returns:
    `expected_calibration_error`: Mean over examples of the gap between mean confidence and
        accuracy of the example's bin, in [0, 1], lower is better.
    `accuracy`: Share of examples whose most probable label is the true one, in [0, 1].
    `confidence`: Mean probability of the most probable label, in (0, 1].
    `num_examples`: Number of examples.

Raises:
    ValueError: A row is not probabilities that sum to 1 (within 0.001), rows differ in length,
        a reference is not the number of a label, `num_bins` is below 1, or there are no examples.
"""


class ExpectedCalibrationError(evaluate.Metric):
    """Mean gap between confidence and accuracy over bins of similar confidence.

    Guo et al. (2017), equation 3: confidence is the probability of the most probable label, bins
    `((i - 1) / num_bins, i / num_bins]`, weighted by their number of examples. Of equally
    probable labels the first one counts.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, _CITATION, _INPUTS, NUMBERS, NUMBER)

    def _compute(
        self, predictions: list[list[float]], references: list[float], num_bins: int = 15
    ) -> dict[str, float]:
        if num_bins < 1:
            raise ValueError(f"`num_bins` must be at least 1, got {num_bins}; try 15.")
        _check_examples(predictions, references)
        probs = np.array(predictions)  # (examples, labels)
        confidence = probs.max(axis=1)
        hits = probs.argmax(axis=1) == np.array(references)
        bins = np.digitize(confidence, np.linspace(0, 1, num_bins + 1)[1:-1], right=True)
        # |sum of hits - sum of confidence| of a bin is its gap times its number of examples.
        gaps = np.bincount(bins, weights=hits - confidence, minlength=num_bins)
        return {
            "expected_calibration_error": float(np.abs(gaps).sum() / len(hits)),
            "accuracy": float(hits.mean()),
            "confidence": float(confidence.mean()),
            "num_examples": len(hits),
        }


def _check_examples(predictions: list[list[float]], references: list[float]) -> None:
    require_examples(references, "example")
    for index, (probs, label) in enumerate(zip(predictions, references, strict=True)):
        valid = bool(probs) and all(prob is not None and 0 <= prob <= 1 for prob in probs)
        if not valid or abs(sum(probs) - 1) > 1e-3:
            raise ValueError(
                f"`predictions` must be probabilities with sum 1, got {probs} for example {index}; "
                "take the softmax of logits."
            )
        if len(probs) != len(predictions[0]):
            raise ValueError(
                f"`predictions` must hold one probability per label, got {len(probs)} for "
                f"example {index} and {len(predictions[0])} for example 0; keep all labels."
            )
        if label not in range(len(probs)):
            raise ValueError(
                f"`references` must be numbers of labels from 0 to {len(probs) - 1}, got {label} "
                f"for example {index}; convert names to numbers."
            )
