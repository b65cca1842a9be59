"""Explainers that share out the answer of any classifier among parts that a localizer proposes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_anchornet.model.text_words import Words

from .classifier_explanation import ALONE, IN_CONTEXT, ExplainOptions
from .image_subject import ImageSubject
from .proposals import PASSAGES, PATCHES, SENTENCES, SPANS
from .subject import Subject
from .text_subject import TextSubject

Parts = Sequence[dict[str, Any]]
"""The parts of an explanation."""


def spread_over_words(text: str, parts: Parts) -> NDArray[np.float64]:
    """The value of each part shared out evenly over its words, 0 elsewhere: (words,), float64."""
    words = Words.split(text)
    scores = np.zeros(len(words))
    for part in parts:
        inside = (words.starts < part["end"]) & (words.ends > part["start"])
        scores[inside] += part["value"] / inside.sum()
    return scores


def spread_over_pixels(size: tuple[int, int], parts: Parts) -> NDArray[np.float64]:
    """The value of each part shared out evenly over its pixels: (height, width), float64.

    Args:
        size: Width and height of the image.
        parts: The parts; where two overlap, both count.
    """
    width, height = size
    scores = np.zeros((height, width))
    for part in parts:
        x0, y0, x1, y1 = part["box"].values()
        scores[y0:y1, x0:x1] += part["value"] / ((x1 - x0) * (y1 - y0))
    return scores


def share_words(
    subject: TextSubject,
    text: str,
    label: int,
    *,
    units: str,
    game: str = ALONE,
    max_parts: int = 8,
    max_tokens: int = 64,
) -> NDArray[np.float64]:
    """Shapley values of parts of a text, spread evenly over their words: (words,), float64.

    The subject's `proposer` proposes the parts; see `explain_classifier`.
    """
    options = ExplainOptions(units, game, max_parts, max_tokens, label=subject.labels[label])
    return spread_over_words(text, _explain(subject, text, options))


def share_patches(
    subject: ImageSubject, image: Image.Image, label: int, *, max_parts: int = 8
) -> NDArray[np.float64]:
    """Shapley values of patches, spread evenly over their pixels: (height, width), float64."""
    options = ExplainOptions(PATCHES, max_parts=max_parts, label=subject.labels[label])
    return spread_over_pixels(image.size, _explain(subject, image, options))


def _explain(subject: Subject, item: Any, options: ExplainOptions) -> Parts:
    parts: Parts = subject.explained.explain(item, options)["explanation"]["parts"]
    return parts


PART_EXPLAINERS = {
    "span_shapley": partial(share_words, units=SPANS),
    "sentence_shapley": partial(share_words, units=SENTENCES),
    "passage_shapley": partial(share_words, units=PASSAGES),
    "span_shapley_in_context": partial(share_words, units=SPANS, game=IN_CONTEXT),
    "sentence_shapley_in_context": partial(share_words, units=SENTENCES, game=IN_CONTEXT),
}
"""Explainers of texts by unit and game, called as `(subject, text, label, **options)`."""
