"""A cascade as explainers use it: its probabilities, and the explanation of its own answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.cascade_rule import GLANCE
from hf_anchornet.model.cascade_trace import Trace
from hf_anchornet.model.explanation import InputParts, explain_trace
from hf_anchornet.model.image_explanation import ImageParts
from hf_anchornet.model.image_reader import ReadableImage
from hf_anchornet.model.text_explanation import list_read_spans

from .image_subject import ImageSubject
from .part_explainers import list_values, mask_words, spread_values
from .subject import Subject
from .text_subject import TextSubject

PATH_STEPS = 50
"""Steps of the path along which the evidence outside of the parts is integrated."""


class CascadeSubject(Subject):
    """A cascade to explain: the localizer's evidence is that of its own localizer."""

    def __init__(self, cascade: Cascade) -> None:
        super().__init__(cascade.localizer.model, cascade.localizer.processor)
        self.cascade = cascade

    @property
    def localizer(self) -> Any:
        """The localizer of the cascade."""
        return self.cascade.localizer

    def predict(self, inputs: Sequence[Any], batch_size: int = 32) -> NDArray[np.float64]:
        """The cascade's probabilities of the labels of texts or images: (inputs, labels)."""
        traces = self.cascade.follow(list(inputs), batch_size)
        if not traces:
            return np.zeros((0, len(self.cascade.labels)))
        probs = torch.stack([trace.probs for trace in traces])
        found: NDArray[np.float64] = probs.double().numpy()
        return found


class TextCascadeSubject(CascadeSubject, TextSubject):
    """A cascade of texts to explain."""


class ImageCascadeSubject(CascadeSubject, ImageSubject):
    """A cascade of images to explain."""


def explain_words_of_answer(subject: TextSubject, text: str, label: int) -> NDArray[np.float64]:
    """Score of each word for a cascade's answer: (words,), float64; see `share_rest`.

    Where the localizer answered, its evidence. Where the classifier read, the Shapley values of the
    spans that it read, shared out to their words by `spread_values`, and elsewhere what the
    evidence outside of them adds to `base`.
    """
    cascade = _find_cascade(subject)
    batch, trace = _answer(cascade, text)
    if not trace.last_reading:
        _, last = batch.split()[0]
        (located,) = last.locate()
        alone: NDArray[np.float64] = located.attribution[:, label].copy()
        return alone
    located, stage = trace.view.located, cascade.rule.stages[trace.stage]
    reader: Any = cascade.reader
    parts = list_read_spans(reader, trace.view, stage, cascade.rule.readings)
    valued = _explain(cascade, trace, parts, label)
    masks = mask_words(located.words, valued)
    scores = spread_values(list_values(valued), masks, located.attribution[:, label])
    outside = ~masks.any(axis=0)
    scores[outside] = share_rest(cascade, trace, parts, located.attribution[outside], label)
    return scores


def explain_pixels_of_answer(
    subject: ImageSubject, image: Image.Image, label: int
) -> NDArray[np.float64]:
    """Score of each pixel for a cascade's answer, as `explain_words_of_answer`: (rows, columns).

    At the resolution of the localizer's input.
    """
    cascade = _find_cascade(subject)
    batch, trace = _answer(cascade, image)
    view = trace.view or ReadableImage(image, [])
    parts = ImageParts(view, trace.last_reading, batch)
    maps = parts.maps.numpy()  # (labels, rows, columns)
    if not trace.last_reading:
        alone: NDArray[np.float64] = maps[label]
        return alone
    valued = _explain(cascade, trace, parts, label)
    masks = parts.masks.reshape(len(valued), -1)
    evidence = maps.reshape(len(maps), -1).T  # (pixels, labels)
    scores = spread_values(list_values(valued), masks, evidence[:, label])
    outside = ~masks.any(axis=0)
    scores[outside] = share_rest(cascade, trace, parts, evidence[outside], label)
    return scores.reshape(maps.shape[1:])


def share_rest(
    cascade: Cascade, trace: Trace, parts: InputParts, evidence: NDArray[np.float64], label: int
) -> NDArray[np.float64]:
    """What the evidence outside of the parts adds to the localizer's probability: (units,).

    `base` is the probability that the localizer gives without the evidence of the parts. On the
    straight path to it from the localizer's bias alone, each unit gets the integral of the gradient
    times its evidence (integrated gradients, Sundararajan et al. 2017), so the scores sum to `base`
    less the probability of the bias, up to the error of `PATH_STEPS` steps. Where the classifier
    read the full text, `base` also holds what it says of the rest, which they leave out.

    Args:
        cascade: The cascade.
        trace: The input.
        parts: What the classifier read of it.
        evidence: (units, labels), outside of the parts.
        label: Number of the explained label.
    """
    without_parts = trace.logits.double() - parts.lose(np.zeros((1, len(parts.places)), bool))[0]
    rest = torch.from_numpy(evidence.sum(axis=0))
    steps = (torch.arange(PATH_STEPS, dtype=torch.float64)[:, None] + 0.5) / PATH_STEPS
    path = (without_parts - (1 - steps) * rest).requires_grad_()  # (steps, labels)
    opening = len(trace.opened) - 1
    probs = torch.softmax(path / cascade.rule.temperatures[opening], dim=-1)
    (gradient,) = torch.autograd.grad(probs[:, label].mean(), path)
    shares: NDArray[np.float64] = evidence @ gradient.sum(dim=0).numpy()
    return shares


def _answer(cascade: Cascade, item: Any) -> tuple[Any, Trace]:
    """The localized input, as a batch of one, and its way through the cascade."""
    batch = cascade.localizer.start([item], cascade.rule.opening)
    traces = cascade.start(batch, 0.0)
    cascade.read(traces)
    return batch, traces[0]


def _explain(cascade: Cascade, trace: Trace, parts: InputParts, label: int) -> list[dict[str, Any]]:
    explanation = explain_trace(
        cascade.reader, cascade.order, cascade.rule, cascade.labels, trace, parts, label
    )
    found: list[dict[str, Any]] = explanation["parts"]
    return found


def _find_cascade(subject: Subject) -> Cascade:
    """The cascade of a subject.

    Raises:
        ValueError: if it is not one, or begins with a glance.
    """
    cascade = getattr(subject, "cascade", None)
    if not isinstance(cascade, Cascade):
        raise ValueError(
            '`subject` must be a cascade for "answer", got a single model of type '
            f'"{subject.model.config.model_type}"; choose another explainer, or a cascade.'
        )
    if cascade.rule.stages[0] == GLANCE:
        raise ValueError(
            '`subject` must be a cascade without a glance for "answer", got stages '
            f"{list(cascade.rule.stages)}: a glance has no evidence; explain the localizer."
        )
    return cascade


def load_cascade_subject(
    source: str, is_text: bool, device: torch.device | None = None
) -> TextCascadeSubject | ImageCascadeSubject:
    """The cascade of a folder or Hub id, as explainers use it.

    Raises:
        OSError: if there is no cascade.
    """
    if find_cascade(source) is None:
        raise OSError(
            f'`model` must be the folder or Hub id of a cascade to explain its own "answer", got '
            f"{source} without a cascade.json; leave this explainer out or choose a cascade."
        )
    cascade = Cascade.from_pretrained(source, device)
    return TextCascadeSubject(cascade) if is_text else ImageCascadeSubject(cascade)
