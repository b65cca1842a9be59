"""Explainers that share out the answer of any classifier among parts that a localizer proposes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_explanation import mask_boxes
from hf_anchornet.model.text_words import Words

from .explain_options import ALONE, IN_CONTEXT, ExplainOptions
from .image_subject import ImageSubject
from .proposals import PASSAGES, PATCHES, SENTENCES, SPANS
from .subject import Subject
from .text_subject import TextSubject

Parts = Sequence[dict[str, Any]]
"""The parts of an explanation."""


def spread_values(
    values: NDArray[np.float64], masks: NDArray[np.bool_], evidence: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A score of each word or pixel from the values of parts: (units,), float64.

    A localizer's evidence tells the units of a part apart. It is scaled by what a unit of evidence
    is worth to the classifier: the least-squares slope, at least 0, of the values on the evidence
    of the parts. What the scaled evidence of a part lacks of its value is spread evenly over the
    part, so disjoint parts keep their values exactly. Units outside of all parts have their scaled
    evidence.

    Args:
        values: (parts,).
        masks: (parts, units), bool, the units of each part.
        evidence: (units,), for the explained label; zeros spread the values evenly.
    """
    own = masks @ evidence  # (parts,)
    norm = float(own @ own)
    worth = max(0.0, float(values @ own) / norm) if norm else 0.0
    scores = worth * evidence
    for value, mask, held in zip(values, masks, own, strict=True):
        if mask.any():
            scores[mask] += (value - worth * held) / mask.sum()
    return scores


def mask_words(words: Words, parts: Parts) -> NDArray[np.bool_]:
    """The words of each part: (parts, words), bool."""
    inside = [(words.starts < part["end"]) & (words.ends > part["start"]) for part in parts]
    return np.array(inside, dtype=np.bool_).reshape(len(parts), len(words))


def list_values(parts: Parts) -> NDArray[np.float64]:
    """The value of each part: (parts,)."""
    return np.array([part["value"] for part in parts], dtype=np.float64)


def share_words(
    subject: TextSubject,
    text: str,
    label: int,
    *,
    units: str,
    game: str = ALONE,
    max_parts: int = 6,
    max_tokens: int = 64,
) -> NDArray[np.float64]:
    """Shapley values of parts of a text, shared out to words, see `spread_values`: (words,).

    The subject's `proposer` proposes the parts, see `explain_classifier`; its evidence tells words
    apart, if it has a label of this name. In context, words that the subject does not read have 0.
    """
    parts = _explain(subject, text, label, ExplainOptions(units, game, max_parts, max_tokens))
    words = Words.split(text)
    proposer: Any = subject.proposer
    number = _find_label(proposer, subject.labels[label])
    evidence = np.zeros(len(words))
    if number is not None and len(words):
        (located,) = proposer.read([text]).locate()
        evidence = located.attribution[:, number].copy()
    if game == IN_CONTEXT:
        evidence[subject.read(text).num_read :] = 0
    return spread_values(list_values(parts), mask_words(words, parts), evidence)


def share_patches(
    subject: ImageSubject, image: Image.Image, label: int, *, max_parts: int = 6
) -> NDArray[np.float64]:
    """Shapley values of patches, shared out to pixels, see `spread_values`: (rows, columns).

    At the resolution of the input of the subject's `proposer`.
    """
    parts = _explain(subject, image, label, ExplainOptions(PATCHES, max_parts=max_parts))
    proposer: Any = subject.proposer
    batch = proposer.read([image])
    number = _find_label(proposer, subject.labels[label])
    height, width = batch.evidence.sizes[0].tolist()
    evidence = np.zeros((height, width))
    if number is not None:
        evidence = batch.attribute(batch.predicted * 0 + number)[0].double().cpu().numpy()
    boxes = [tuple(part["box"].values()) for part in parts]
    masks = mask_boxes(boxes, image.size, (width, height)).reshape(len(boxes), -1)
    scores = spread_values(list_values(parts), masks, evidence.ravel())
    return scores.reshape(height, width)


def _find_label(proposer: Any, name: str) -> int | None:
    names = label_names(proposer.model)
    return names.index(name) if name in names else None


def _explain(subject: Subject, item: Any, label: int, options: ExplainOptions) -> Parts:
    explanation, _ = subject.explained.share_out(item, label, options)
    parts: Parts = explanation["parts"]
    return parts


PART_EXPLAINERS = {
    "span_shapley": partial(share_words, units=SPANS),
    "sentence_shapley": partial(share_words, units=SENTENCES),
    "passage_shapley": partial(share_words, units=PASSAGES),
    "span_shapley_in_context": partial(share_words, units=SPANS, game=IN_CONTEXT),
    "sentence_shapley_in_context": partial(share_words, units=SENTENCES, game=IN_CONTEXT),
}
"""Explainers of texts by unit and game, called as `(subject, text, label, **options)`."""
