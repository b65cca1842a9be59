"""`pipeline("span-localization")`: a text's label, the spans that decided it, their shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .cascade_rule import LOCALIZER, NGRAMS, ExitRule, Stage
from .classifier import name_predictions
from .explanation import Explanation, InputParts, choose_entries, explain_localizer
from .localization_options import LocalizationOptions
from .pipeline_anchornet import LocalizationPipeline, Verdict
from .reader import Reader
from .selection import check_count
from .text_budget import merge_spans
from .text_explanation import describe_place, list_read_spans
from .text_localizer import LocalizedTexts, TextLocalizer
from .text_long import LONG_TEXT_CHARACTERS, LongText
from .text_reader import SpanReader
from .text_spans import (
    ShownSpan,
    ShownText,
    share_evidence,
    show_best_spans,
    show_top_spans,
    show_units,
)
from .text_words import UNITS, LocatedText

WORD = "word"
"""The unit of spans that are windows of the model, extended to whole words."""


@dataclass
class SpanOptions(LocalizationOptions):
    """Options for choosing and showing spans; see `SpanLocalizationPipeline`."""

    max_tokens: int | None = None
    unit: str = WORD

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options; see `LocalizationOptions.validate`."""
        for size in self.scales or ():
            check_count("scales", size)
        super().validate(self.scales or sizes, labels)  # passages may have any size
        if self.max_tokens is not None:
            check_count("max_tokens", self.max_tokens)
        if self.unit not in (WORD, *UNITS):
            raise ValueError(
                f"`unit` must be one of {[WORD, *UNITS]}, got {self.unit!r}; leave it out for "
                "whole words."
            )
        if self.unit != WORD and self.scales is not None:
            raise ValueError(
                f'`scales` must be left out with `unit="{self.unit}"`, got {list(self.scales)}; a '
                f"{self.unit} has a size of its own."
            )


class SpanLocalizationPipeline(LocalizationPipeline):
    """Localizes the spans of a text that decided its label, learned from labels alone.

    ```python
    >>> from transformers import pipeline
    >>> import hf_anchornet
    >>> localize = pipeline("span-localization")
    >>> answer = localize("I loved it. The cast is superb, and only the ending is dull.", top_k=1)
    >>> answer["label"], answer["spans"][0]["text"]
    ('positive', 'superb')

    ```

    Each answer is a dict: `label` and `score` of the localizer; `spans`, each with `start` and
    `end` (characters of the original text), `text`, `label` (the class explained), `evidence`
    (the attribution of the span: its part of the logit, centred over the classes unless the
    model is multi-label), `share` (the same over the sum of the absolute evidence of all words,
    in [-1, 1]) and `scale` (tokens of the window); `coverage`, the share of the text's characters
    in the spans; `evidence_share`, the share of the evidence for the answer's label (or the first
    one of `labels`) that all its spans carry together; `cost` in tokens; and, with a classifier,
    `classifier`: its `label`, `score`, `stage` and the `text` that it read (stage 0: there was
    nothing to read and the answer is the localizer's). With a cascade or `exit_threshold`,
    `classifier` is the answer of the cascade and `cost` holds its multiply-adds and milliseconds,
    too: see `Cascade`. Of a text that exits at a stage "ngrams", label, score and spans are those
    of the localizer's n-grams alone.

    Args:
        classifier: A text classifier that reads the spans of largest absolute evidence instead
            of the whole text: Hub id, folder, text-classification pipeline or model; or a
            `Cascade`, its folder or Hub id.
        top_k: Number of spans to show for each label, best first (default 5).
        scales: Sizes of the spans to show, in tokens (default: all windows of the model). If one
            is not a window of the model, they are sizes of passages: `scales=100` shows the
            passages of 100 tokens with the largest attribution, which may hold several paragraphs,
            as windows do not. Where a cascade's n-grams answered
            and lack one of these windows, label, score and spans are those of the whole localizer,
            which is run for them; `cost` does not count that.
        max_tokens: With a classifier: the most tokens that it reads, special tokens included
            (default 64). Without: show the best set of spans under this many tokens of the
            localizer, in reading order, instead of `top_k`.
        unit: What spans are made of: "word" (default; the windows of the model, extended to whole
            words), "clause" or "sentence" (those with the most evidence, best first).
        iou_threshold: How much a shown span may overlap better ones (default 0: not at all).
        labels: Labels to explain (default: the predicted one).
        exit_threshold: With a classifier: let it read only inputs in doubt, see `ExitRule`; with a
            cascade: thresholds to use instead of its own.
        explain_answer: Whether to add `explanation`: what each part adds to the answer of the model
            that gave it, exact up to ten parts; see docs/explanations.md. With a classifier it
            costs forward passes, which `cost` tells.
        return_coalitions: Whether `explanation` lists the coalitions of parts that were asked.
        backend: Runtime of the localizer and of a classifier that is loaded here: "eager",
            "compile" or "onnx"; see `make_network`.
    """

    task_name: ClassVar[str] = "span-localization"
    model_type: ClassVar[str] = "anchornet_text"
    options_type: ClassVar[type[LocalizationOptions]] = SpanOptions
    reader_class: ClassVar[type[Reader]] = SpanReader
    single_types: ClassVar[tuple[type, ...]] = (str, bytes, Mapping)
    budget_name: ClassVar[str] = "max_tokens"
    preprocess_options: ClassVar[tuple[str, ...]] = ("max_tokens", "unit")

    _load_tokenizer: Any = True

    localizer: TextLocalizer

    def _make_localizer(self, backend: str) -> TextLocalizer:
        if self.tokenizer is None or not self.tokenizer.is_fast:
            raise ValueError(
                "`tokenizer` of the span-localization pipeline must be a fast one, got "
                f"{type(self.tokenizer).__name__}; pass the one that the model was trained with."
            )
        return TextLocalizer(self.model, self.tokenizer, backend)

    def _check_options(self, **options: Any) -> SpanOptions:
        chosen: SpanOptions = super()._check_options(**options)
        if self.reader is not None and chosen.max_tokens is not None:
            self.reader.check_stages([chosen.max_tokens])
        return chosen

    def check_input(self, item: Any, name: str) -> str:
        """The text itself."""
        return self.localizer.check_input(item, name)

    def _is_long(self, text: str, max_tokens: int | None = None, unit: str = WORD) -> bool:
        """Whether a text is read block by block: not for the best set of spans, or for units."""
        alone = self.reader is None and max_tokens is None and unit == WORD
        return alone and len(text) > LONG_TEXT_CHARACTERS

    def preprocess(self, input_: str, **options: Any) -> dict[str, Any]:
        """A text with its token ids and their offsets; without, if it is read block by block."""
        if self._is_long(input_, **options):
            return {"text": input_, "ids": None, "offsets": None}
        encoded = self.localizer.tokenize([input_])
        (ids,), (bounds,) = encoded["input_ids"], encoded["offset_mapping"]
        # Arrays: `Pipeline` looks through every item of a list for tensors to move.
        offsets = np.array(bounds, dtype=np.int64).reshape(-1, 2)
        return {"text": input_, "ids": np.array(ids, dtype=np.int64), "offsets": offsets}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        chosen = SpanOptions(**options)
        columns = [input_tensors[name] for name in ("text", "ids", "offsets")]
        rows = list(zip(*columns, strict=True)) if isinstance(columns[0], list) else [columns]
        short = [row for row in rows if row[1] is not None]
        answers = iter(self._localize(chosen, *zip(*short, strict=True)) if short else [])
        return {
            "results": [
                self._localize_long(text, chosen) if ids is None else next(answers)
                for text, ids, _ in rows
            ]
        }

    def _localize(
        self,
        options: SpanOptions,
        texts: Sequence[str],
        ids: Sequence[NDArray[np.int64]],
        offsets: Sequence[NDArray[np.int64]],
    ) -> list[dict[str, Any]]:
        """The answers for a batch of tokenized texts; see `TextLocalizer.read_tokens`."""
        started = perf_counter()
        rule = self._choose_rule(options)
        stages = () if rule is None else rule.stages
        batch = self.localizer.start_tokens(texts, ids, offsets, stages)
        verdicts = self._ask(options, batch, texts, batch.logits, started)
        answers: dict[int, dict[str, Any]] = {}
        for rows, part in batch.split():
            if self._lacks(part, options):
                part = part.deepen(range(len(rows)))
            shown = self._choose_spans(part, options)
            for row, logits, spans in zip(rows, part.logits, shown, strict=True):
                answers[row] = self._answer(logits, spans, verdicts[row])
            if options.explain_answer:
                alone = replace(options, labels=None, iou_threshold=0.0)
                explained = self._choose_spans(part, alone)
                for row, logits, spans in zip(rows, part.logits, explained, strict=True):
                    name = NGRAMS if part.by_ngrams else LOCALIZER
                    own = verdicts[row].explanation or self._explain(name, logits, spans)
                    answers[row]["explanation"] = choose_entries(own, options.return_coalitions)
        return [answers[row] for row in range(len(texts))]

    def _lacks(self, batch: LocalizedTexts, options: SpanOptions) -> bool:
        """Whether the caller wants windows of the localizer that a batch of n-grams has not."""
        wanted, own = set(options.scales or ()), {window.size for window in batch.windows}
        return bool(wanted - own) and wanted <= {window.size for window in self.windows}

    def _localize_long(self, text: str, options: SpanOptions) -> dict[str, Any]:
        """The answer for a text of any length, at constant memory; see `LongText`."""
        read = LongText(text, self.localizer)
        (labels,) = self._number_labels(options.labels, read.logits).tolist()
        scales = options.scales or [window.size for window in self.windows]
        shown = read.show(labels, scales, options.top_k, options.iou_threshold)
        answer = self._answer(read.logits[0], shown, Verdict(None, {}))
        if options.explain_answer:
            alone = read.show([int(read.logits[0].argmax())], scales, options.top_k, 0.0)
            own = self._explain(LOCALIZER, read.logits[0], alone)
            answer["explanation"] = choose_entries(own, options.return_coalitions)
        return answer

    def _list_parts(
        self, view: Any, pieces: Sequence[Any], stage: Stage, rule: ExitRule | None, batch: Any
    ) -> InputParts:
        assert isinstance(self.reader, SpanReader)
        return list_read_spans(self.reader, view, stage, () if rule is None else rule.readings)

    def _explain(self, name: str, logits: Tensor, shown: ShownText) -> Explanation:
        """The explanation of the localizer's own answer by disjoint spans for its label."""
        parts = [
            describe_place(shown.located, (span.first, span.last))
            | {"value": _sum_evidence(shown.located, span)}
            for span in shown.spans
        ]
        return explain_localizer(self.model, name, logits, parts)

    def _choose_spans(self, batch: LocalizedTexts, options: SpanOptions) -> list[ShownText]:
        """The spans to show of each text."""
        located = batch.locate()
        scales = options.scales or [window.size for window in batch.windows]
        labels = self._number_labels(options.labels, batch.logits)
        unit = None if options.unit == WORD else options.unit
        rows = zip(located, labels.tolist(), strict=True)
        if options.max_tokens is not None and self.reader is None:
            budget = options.max_tokens
            spans = [show_best_spans(text, known, budget, scales, unit) for text, known in rows]
        elif unit is not None:
            spans = [show_units(text, known, unit, options.top_k) for text, known in rows]
        else:
            candidates = batch.list_candidates(scales)
            passages = bool(set(scales) - {window.size for window in batch.windows})
            limits = options.top_k, options.iou_threshold
            spans = show_top_spans(located, *candidates, labels, *limits, passages)
        return [ShownText.of(*each) for each in zip(located, spans, strict=True)]

    def _answer(self, logits: Tensor, shown: ShownText, verdict: Verdict) -> dict[str, Any]:
        """The answer for one text."""
        spans = [
            _describe_span(
                shown.located, span, self.labels[span.label], float(shown.whole[span.label])
            )
            for span in shown.spans
        ]
        covered = merge_spans([(span["start"], span["end"]) for span in spans])
        num_covered = sum(end - start for start, end in covered)
        answer = {
            **name_predictions(self.model, logits[None])[0],
            "spans": spans,
            "coverage": num_covered / max(1, len(shown.located.words.text)),
            "evidence_share": self._share(int(logits.argmax()), shown),
            "cost": {"localizer_tokens": shown.num_tokens, **verdict.cost},
        }
        return answer if verdict.classifier is None else answer | {"classifier": verdict.classifier}

    def _share(self, label: int, shown: ShownText) -> float:
        """The share of the evidence that the spans of the answer's label carry together.

        Where other labels are explained, it is that of the first of them.
        """
        explained = [span.label for span in shown.spans]
        label = label if label in explained or not explained else explained[0]
        return share_evidence(shown, label)


def _describe_span(
    located: LocatedText, span: ShownSpan, label: str, whole: float
) -> dict[str, Any]:
    evidence = _sum_evidence(located, span)
    return {
        **describe_place(located, (span.first, span.last)),
        "label": label,
        "evidence": evidence,
        "share": evidence / whole,
        "scale": span.scale,
    }


def _sum_evidence(located: LocatedText, span: ShownSpan) -> float:
    return float(located.attribution[span.first : span.last, span.label].sum())
