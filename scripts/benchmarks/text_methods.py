"""Methods on texts: the full text, parts chosen in several ways, and a localizer's spans."""

import warnings
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_anchornet.data.splits import DataOptions, load_split, number_labels
from hf_anchornet.evaluation.text_controls import CONTROLS, select_random_spans
from hf_anchornet.model.backend import EAGER
from hf_anchornet.model.cascade_rule import NGRAMS
from hf_anchornet.model.classifier import count_readable_tokens
from hf_anchornet.model.text_localizer import LocalizedTexts, TextLocalizer
from hf_anchornet.model.text_reader import SpanReader, join_spans
from hf_anchornet.model.text_words import Span, Words, encodable
from hf_anchornet.training.text_adaptation import FULL_TOKENS
from scripts.benchmarks.methods import (
    Method,
    Models,
    Probs,
    Steps,
    combine_steps,
    measure_size,
    order_labels,
    to_probs,
)


@dataclass
class TextModels(Models):
    """The models that are compared, and how they read.

    Attributes:
        max_tokens: Budget of every reading but the full ones, special tokens included.
        precision: Type of the classifiers' weights: "float32" or "bfloat16".
    """

    max_tokens: int = 64
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Check the names."""
        super().__post_init__()
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(
                f'`precision` must be "float32" or "bfloat16", got {self.precision!r}.'
            )


def load_texts(data: DataOptions, split: str, labels: Sequence[str]) -> tuple[list[str], list[int]]:
    """Texts of a split, sorted by length so that batches hold little padding, and targets."""
    rows = load_split(data, split)
    targets = number_labels(rows, data.label_column, labels)
    texts = rows[data.text_column]
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    return [texts[row] for row in order], [targets[row] for row in order]


def make_text_methods(
    models: TextModels, labels: Sequence[str], backend: str = EAGER
) -> dict[str, Method]:
    """Every method but the cascades.

    Args:
        models: The models to compare.
        labels: Names of the labels in the order of the targets.
        backend: Backend of the networks; see `make_network`.
    """

    @cache
    def load(folder: str) -> Classify:
        return Classify.load(folder, labels, models.precision, backend)

    full = load(models.folders["full"])
    localizer = Localize(TextLocalizer.load(models.localizer, backend=backend), labels)
    whole = Steps({"classify": full}, size=measure_size(models.folders["full"]))
    methods: dict[str, Method] = {
        "full": whole,
        "windows": Steps({"classify": full.classify_windows}, size=whole.size),
        "int8": Steps({"classify": full.quantize()}, whole),
    }

    def read_parts(
        reading: str, choose: Callable[[Words, NDArray[np.int64], int], list[Span]]
    ) -> Steps:
        classify = load(models.find_folder(reading))
        choose_texts = partial(classify.choose, choose=choose, max_tokens=models.max_tokens)
        size = measure_size(models.find_folder(reading))
        return Steps({"select": choose_texts, "classify": classify}, size=size)

    for reading, control in CONTROLS.items():
        methods[reading] = read_parts(reading, control)
    methods["random"] = read_parts(
        "random", partial(_choose_random, scales=localizer.localizer.reading_scales)
    )
    size = measure_size(models.localizer)
    if localizer.localizer.ngram_windows:
        methods["ngrams"] = Steps({"look up": localizer.glance}, size=size)
    methods["localizer"] = Steps({"localize": localizer.predict}, size=size)
    folder = models.find_folder("spans")
    spans, size = load(folder), measure_size(models.localizer, folder)
    choose = partial(spans.choose_spans, max_tokens=models.max_tokens)
    return methods | combine_steps("spans", localizer, localizer.rate, choose, spans, size)


def _choose_random(
    words: Words, costs: NDArray[np.int64], budget: int, scales: Sequence[int]
) -> list[Span]:
    """Random windows of as many words as the localizer's scales have tokens, seeded by the text."""
    spans = {
        (first, min(first + scale, len(words))) for scale in scales for first in range(len(words))
    }
    return select_random_spans(sorted(spans), costs, budget, zlib.crc32(words.text.encode()))


class Localize:
    """A localizer; a call returns its view of texts.

    Args:
        localizer: The localizer with its tokenizer.
        labels: Names of the labels in the order of the probabilities.
    """

    def __init__(self, localizer: TextLocalizer, labels: Sequence[str]) -> None:
        self.localizer = localizer
        self.order = order_labels(localizer.model, labels)

    def __call__(self, texts: Sequence[str]) -> LocalizedTexts:
        """Evidence, attribution and logits of all texts, in one batch."""
        view = self.localizer.read(texts)
        view.locate()
        return view

    def rate(self, view: LocalizedTexts) -> Probs:
        """The probabilities of this view."""
        return to_probs(view.logits, self.order)

    def glance(self, texts: Sequence[str]) -> Probs:
        """The probabilities by the n-grams alone, whose evidence is computed as well."""
        return self.rate(self.localizer.start(texts, [NGRAMS]))

    @torch.inference_mode()
    def predict(self, texts: Sequence[str]) -> Probs:
        """The probabilities alone."""
        local = self.localizer
        logits = _run(local.network, local.tokenizer, texts, add_special_tokens=False)
        return to_probs(logits, self.order)


class Classify:
    """A classifier; a call returns probabilities of texts.

    Args:
        reader: The classifier with its tokenizer.
        labels: Names of the labels in the order of the probabilities.
    """

    def __init__(self, reader: SpanReader, labels: Sequence[str]) -> None:
        self.reader, self.labels = reader, labels
        self.order = order_labels(reader.model, labels)
        self.full_tokens = count_readable_tokens(reader.model, reader.tokenizer, FULL_TOKENS)

    @classmethod
    def load(
        cls, folder: str, labels: Sequence[str], precision: str = "float32", backend: str = EAGER
    ) -> "Classify":
        """A classifier from a folder or Hub id."""
        reader = SpanReader.load(folder, backend=backend)
        reader.model.to(getattr(torch, precision))
        return cls(reader, labels)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Probs:
        """Probabilities of texts, cut to the length of a full reading."""
        limit = {"truncation": True, "max_length": self.full_tokens}
        logits = _run(self.reader.network, self.reader.tokenizer, texts, **limit)
        return to_probs(logits, self.order)

    @torch.inference_mode()
    def classify_windows(self, texts: Sequence[str]) -> Probs:
        """Mean probabilities over consecutive windows of each text, as long as a full reading."""
        inputs = self.reader.tokenizer(
            [encodable(text) for text in texts],
            truncation=True,
            max_length=self.full_tokens,
            return_overflowing_tokens=True,
        )
        owner = torch.tensor(inputs.pop("overflow_to_sample_mapping"))
        probs = torch.cat(
            [
                self.reader.network(**batch).logits.float().softmax(dim=-1)
                for batch in _split_windows(self.reader.tokenizer, inputs)
            ]
        )
        sums = torch.zeros(len(texts), probs.shape[1]).index_add_(0, owner, probs)
        means: Probs = (sums / owner.bincount()[:, None]).numpy()[:, self.order]
        return means

    def choose(
        self,
        texts: Sequence[str],
        choose: Callable[[Words, NDArray[np.int64], int], list[Span]],
        max_tokens: int,
    ) -> list[str]:
        """The parts of each text that a control selects."""
        budget, split = max_tokens - self.reader.num_special_tokens, map(Words.split, texts)
        return [
            join_spans(words, choose(words, self.reader.count(words), budget)) for words in split
        ]

    def choose_spans(self, view: LocalizedTexts, max_tokens: int) -> list[str]:
        """The spans of each text that the localizer selects, joined."""
        chosen = []
        for located in view.locate():
            costs = self.reader.count(located.words)
            spans = self.reader.select(located, costs, max_tokens, view.localizer.reading_scales)
            chosen.append(join_spans(located.words, spans))
        return chosen

    def quantize(self) -> "Classify":
        """The same classifier with linear maps in dynamic int8."""
        model = deepcopy(self.reader.model).float()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch recommends torchao
            small = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
                model, {nn.Linear}, torch.qint8
            )
        return Classify(SpanReader(small, self.reader.tokenizer), self.labels)


def _run(model: Any, tokenizer: Any, texts: Sequence[str], **kwargs: Any) -> Tensor:
    """Logits of texts; `kwargs` go to the tokenizer."""
    inputs = tokenizer(
        [encodable(text) for text in texts],
        padding=True,
        return_tensors="pt",
        verbose=False,
        **kwargs,
    )
    ids, mask = inputs["input_ids"].long(), inputs["attention_mask"].long()  # floats without tokens
    logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits


def _split_windows(tokenizer: Any, inputs: Any, batch_size: int = 32) -> Any:
    """Padded batches of windows, in order."""
    for start in range(0, len(inputs["input_ids"]), batch_size):
        rows = {name: values[start : start + batch_size] for name, values in inputs.items()}
        yield tokenizer.pad(rows, return_tensors="pt")
