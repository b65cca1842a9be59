"""Explanations of any classifier: a localizer proposes the parts, Shapley values share it out."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Pipeline, PreTrainedModel

from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.cascade_rule import FULL
from hf_anchornet.model.classifier import Classifier, label_names, predict_probs
from hf_anchornet.model.explanation import (
    Explanation,
    InputParts,
    PartsReading,
    choose_entries,
    describe_explaining,
    explain_classifier_logit,
)
from hf_anchornet.model.image_explanation import ImageParts
from hf_anchornet.model.image_reader import PatchReader, ReadableImage, check_whole
from hf_anchornet.model.localizer import Localizer, load_localizer
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.model.pipeline_inputs import name_place
from hf_anchornet.model.text_explanation import TextParts
from hf_anchornet.model.text_reader import SpanReader
from hf_anchornet.model.text_words import Words

from .explain_options import IN_CONTEXT, ExplainOptions, list_inputs, make_options
from .probability_reader import Probabilities, ProbabilityReader
from .proposals import PATCHES, UNITS, SpanLimits, propose_spans

AnyLocalizer = str | PathLike[str] | Localizer | LocalizationPipeline


class Explained:
    """A classifier with the localizer that proposes parts for it.

    Args:
        classifier: A transformers classifier in any of its forms, or a function from a list of
            texts or images to probabilities, (inputs, labels).
        localizer: The localizer, or its folder or Hub id.
        labels: Names of a function's labels, in its order; default: their numbers.
        multi_label: Whether a function's labels are independent of each other.
        device: Device of models that are loaded here.

    Raises:
        TypeError: if the classifier has no such form.
        ValueError: if a model is of another modality, a cascade, or one of images that reads only
            their middle; see also `SpanReader`.
        OSError: if a model cannot be found.
    """

    def __init__(
        self,
        classifier: Classifier | Probabilities,
        localizer: AnyLocalizer,
        labels: Sequence[str] | None = None,
        multi_label: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self.localizer = _find_localizer(localizer, device)
        self.is_text = self.localizer.model.config.model_type == "anchornet_text"
        if isinstance(classifier, Cascade) or find_cascade(classifier) is not None:
            raise ValueError(
                f"`classifier` must be a single model or a function, got the cascade {classifier}; "
                "explain its answers with `hf_anchornet.load(..., explain_answer=True)`."
            )
        self._given = labels, multi_label
        self._function: Probabilities | None = None
        self.reader: Any = None
        if isinstance(classifier, Pipeline | PreTrainedModel) or not callable(classifier):
            if labels is not None or multi_label:
                raise ValueError(
                    "`labels` and `multi_label` must be left out for a model, got "
                    f"{labels} and {multi_label}; its config says both."
                )
            self.reader = (SpanReader if self.is_text else PatchReader).load(classifier, device)
            if not self.is_text:
                check_whole(self.reader.processor, "classifier", self.reader.crops)
        else:
            self._function = classifier

    def explain(self, item: Any, options: ExplainOptions) -> dict[str, Any]:
        """The explanation of one checked input, see `explain_classifier`."""
        reader = self._find_reader(item)
        whole = self._read_whole(reader, item)
        names = label_names(reader.model)
        label = int(whole.argmax()) if options.label is None else _number(options.label, names)
        explanation, reading = self.share_out(item, label, options)
        return {
            "label": names[label],
            "score": float(predict_probs(reader.model, whole)[label]),
            "units": options.units,
            "game": options.game,
            "explanation": choose_entries(explanation, options.return_coalitions),
            "cost": describe_explaining(reading.asked),
        }

    def share_out(
        self, item: Any, label: int, options: ExplainOptions
    ) -> tuple[Explanation, PartsReading]:
        """The explanation of one checked input for a label, by its number, and what was read.

        The full input is not read, unless the parts are shown in context.
        """
        self.check_units(options)
        reader = self._find_reader(item)
        return explain_classifier_logit(reader, self._list_parts(reader, item, options), label)

    def check_units(self, options: ExplainOptions) -> None:
        """Raise a `ValueError` if the units are those of the other modality."""
        if (options.units == PATCHES) == self.is_text:
            wanted = f"one of {', '.join(UNITS[:-1])}" if self.is_text else '"patches"'
            raise ValueError(
                f"`units` must be {wanted} for a localizer of "
                f"{'texts' if self.is_text else 'images'}, got {options.units!r}; choose another, "
                "or a localizer of the other kind."
            )

    def _find_reader(self, example: Any) -> Any:
        if self.reader is None and self._function is not None:
            self.reader = ProbabilityReader(self._function, *self._given, example=example)
        return self.reader

    def _read_whole(self, reader: Any, item: Any) -> Tensor:
        """The classifier's logits for a full input: (labels,)."""
        if self.is_text:
            view, pieces = None, reader.make_pieces(item) or reader.make_nothing()
        else:
            view, pieces = ReadableImage(item, []), [FULL]
        if not pieces:  # no token, and no special one
            return torch.zeros(reader.model.config.num_labels)
        logits: Tensor = reader.compute_pieces([(view, piece) for piece in pieces])[0]
        return logits[0].cpu()

    def _list_parts(self, reader: Any, item: Any, options: ExplainOptions) -> InputParts:
        localizer: Any = self.localizer
        if not self.is_text:
            batch = localizer.read([item])
            ranked = batch.select(options.max_parts)
            (boxes,) = batch.restore(ranked.boxes, ranked.filled)
            return ImageParts(ReadableImage(item, boxes), boxes)
        in_context = options.game == IN_CONTEXT
        text = _cut_readable(reader, item) if in_context else item
        limits = SpanLimits(
            options.units,
            options.max_parts,
            options.max_tokens,
            options.passage_tokens,
            _fits_anything if in_context else _fit_into(reader),
            whole=in_context,
        )
        located, spans = propose_spans(localizer, text, limits)
        return TextParts(reader, located, spans, len(located.words) if in_context else None)


def explain_classifier(
    classifier: Classifier | Probabilities,
    inputs: Any,
    localizer: AnyLocalizer,
    *,
    labels: Sequence[str] | None = None,
    multi_label: bool = False,
    device: torch.device | None = None,
    **options: Any,
) -> Any:
    """What parts of an input add to the answer of a classifier that you have.

    A localizer proposes the parts: spans, sentences, passages or patches with much evidence. The
    classifier's logit, centred over the labels unless it is multi-label, is shared out among them
    by Shapley values; see docs/explanations.md for the two games.

    Args:
        classifier: A transformers classifier: Hub id, folder, pipeline or model; or a function from
            a list of texts or images to probabilities, (inputs, labels).
        inputs: A text or an image, or a list or column of a dataset of them.
        localizer: An AnchorNet for the same task, best one distilled from the classifier: Hub id,
            folder, pipeline or `Localizer`.
        labels: Names of a function's labels, in its order; default: their numbers.
        multi_label: Whether a function's labels are independent of each other.
        device: Device of models that are loaded here.
        options: See `ExplainOptions`: `units` (by default spans of texts, patches of images),
            `game`, `max_parts`, `max_tokens`, `passage_tokens`, `label`, `return_coalitions`.

    Returns:
        A dict, or a list of them: `label` and `score` of the full input, `units`, `game`,
        `explanation`, see `hf_anchornet.model.explanation`, and `cost`: passes, multiply-adds (0
        for a function) and milliseconds of the classifier for the coalitions.

    Raises:
        TypeError: if an input is of the wrong type, or an option unknown.
        ValueError: if an option is out of range, or a function does not return probabilities.
        OSError: if a model cannot be found.
    """
    make_options(options, is_text=True)  # what is wrong with them is told before models are loaded
    listed = list_inputs(inputs)
    if listed == []:
        return []
    explained = Explained(classifier, localizer, labels, multi_label, device)
    chosen = make_options(options, explained.is_text)
    explained.check_units(chosen)
    check = explained.localizer.check_input
    if listed is None:
        return explained.explain(check(inputs, "`inputs`"), chosen)
    items = [check(item, name_place(row)) for row, item in enumerate(listed)]
    return [explained.explain(item, chosen) for item in items]


def _find_localizer(localizer: AnyLocalizer, device: torch.device | None) -> Localizer:
    if isinstance(localizer, LocalizationPipeline):
        found: Localizer = localizer.localizer
        return found
    return localizer if isinstance(localizer, Localizer) else load_localizer(localizer, device)


def _number(label: str, names: Sequence[str]) -> int:
    if label not in names:
        raise ValueError(
            f"`label` must be one of the classifier's labels {list(names)}, got {label!r}; check "
            "the spelling."
        )
    return list(names).index(label)


def _cut_readable(reader: Any, text: str) -> str:
    """The beginning of a text that a classifier reads, to the end of its last whole word."""
    if isinstance(reader, ProbabilityReader):
        return text
    words = Words.split(text)
    room = reader.most_tokens - reader.num_special_tokens
    num_read = int(np.searchsorted(np.cumsum(reader.count(words)), room, side="right"))
    if num_read == len(words):
        return text
    return text[: words.span(0, num_read)[1]] if num_read else ""


def _fit_into(reader: Any) -> Callable[[str], bool]:
    if isinstance(reader, ProbabilityReader):
        return _fits_anything
    return lambda text: bool(reader.make_piece(text).size <= reader.most_tokens)


def _fits_anything(_: str) -> bool:
    return True
