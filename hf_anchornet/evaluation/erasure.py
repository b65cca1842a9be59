"""Probabilities of a label as the best evidence of an input is removed or kept alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the words or cells that are removed or kept, best first, as in ERASER."""

Input = TypeVar("Input")
Predict = Callable[[Sequence[Input]], NDArray[Any]]
"""From inputs to the probabilities of their labels, (inputs, labels)."""


@dataclass(frozen=True)
class ErasureProbs:
    """Probabilities of one label, as the metric `Faithfulness` takes them.

    Attributes:
        whole: Probability for the whole input.
        without: (bins,), float64, for the input without its best evidence: the best share of each
            of `BINS`, or one bin of chosen evidence.
        only: (bins,), float64, for that evidence alone.
    """

    whole: float
    without: NDArray[np.float64]
    only: NDArray[np.float64]

    def to_record(self) -> dict[str, list[float]]:
        """`without` and `only` as plain lists."""
        return {"without": self.without.tolist(), "only": self.only.tolist()}


def count_best(size: int) -> NDArray[np.int64]:
    """Number of words or cells, out of `size`, in the best share of each of `BINS`: (bins,), int64.

    The share times `size`, rounded up: at least one. ERASER does not specify the rounding.
    """
    # 0.07 * 100 is 7.000000000000001 in floats, which would be rounded up to 8.
    return np.ceil(np.round(np.array(BINS) * size, 6)).astype(np.int64)


def rank_scores(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of the scores, (size,), highest first, equal ones in their order."""
    return np.argsort(-scores.astype(np.float64), kind="stable")


def predict_bins(
    whole: Input,
    size: int,
    change: Callable[[int], tuple[Input, Input]],
    label: int,
    predict: Predict[Input],
) -> ErasureProbs:
    """Probabilities of a label at each of `BINS`, by one call of `predict`.

    Args:
        whole: The whole input.
        size: Number of its words or cells.
        change: From a number of words or cells to the input without the best ones and with only
            these.
        label: Number of the label.
        predict: From inputs to probabilities.

    Raises:
        ValueError: See `predict_label`.
    """
    # With few words or cells several bins have the same size: each size is predicted once.
    counts, place = np.unique(count_best(size), return_inverse=True)
    without, only = zip(*(change(count) for count in counts.tolist()), strict=True)
    probs = predict_label([whole, *without, *only], label, predict)
    changed = probs[1:].reshape(2, -1)
    return ErasureProbs(float(probs[0]), changed[0][place], changed[1][place])


def predict_label(
    inputs: Sequence[Input], label: int, predict: Predict[Input]
) -> NDArray[np.float64]:
    """Probability of a label for each input: (inputs,).

    Raises:
        ValueError: `predict` does not return finite numbers, (inputs, labels), or `label` is not
            the number of one of them.
    """
    probs = np.asarray(predict(inputs), dtype=np.float64)
    if probs.ndim != 2 or len(probs) != len(inputs):
        raise ValueError(
            f"`predict` must return an array of shape (inputs, labels), got {probs.shape} for "
            f"{len(inputs)} inputs; return one row of probabilities per input."
        )
    if not 0 <= label < probs.shape[1]:
        raise ValueError(
            f"`label` must be between 0 and {probs.shape[1] - 1}, got {label}; give the number of "
            "a label of `predict`."
        )
    if not np.isfinite(probs).all():
        raise ValueError("`predict` must return finite numbers, got NaN or infinity; check it.")
    return probs[:, label]
