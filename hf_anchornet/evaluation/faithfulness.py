"""What a classifier says of an input without its best evidence and of that evidence alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the words or cells that are cut or kept, the best first: those of ERASER."""

Input = TypeVar("Input")
Predict = Callable[[Sequence[Input]], NDArray[Any]]
"""From inputs to the probabilities of their labels, (inputs, labels)."""


@dataclass(frozen=True)
class Faithfulness:
    """Probabilities of one label as the best evidence of an input is cut or kept by degrees.

    They are what the metrics take: the mean of `whole - without` is the comprehensiveness, that of
    `whole - only` the sufficiency of the input.

    Attributes:
        whole: Probability for the whole input.
        without: (bins,), float64, for the input without the best share of each of `BINS`.
        only: (bins,), float64, for the best share alone.
    """

    whole: float
    without: NDArray[np.float64]
    only: NDArray[np.float64]


@dataclass(frozen=True)
class HardFaithfulness:
    """Probabilities of one label as chosen evidence of an input is cut or kept.

    Attributes:
        whole: Probability for the whole input.
        without: For the input without the chosen evidence.
        only: For the chosen evidence alone.
    """

    whole: float
    without: float
    only: float


def count_best(size: int) -> NDArray[np.int64]:
    """How many of `size` words or cells are the best share of each of `BINS`: (bins,), int64.

    The share times `size`, rounded up: at least one. ERASER states no rounding.
    """
    # 0.07 * 100 is 7.000000000000001 in floats: one too many, were it not rounded first.
    return np.ceil(np.round(np.array(BINS) * size, 6)).astype(np.int64)


def rank_scores(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of the scores, (size,), the highest first, equal ones in their order."""
    return np.argsort(-scores.astype(np.float64), kind="stable")


def predict_degrees(
    whole: Input,
    size: int,
    change: Callable[[int], tuple[Input, Input]],
    label: int,
    predict: Predict[Input],
) -> Faithfulness:
    """Probabilities of a label at each of `BINS`, by one call of `predict`.

    Args:
        whole: The whole input.
        size: Number of its words or cells.
        change: From a number of them to the input without the best ones and with only these.
        label: Number of the label.
        predict: From inputs to probabilities.

    Raises:
        ValueError: As `predict_label` does.
    """
    # Bins of few words or cells are often of equal size: each size is predicted once.
    counts, place = np.unique(count_best(size), return_inverse=True)
    without, only = zip(*(change(count) for count in counts.tolist()), strict=True)
    probs = predict_label([whole, *without, *only], label, predict)
    changed = probs[1:].reshape(2, -1)
    return Faithfulness(float(probs[0]), changed[0][place], changed[1][place])


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
            f"{len(inputs)} inputs; return one row of probabilities for every input."
        )
    if not 0 <= label < probs.shape[1]:
        raise ValueError(
            f"`label` must be between 0 and {probs.shape[1] - 1}, got {label}; give the number of "
            "a label of `predict`."
        )
    if not np.isfinite(probs).all():
        raise ValueError("`predict` must return finite numbers, got NaN or infinity; check it.")
    return probs[:, label]
