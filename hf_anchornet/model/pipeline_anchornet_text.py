"""`pipeline("span-localization")`: a text's label, the spans that decided it, their shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .backend import EAGER
from .cascade import Cascade
from .classifier import Classifier, predict_probs
from .geometry import Window
from .pipeline_anchornet import LocalizationOptions, LocalizationPipeline
from .selection import check_count
from .text_budget import merge_spans
from .text_localizer import LocalizedTexts, TextLocalizer
from .text_long import LONG_TEXT_CHARACTERS, LongText
from .text_reader import DEFAULT_MAX_TOKENS, SpanReader
from .text_spans import ShownSpan, ShownText, show_best_spans, show_top_spans, sum_passages
from .text_words import LocatedText


@dataclass
class SpanOptions(LocalizationOptions):
    """How spans are chosen and shown; see `SpanLocalizationPipeline`."""

    max_tokens: int | None = None

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options; see `LocalizationOptions.validate`."""
        for size in self.scales or ():
            check_count("scales", size)
        super().validate(self.scales or sizes, labels)  # passages may have any size
        if self.max_tokens is not None:
            check_count("max_tokens", self.max_tokens)


class SpanLocalizationPipeline(LocalizationPipeline):
    """Localizes the spans of a text that decided its label, learned from labels alone.

    ```python
    >>> from transformers import pipeline
    >>> import hf_anchornet
    >>> localize = pipeline("span-localization")
    >>> answer = localize("I loved it. The cast is superb, and only the ending is dull.", top_k=1)
    >>> answer["label"], answer["spans"][0]["text"]
    ('positive', 'cast is superb, and')

    ```

    Each answer is a dict: `label` and `score` of the localizer; `spans`, each with `start` and
    `end` (characters of the original text), `text`, `label` (the class explained), `evidence`
    (what all windows put on the span: its part of the logit, centred over the classes unless
    they are independent), `share` (the same over the sum of the absolute evidence of all words,
    in [-1, 1]) and `scale` (tokens of the window); `coverage`, the share of the text's characters
    in the spans; `cost` in tokens; and with a classifier `classifier`: its `label`, `score`,
    `stage` and the `text` that it read (stage 0: there was nothing to read, the answer is the
    localizer's). With a cascade or `exit_threshold`, `classifier` is the answer of the cascade and
    `cost` holds its multiply-adds and milliseconds, too: see `Cascade`.

    Args:
        classifier: A text classifier that reads the spans of largest absolute evidence instead
            of the whole text: Hub id, folder, text-classification pipeline or model; or a
            `Cascade`, its folder or Hub id.
        top_k: Number of spans to show for each label, best first (default 5).
        scales: Sizes of the spans to show, in tokens (default: all windows of the model). If one
            is no window of the model, they are sizes of passages: `scales=100` shows the passages
            of 100 tokens with the most evidence in all windows over them.
        max_tokens: With a classifier: the most tokens that it reads, special tokens included
            (default 64). Without: show the best set of spans under this many tokens of the
            localizer, in reading order, instead of `top_k`.
        iou_threshold: How much a shown span may overlap better ones (default 0: not at all).
        labels: Labels to explain (default: the predicted one).
        exit_threshold: With a classifier: read only what is in doubt, see `ExitRule`; for a
            cascade, instead of its own thresholds.
        backend: What computes the localizer and a classifier that is no `Cascade` object: "eager",
            "compile" or "onnx", see `make_network`.
    """

    task_name: ClassVar[str] = "span-localization"
    model_type: ClassVar[str] = "anchornet_text"
    options_type: ClassVar[type[LocalizationOptions]] = SpanOptions
    single_types: ClassVar[tuple[type, ...]] = (str, bytes, Mapping)
    budget_name: ClassVar[str] = "max_tokens"
    preprocess_options: ClassVar[tuple[str, ...]] = ("max_tokens",)

    _load_tokenizer: Any = True

    def __init__(
        self,
        *args: Any,
        classifier: Classifier | Cascade | None = None,
        backend: str = EAGER,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.tokenizer is None or not self.tokenizer.is_fast:
            raise ValueError(
                "`tokenizer` of the span-localization pipeline must be a fast one, got "
                f"{type(self.tokenizer).__name__}; pass the one that the model was trained with."
            )
        self.localizer: TextLocalizer = TextLocalizer(self.model, self.tokenizer, backend)
        self._attach(classifier, SpanReader, backend)

    def _check_options(self, **options: Any) -> SpanOptions:
        chosen: SpanOptions = super()._check_options(**options)
        if self.reader is not None and chosen.max_tokens is not None:
            self.reader.check_budget(chosen.max_tokens)
        return chosen

    def check_input(self, item: Any, name: str) -> str:
        """The text itself."""
        return self.localizer.check_input(item, name)

    def _is_long(self, text: str, max_tokens: int | None) -> bool:
        """Whether a text is read block by block: not where the best set of spans is sought."""
        alone = self.reader is None and max_tokens is None
        return alone and len(text) > LONG_TEXT_CHARACTERS

    def preprocess(self, input_: str, **options: Any) -> dict[str, Any]:
        """Tokens of a text, and where they stand in it; none of one that is read in blocks."""
        is_long = self._is_long(input_, options.get("max_tokens"))
        encoded = self.localizer.tokenize(["" if is_long else input_])
        (ids,), (bounds,) = encoded["input_ids"], encoded["offset_mapping"]
        # An array: `Pipeline` looks through every item of a list for tensors to move.
        offsets = np.array(bounds, dtype=np.int64).reshape(-1, 2)
        # Without a token, one that is masked: `Pipeline` cannot pad an empty row on the left.
        return {
            "input_ids": torch.tensor([ids or [0]]),  # (1, tokens)
            "attention_mask": torch.tensor([[1] * len(offsets) or [0]]),
            "offsets": offsets,
            "text": input_,
        }

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        chosen = SpanOptions(**options)
        texts, offsets = input_tensors["text"], input_tensors["offsets"]
        if isinstance(texts, str):  # not batched
            texts, offsets = [texts], [offsets]
        long = [row for row, text in enumerate(texts) if self._is_long(text, chosen.max_tokens)]
        inputs, texts = texts, ["" if row in long else text for row, text in enumerate(texts)]
        started = perf_counter()
        batch = self.localizer.read_tokens(
            texts, offsets, input_tensors["input_ids"], input_tensors["attention_mask"]
        )
        followed = self._follow(chosen, batch, texts, started)
        located, probs = batch.locate(), predict_probs(self.model, batch.logits)
        shown = self._choose_spans(batch, located, probs, chosen)
        results = [
            self._describe(row, ShownText.of(text, spans))
            for row, text, spans in zip(probs, located, shown, strict=True)
        ]
        for result, (trace, answer) in zip(results, followed, strict=bool(followed)):
            result["cost"] |= answer.pop("cost")
            result["classifier"] = answer | {"text": "".join(trace.last_reading)}
        if self.reader is not None and not followed:
            self._read(located, results, chosen.max_tokens or DEFAULT_MAX_TOKENS)
        for row in long:
            results[row] = self._localize_long(inputs[row], chosen)
        return {"results": results}

    def _localize_long(self, text: str, options: SpanOptions) -> dict[str, Any]:
        """The answer for a text of any length, at constant memory; see `LongText`."""
        read = LongText(text, self.localizer)
        probs = predict_probs(self.model, read.logits)
        (labels,) = self._number_labels(options.labels, probs).tolist()
        scales = options.scales or [window.size for window in self.windows]
        shown = read.show(labels, scales, options.top_k, options.iou_threshold)
        return self._describe(probs[0], shown)

    def _choose_spans(
        self,
        batch: LocalizedTexts,
        located: Sequence[LocatedText],
        probs: Tensor,
        options: SpanOptions,
    ) -> list[list[ShownSpan]]:
        """The spans to show for each text."""
        labels = self._number_labels(options.labels, probs)
        scales = options.scales or [window.size for window in self.windows]
        if options.max_tokens is not None and self.reader is None:
            return [
                show_best_spans(text, explained, options.max_tokens, scales)
                for text, explained in zip(located, labels.tolist(), strict=True)
            ]
        evidence, windows = self._list_candidates(batch, located, scales)
        return show_top_spans(
            located, evidence, windows, labels, options.top_k, options.iou_threshold
        )

    def _list_candidates(
        self, batch: LocalizedTexts, located: Sequence[LocatedText], scales: Sequence[int]
    ) -> tuple[Sequence[Tensor], Sequence[Window]]:
        """Evidence and sizes of the spans to choose from: windows of the model, or passages."""
        if set(scales) - {window.size for window in self.windows}:
            return sum_passages(located, sorted(set(scales)), batch.logits.device)
        branches = [i for i, window in enumerate(self.windows) if window.size in scales]
        return [batch.evidence[i] for i in branches], [self.windows[i] for i in branches]

    def _describe(self, probs: Tensor, shown: ShownText) -> dict[str, Any]:
        """The answer of the localizer alone."""
        score, label = probs.max(dim=-1)
        spans = [
            _describe_span(
                shown.located, span, self.labels[span.label], float(shown.whole[span.label])
            )
            for span in shown.spans
        ]
        covered = merge_spans([(span["start"], span["end"]) for span in spans])
        return {
            "label": self.labels[int(label)],
            "score": float(score),
            "spans": spans,
            "coverage": sum(end - start for start, end in covered)
            / max(1, len(shown.located.words.text)),
            "cost": {"localizer_tokens": shown.num_tokens},
        }

    def _read(
        self, located: Sequence[LocatedText], results: Sequence[dict[str, Any]], max_tokens: int
    ) -> None:
        """Add to each answer what the classifier says of the text's selected spans."""
        readings = self.reader.read(located, max_tokens, self.localizer.reading_scales)
        for result, reading in zip(results, readings, strict=True):
            by = reading if reading["text"] else result
            result["classifier"] = {
                "label": by["label"],
                "score": by["score"],
                "stage": int(bool(reading["text"])),
                "text": reading["text"],
            }
            result["cost"]["classifier_tokens"] = reading["tokens"]
            result["cost"]["full_tokens"] = reading["full_tokens"]


def _describe_span(
    located: LocatedText, span: ShownSpan, label: str, whole: float
) -> dict[str, Any]:
    start, end = located.words.span(span.first, span.last)
    evidence = float(located.attribution[span.first : span.last, span.label].sum())
    return {
        "start": start,
        "end": end,
        "text": located.words.text[start:end],
        "label": label,
        "evidence": evidence,
        "share": evidence / whole,
        "scale": span.scale,
    }
