"""What a classifier says of a text without its best words, and of these words alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.model.text_words import Words

from .faithfulness import (
    Faithfulness,
    HardFaithfulness,
    Predict,
    predict_degrees,
    predict_label,
    rank_scores,
)


def measure_words(
    words: Words, scores: NDArray[Any], label: int, predict: Predict[str]
) -> Faithfulness:
    """Probabilities of a label as the words of highest score are cut or kept by degrees.

    The changed texts of ERASER's soft scores (DeYoung et al. 2020, section 4.2), all in one call of
    `predict`. ERASER cuts tokens of its data sets, which are split at blanks, and states neither
    rounding nor order among equals; here the words of `Words` are cut, a share is rounded up, and
    of equal words the first counts as better.

    Args:
        words: The words of the text.
        scores: (words,), finite, higher = more evidence for the label.
        label: Number of the explained label.
        predict: From texts to the probabilities of their labels, (texts, labels). One of the texts
            may be empty.

    Raises:
        ValueError: The text has no words, there is not one finite score for every word, or
            `predict` does not give probabilities of the label.
    """
    values = np.asarray(scores)
    _check_words(words, "scores", values)
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise ValueError(
            f"`scores` must be finite, got {bad} for word "
            f"{np.flatnonzero(~np.isfinite(values))[0]}; give words without a score the lowest one."
        )
    ranks = rank_scores(values)

    def change(count: int) -> tuple[str, str]:
        best = np.zeros(len(words), dtype=bool)
        best[ranks[:count]] = True
        return words.join(~best), words.join(best)

    return predict_degrees(words.text, len(words), change, label, predict)


def measure_rationale(
    words: Words, mask: NDArray[np.bool_], label: int, predict: Predict[str]
) -> HardFaithfulness:
    """Probabilities of a label as chosen words are cut or kept, by one call of `predict`.

    The changed texts of ERASER's hard rationales (DeYoung et al. 2020, section 4.2, equations 1
    and 2).

    Args:
        words: The words of the text.
        mask: (words,), bool, True = chosen as evidence.
        label: See `measure_words`.
        predict: See `measure_words`.

    Raises:
        TypeError: `mask` is not bool.
        ValueError: The text has no words, there is not one value for every word, or `predict` does
            not give probabilities of the label.
    """
    chosen = np.asarray(mask)
    _check_words(words, "mask", chosen)
    if chosen.dtype != np.bool_:
        raise TypeError(f"`mask` must be bool, got {chosen.dtype}; apply a threshold to scores.")
    texts = [words.text, words.join(~chosen), words.join(chosen)]
    return HardFaithfulness(*predict_label(texts, label, predict).tolist())


def _check_words(words: Words, name: str, values: NDArray[Any]) -> None:
    if not len(words):
        raise ValueError(
            "`words` must hold at least one word, got none in a text of "
            f"{len(words.text)} characters; leave blank texts out."
        )
    if values.shape != (len(words),):
        raise ValueError(
            f"`{name}` must hold one value for every word, shape ({len(words)},), got "
            f"{values.shape}; split the text by `Words.split`."
        )
