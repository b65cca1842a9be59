"""`pipeline("span-localization")`: a text's label, the spans that decided it, their shares."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Pipeline, PreTrainedModel

from .cascade_anchornet import SpanReader, join_spans
from .geometry_anchornet import encodable
from .selection_anchornet import (
    LocatedText,
    attribute_tokens,
    center_evidence,
    check_iou_threshold,
    check_top_k,
    count_tokens,
    keep_apart,
    select_best_spans,
    select_top_windows,
)

MODEL_TYPE = "anchornet_text"
_CALL_OPTIONS = {"batch_size", "num_workers"}  # options of every pipeline, not of this one


@dataclass
class SpanOptions:
    """How spans are chosen and shown; see `SpanLocalizationPipeline`."""

    top_k: int = 5
    scales: Sequence[int] | None = None
    max_tokens: int | None = None
    iou_threshold: float | Sequence[float] = 0.0
    labels: Sequence[str] | None = None

    def validate(self, model: PreTrainedModel) -> None:
        """Check the options against each other and against the model.

        Raises:
            ValueError: naming the option, its value and the remedy.
        """
        check_iou_threshold(self.iou_threshold, check_top_k(self.top_k))
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"`max_tokens` must be at least 1, got {self.max_tokens}.")
        sizes = [window.size for window in model.windows]
        unknown = [scale for scale in self.scales or () if scale not in sizes]
        if unknown or (self.scales is not None and not self.scales):
            raise ValueError(
                f"`scales` must be window sizes of this model, some of {sorted(set(sizes))}, "
                f"got {list(self.scales or ())}."
            )
        known = sorted(model.config.label2id)
        missing = [label for label in self.labels or () if label not in known]
        if missing or (self.labels is not None and not self.labels):
            raise ValueError(
                f"`labels` must be labels of this model, some of {known}, "
                f"got {list(self.labels or ())}."
            )


class ShownSpan(NamedTuple):
    """Words `[first, last)` shown for a label, and the window size that they come from."""

    first: int
    last: int
    label: int
    scale: int


class SpanLocalizationPipeline(Pipeline):
    """Localizes the spans of a text that decided its label, learned from labels alone.

    ```python
    >>> from transformers import pipeline
    >>> import hf_anchornet
    >>> localize = pipeline("span-localization")
    >>> localize("The plot is thin, but the acting is superb.", top_k=1)["spans"][0]["text"]
    'superb'

    ```

    Each answer is a dict: `label` and `score` of the localizer; `spans`, each with `start` and
    `end` (characters of the original text), `text`, `label` (the class explained), `evidence`
    (what all windows put on the span: its part of the centred logit), `share` (the same over the
    sum of the absolute evidence of all words, in [-1, 1]) and `scale` (tokens of the window);
    `coverage`, the share of the text's characters in the spans; `cost` in tokens; and with a
    classifier `classifier`: its `label`, `score`, `stage`, and the `text` that it read.

    Args:
        classifier: A text classifier that reads the spans of largest absolute evidence instead
            of the whole text: Hub id, folder, text-classification pipeline or model.
        top_k: Number of spans to show for each label, best first (default 5).
        scales: Window sizes to choose shown spans from, in tokens (default: all of the model).
        max_tokens: With a classifier: the most tokens that it reads, special tokens included
            (default 64). Without: show the best set of spans under this many tokens of the
            localizer, in reading order, instead of `top_k`.
        iou_threshold: How much a shown span may overlap better ones (default 0: not at all).
        labels: Labels to explain (default: the predicted one).
    """

    _load_tokenizer = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_processor = False

    def __init__(
        self, *args: Any, classifier: str | Pipeline | PreTrainedModel | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.model.config.model_type != MODEL_TYPE:
            raise ValueError(
                f'`model` of the span-localization pipeline must be of type "{MODEL_TYPE}", got '
                f'"{self.model.config.model_type}"; choose a text AnchorNet.'
            )
        SpanOptions(**self._forward_params).validate(self.model)
        self.reader = None if classifier is None else SpanReader.load(classifier, self.device)

    def _sanitize_parameters(
        self, local_files_only: bool | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = SpanOptions.__dataclass_fields__
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise TypeError(
                f"`{unknown[0]}` is not an option of the span-localization pipeline; it knows "
                f"{', '.join(f'`{name}`' for name in known)} and, when it is made, `classifier`."
            )
        if isinstance(options.get("labels"), str):
            options["labels"] = [options["labels"]]
        return {}, {k: v for k, v in options.items() if v is not None}, {}

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Localize one text (a dict) or several (a list; for a generator or dataset an iterator).

        Raises:
            TypeError: if an input is not a string, naming its place in the batch.
        """
        if isinstance(inputs, Sequence) and not isinstance(inputs, str):
            inputs = list(_check_texts(inputs))
            if not inputs:
                return []
        elif isinstance(inputs, GeneratorType):
            inputs = _check_texts(inputs)
        options = {**self._forward_params, **self._sanitize_parameters(**{k: v for k, v in kwargs.items() if k not in _CALL_OPTIONS})[1]}
        SpanOptions(**options).validate(self.model)
        return super().__call__(inputs, **kwargs)

    def preprocess(self, inputs: str) -> dict[str, Any]:
        """Tokens of a text, of any length, and where they stand in it."""
        if not isinstance(inputs, str):
            raise TypeError(f"A text must be a string, got {type(inputs).__name__}: {inputs!r:.80}")
        encoded = self.tokenizer(
            encodable(inputs),
            add_special_tokens=False,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        ids = torch.tensor([encoded["input_ids"]], dtype=torch.long)  # (1, tokens)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "offsets": encoded["offset_mapping"],
            "text": inputs,
        }

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        chosen = SpanOptions(**options)
        texts, offsets = model_inputs["text"], model_inputs["offsets"]
        if isinstance(texts, str):  # not batched
            texts, offsets = [texts], [offsets]
        mask = model_inputs["attention_mask"]
        output = self.model(model_inputs["input_ids"], mask, output_evidence=True)
        multi_label = self.model.config.problem_type == "multi_label_classification"
        evidence = output.evidence if multi_label else [*map(center_evidence, output.evidence)]
        attribution = attribute_tokens(evidence, self.model.windows, mask.sum(dim=1), mask.shape[1])
        attribution = attribution.cpu().numpy()  # (batch, tokens, labels)
        located = [LocatedText.build(*item) for item in zip(texts, offsets, attribution, strict=True)]
        labels = self._labels_to_explain(output.logits, chosen)
        shown = self._choose_spans(located, evidence, mask, labels, chosen)
        probs = output.logits.sigmoid() if multi_label else output.logits.softmax(dim=-1)
        results = [
            self._describe(*item) for item in zip(located, probs, shown, strict=True)
        ]
        if self.reader is not None:
            max_tokens = 64 if chosen.max_tokens is None else chosen.max_tokens
            self._read(located, results, max_tokens)
        return {"results": results}

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """The answer for one text."""
        results = model_outputs["results"]
        return results[0] if isinstance(results, list) else results

    def _labels_to_explain(self, logits: Tensor, options: SpanOptions) -> Tensor:
        """Indices of the labels to explain: (batch, explained), int64."""
        if options.labels is None:
            return logits.argmax(dim=-1, keepdim=True)
        indices = [self.model.config.label2id[label] for label in options.labels]
        return torch.tensor(indices, device=logits.device).expand(len(logits), -1)

    def _choose_spans(
        self,
        located: Sequence[LocatedText],
        evidence: Sequence[Tensor],
        mask: Tensor,
        labels: Tensor,
        options: SpanOptions,
    ) -> list[list[ShownSpan]]:
        """The spans to show for each text."""
        if options.max_tokens is not None and self.reader is None:
            sizes = options.scales or [window.size for window in self.model.windows]
            return [
                [span for label in explained for span in _best_set(text, label, options.max_tokens, sizes)]
                for text, explained in zip(located, labels.tolist(), strict=True)
            ]
        branches = [
            branch
            for branch in zip(evidence, self.model.windows, strict=True)
            if options.scales is None or branch[1].size in options.scales
        ]
        bounds, sizes = select_top_windows(
            *zip(*branches, strict=True), mask.sum(dim=1), labels, options.top_k, options.iou_threshold
        )
        bounds, sizes = bounds.cpu().numpy(), sizes.cpu().numpy()
        apart = not np.any(options.iou_threshold)
        return [
            [
                span
                for rank, label in enumerate(labels[row].tolist())
                for span in _top_spans(text, label, bounds[row, rank], sizes[row, rank], apart)
            ]
            for row, text in enumerate(located)
        ]

    def _describe(
        self, located: LocatedText, probs: Tensor, shown: Sequence[ShownSpan]
    ) -> dict[str, Any]:
        """The answer of the localizer alone."""
        score, label = probs.max(dim=-1)
        text, id2label = located.words.text, self.model.config.id2label
        whole = np.abs(located.attribution).sum(axis=0)  # (labels,)
        spans, covered = [], np.zeros(len(text), dtype=bool)
        for span in shown:
            start, end = located.words.span(span.first, span.last)
            covered[start:end] = True
            evidence = float(located.attribution[span.first : span.last, span.label].sum())
            spans.append(
                {
                    "start": start,
                    "end": end,
                    "text": text[start:end],
                    "label": id2label[span.label],
                    "evidence": evidence,
                    "share": evidence / float(whole[span.label]),
                    "scale": span.scale,
                }
            )
        return {
            "label": id2label[int(label)],
            "score": float(score),
            "spans": spans,
            "coverage": float(covered.mean()) if len(text) else 0.0,
            "cost": {"localizer_tokens": len(located.starts)},
        }

    def _read(
        self, located: Sequence[LocatedText], results: Sequence[dict[str, Any]], max_tokens: int
    ) -> None:
        """Add to each answer what the classifier says of the text's selected spans."""
        scales = self.model.config.reading_scales or [max(w.size for w in self.model.windows)]
        costs = [self.reader.count(text.words) for text in located]
        spans = [
            self.reader.select(text, cost, max_tokens, scales)
            for text, cost in zip(located, costs, strict=True)
        ]
        texts = [join_spans(text.words, chosen) for text, chosen in zip(located, spans, strict=True)]
        answers = self.reader.classify(texts)
        for result, text, answer, cost in zip(results, texts, answers, costs, strict=True):
            read = answer.pop("tokens")
            result["classifier"] = {**answer, "stage": 1, "text": text}
            result["cost"]["classifier_tokens"] = read
            result["cost"]["full_tokens"] = int(cost.sum()) + self.reader.num_special_tokens


def _check_texts(texts: Iterable[Any]) -> Iterator[str]:
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"Input {index} must be a string, got {type(text).__name__} ({text!r:.60}); "
                "leave it out or convert it."
            )
        yield text


def _top_spans(
    located: LocatedText, label: int, bounds: NDArray[np.int64], scales: NDArray[np.int64], apart: bool
) -> list[ShownSpan]:
    """Windows, best first, as whole words; `apart`: none shares a word with a better one."""
    filled = bounds[:, 0] >= 0
    snapped = located.snap(bounds[filled, 0], bounds[filled, 1])
    spans = keep_apart(snapped, len(located.words)) if apart else snapped
    return [
        ShownSpan(span[0], span[1], label, scale)
        for span, scale in zip(spans, scales[filled].tolist(), strict=True)
        if span is not None
    ]


def _best_set(
    located: LocatedText, label: int, max_tokens: int, scales: Sequence[int]
) -> list[ShownSpan]:
    """The best set of spans for a label under a budget of the localizer's own tokens."""
    costs = count_tokens(located.words, located.ends)
    spans = select_best_spans(
        located.spans(scales), located.attribution[:, label], costs, max_tokens
    )
    return [ShownSpan(first, last, label, int(costs[first:last].sum())) for first, last in spans]
