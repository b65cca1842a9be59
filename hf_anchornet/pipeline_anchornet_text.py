"""`pipeline("span-localization")`: a text's label, the spans that decided it, their shares."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset
from transformers import Pipeline, PreTrainedTokenizerBase

from .geometry_anchornet import (
    Window,
    center_evidence,
)
from .selection_anchornet import (
    check_count,
    check_iou_threshold,
)
from .span_reader_anchornet import Classifier, SpanReader
from .spans_anchornet import (
    ShownSpan,
    locate_texts,
    show_best_spans,
    show_top_spans,
)
from .words_anchornet import (
    LocatedText,
    encodable,
)

MODEL_TYPE = "anchornet_text"
DEFAULT_MAX_TOKENS = 64  # that a classifier reads


@dataclass
class SpanOptions:
    """How spans are chosen and shown; see `SpanLocalizationPipeline`."""

    top_k: int = 5
    scales: Sequence[int] | None = None
    max_tokens: int | None = None
    iou_threshold: float | Sequence[float] = 0.0
    labels: Sequence[str] | None = None

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options against each other and against the model.

        Args:
            sizes: The model's window sizes.
            labels: The model's labels.

        Raises:
            ValueError: naming the option, its value and the remedy.
        """
        check_iou_threshold(self.iou_threshold, check_count("top_k", self.top_k))
        if self.max_tokens is not None:
            check_count("max_tokens", self.max_tokens)
        _check_choice("scales", self.scales, sizes, "window sizes")
        _check_choice("labels", self.labels, labels, "labels")


class SpanLocalizationPipeline(Pipeline):
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
    (what all windows put on the span: its part of the logit, centred over the classes unless
    they are independent), `share` (the same over the sum of the absolute evidence of all words,
    in [-1, 1]) and `scale` (tokens of the window); `coverage`, the share of the text's characters
    in the spans; `cost` in tokens; and with a classifier `classifier`: its `label`, `score`,
    `stage` and the `text` that it read (stage 0: there was nothing to read, the answer is the
    localizer's).

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

    _load_tokenizer: Any = True
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_processor: Any = False

    def __init__(self, *args: Any, classifier: Classifier | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config: Any = self.model.config
        if config.model_type != MODEL_TYPE:
            raise ValueError(
                f'`model` of the span-localization pipeline must be of type "{MODEL_TYPE}", got '
                f'"{config.model_type}"; choose a text AnchorNet.'
            )
        if self.tokenizer is None or not self.tokenizer.is_fast:
            raise ValueError(
                "`tokenizer` of the span-localization pipeline must be a fast one, got "
                f"{type(self.tokenizer).__name__}; pass the one that the model was trained with."
            )
        self.windows = cast(tuple[Window, ...], self.model.windows)
        self.reading_scales = cast(list[int], self.model.reading_scales)
        self.labels: list[str] = [config.id2label[index] for index in range(config.num_labels)]
        self.multi_label = config.problem_type == "multi_label_classification"
        self.reader = None if classifier is None else SpanReader.load(classifier, self.device)
        self._check_options()

    def _sanitize_parameters(
        self, local_files_only: bool | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = [field.name for field in fields(SpanOptions)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise TypeError(
                f"`{unknown[0]}` is not an option of the span-localization pipeline; it knows "
                f"{', '.join(f'`{name}`' for name in known)} and, when it is made, `classifier`."
            )
        for name in ("scales", "labels"):
            value = options.get(name)
            if isinstance(value, str) or not isinstance(value, Iterable | None):
                options[name] = [value]
        return {}, {name: value for name, value in options.items() if value is not None}, {}

    def _check_options(self, **options: Any) -> None:
        """Check the options of this call on top of those of the pipeline."""
        chosen = SpanOptions(**self._forward_params | self._sanitize_parameters(**options)[1])
        chosen.validate([window.size for window in self.windows], self.labels)
        if self.reader is not None and chosen.max_tokens is not None:
            self.reader.check_budget(chosen.max_tokens)

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        num_workers: int | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Localize one text or several.

        Args:
            inputs: A text gives a dict, a list a list; a generator or dataset of texts streams.
            args: None; as in every pipeline.
            num_workers: Processes that tokenize a dataset.
            batch_size: Texts in one forward pass.
            options: As for the pipeline; they hold for this call.

        Raises:
            TypeError: if an input is not a string, naming its place.
            ValueError: if an option is out of range.
        """
        self._check_options(**options)
        if isinstance(inputs, list | tuple):
            inputs = list(_check_texts(inputs))
            if not inputs:
                return []
        elif not isinstance(inputs, str | bytes | Mapping):
            if isinstance(inputs, Sequence | Dataset) and not isinstance(inputs, IterableDataset):
                inputs = _Texts(inputs)
            elif isinstance(inputs, Iterable):
                inputs = _check_texts(inputs)
        options |= {"num_workers": num_workers, "batch_size": batch_size}
        return super().__call__(inputs, *args, **options)  # type: ignore[no-untyped-call]

    def preprocess(self, input_: Any, **_: Any) -> dict[str, Any]:
        """Tokens of a text, of any length, and where they stand in it."""
        if not isinstance(input_, str):
            raise TypeError(
                f"`inputs` must be a string, or a list, generator or dataset of strings, got "
                f"{type(input_).__name__} ({input_!r:.60}); convert it."
            )
        encoded = cast(PreTrainedTokenizerBase, self.tokenizer)(
            encodable(input_),
            add_special_tokens=False,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        offsets = encoded["offset_mapping"]
        # Without a token, one that is masked: `Pipeline` cannot pad an empty row on the left.
        return {
            "input_ids": torch.tensor([encoded["input_ids"] or [0]]),  # (1, tokens)
            "attention_mask": torch.tensor([[1] * len(offsets) or [0]]),
            "offsets": offsets,
            "text": input_,
        }

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        chosen = SpanOptions(**options)
        texts, offsets = input_tensors["text"], input_tensors["offsets"]
        if isinstance(texts, str):  # not batched
            texts, offsets = [texts], [offsets]
        output = self.model(
            input_tensors["input_ids"], input_tensors["attention_mask"], output_evidence=True
        )
        # Independent classes: a sigmoid sees all of the evidence, a softmax only its differences.
        evidence = output.evidence if self.multi_label else [*map(center_evidence, output.evidence)]
        probs = output.logits.sigmoid() if self.multi_label else output.logits.softmax(dim=-1)
        located = locate_texts(texts, offsets, evidence, self.windows)
        shown = self._choose_spans(located, evidence, probs, chosen)
        results = [self._describe(*item) for item in zip(located, probs, shown, strict=True)]
        if self.reader is not None:
            self._read(self.reader, located, results, chosen.max_tokens or DEFAULT_MAX_TOKENS)
        return {"results": results}

    def postprocess(self, model_outputs: Any, **_: Any) -> Any:
        """The answer for one text."""
        results = model_outputs["results"]
        return results[0] if isinstance(results, list) else results

    def _choose_spans(
        self,
        located: Sequence[LocatedText],
        evidence: Sequence[Tensor],
        probs: Tensor,
        options: SpanOptions,
    ) -> list[list[ShownSpan]]:
        """The spans to show for each text."""
        labels = probs.argmax(dim=-1, keepdim=True)  # (batch, explained)
        if options.labels is not None:
            indices = [self.labels.index(label) for label in options.labels]
            labels = torch.tensor(indices, device=probs.device).expand(len(probs), -1)
        scales = options.scales or [window.size for window in self.windows]
        if options.max_tokens is not None and self.reader is None:
            return [
                show_best_spans(text, explained, options.max_tokens, scales)
                for text, explained in zip(located, labels.tolist(), strict=True)
            ]
        branches = [i for i, window in enumerate(self.windows) if window.size in scales]
        return show_top_spans(
            located,
            [evidence[i] for i in branches],
            [self.windows[i] for i in branches],
            labels,
            options.top_k,
            options.iou_threshold,
        )

    def _describe(
        self, located: LocatedText, probs: Tensor, shown: Sequence[ShownSpan]
    ) -> dict[str, Any]:
        """The answer of the localizer alone."""
        score, label = probs.max(dim=-1)
        whole = np.abs(located.attribution).sum(axis=0)  # (labels,), > 0 for one with spans
        spans = [
            _describe_span(located, span, self.labels[span.label], float(whole[span.label]))
            for span in shown
        ]
        covered = np.zeros(len(located.words.text), dtype=bool)
        for span in spans:
            covered[span["start"] : span["end"]] = True
        return {
            "label": self.labels[int(label)],
            "score": float(score),
            "spans": spans,
            "coverage": float(covered.mean()) if len(covered) else 0.0,
            "cost": {"localizer_tokens": len(located.starts)},
        }

    def _read(
        self,
        reader: SpanReader,
        located: Sequence[LocatedText],
        results: Sequence[dict[str, Any]],
        max_tokens: int,
    ) -> None:
        """Add to each answer what the classifier says of the text's selected spans."""
        readings = reader.read(located, max_tokens, self.reading_scales)
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


class _Texts(Dataset[str]):
    """A sequence or dataset of texts that says which of them is none."""

    def __init__(self, texts: Any) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> str:
        return _check_text(self.texts[index], index)


def _check_texts(texts: Iterable[Any]) -> Iterator[str]:
    return (_check_text(text, index) for index, text in enumerate(texts))


def _check_text(text: Any, index: int) -> str:
    if not isinstance(text, str):
        raise TypeError(
            f"`inputs` must hold strings only, got {type(text).__name__} at index {index} "
            f"({text!r:.60}); leave it out or, for a dataset, pass its text column."
        )
    return text


def _check_choice(name: str, chosen: Any, known: Sequence[Any], what: str) -> None:
    if chosen is not None and (not chosen or set(chosen) - set(known)):
        raise ValueError(
            f"`{name}` must be one or more of this model's {what} {sorted(set(known))}, got "
            f"{list(chosen)}; leave it out for the default."
        )


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
