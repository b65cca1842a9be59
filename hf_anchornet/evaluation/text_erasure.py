"""Probabilities of a label as the best words of a text are removed or kept alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.model.text_words import Words

from .erasure import ErasureProbs, Predict, predict_bins, predict_label, rank_scores


def erase_words(
    words: Words, scores: NDArray[Any], label: int, predict: Predict[str]
) -> ErasureProbs:
    """Probabilities of a label as the highest-scoring words are removed or kept, bin by bin.

    The changed texts of ERASER's soft scores (DeYoung et al. 2020, section 4.2), all in one call of
    `predict`. ERASER removes white-space tokens and specifies neither rounding nor the order of
    ties; here the words of `Words` are removed, a share is rounded up, and ties are ranked in
    reading order.

    Args:
        words: The words of the text.
        scores: (words,), finite, higher = more evidence for the label.
        label: Number of the explained label.
        predict: From texts, one of which may be empty, to the probabilities of their labels,
            (texts, labels).

    Raises:
        ValueError: The text has no words, there is not one finite score per word, or `predict` does
            not give probabilities of the label.
    """
    values = np.asarray(scores)
    _check_words(words, "scores", values)
    if not np.isfinite(values).all():
        word = np.flatnonzero(~np.isfinite(values))[0]
        raise ValueError(
            f"`scores` must be finite, got {values[word]} for word {word}; give words without a "
            "score the lowest one."
        )
    ranks = rank_scores(values)

    def change(count: int) -> tuple[str, str]:
        best = np.zeros(len(words), dtype=bool)
        best[ranks[:count]] = True
        return words.join(~best), words.join(best)

    return predict_bins(words.text, len(words), change, label, predict)


def erase_rationale(
    words: Words, mask: NDArray[np.bool_], label: int, predict: Predict[str]
) -> ErasureProbs:
    """Probabilities of a label as selected words are removed or kept: one bin.

    The changed texts of ERASER's hard rationales (DeYoung et al. 2020, section 4.2, equations 1
    and 2), in one call of `predict`.

    Args:
        words: The words of the text.
        mask: (words,), bool, True = selected as evidence.
        label: See `erase_words`.
        predict: See `erase_words`.

    Raises:
        TypeError: `mask` is not bool.
        ValueError: The text has no words, there is not one value per word, or `predict` does not
            give probabilities of the label.
    """
    selected = np.asarray(mask)
    _check_words(words, "mask", selected)
    if selected.dtype != np.bool_:
        raise TypeError(f"`mask` must be bool, got {selected.dtype}; apply a threshold to scores.")
    texts = [words.text, words.join(~selected), words.join(selected)]
    probs = predict_label(texts, label, predict)
    return ErasureProbs(float(probs[0]), probs[1:2], probs[2:])


def _check_words(words: Words, name: str, values: NDArray[Any]) -> None:
    if not len(words):
        raise ValueError(
            "`words` must hold at least one word, got none in a text of "
            f"{len(words.text)} characters; leave blank texts out."
        )
    if values.shape != (len(words),):
        raise ValueError(
            f"`{name}` must hold one value per word, shape ({len(words)},), got {values.shape}; "
            "split the text by `Words.split`."
        )
