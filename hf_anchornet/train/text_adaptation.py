"""Train a classifier on what it will read: selected spans, a control, or the full text."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_anchornet.data.splits import DataOptions, label_fields, number_labels
from hf_anchornet.data.texts import check_texts, load_labelled_texts
from hf_anchornet.evaluation.localization import localize_texts
from hf_anchornet.evaluation.text_controls import CONTROLS, select_random_spans
from hf_anchornet.model.classifier import count_readable_tokens
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_reader import SpanReader, join_spans
from hf_anchornet.model.text_words import LocatedText, Span, Words, encodable
from hf_anchornet.publish.training_card import document_training

from .options import TrainingOptions
from .text_vocabulary import embed_vocabulary, train_tokenizer
from .training import make_accelerator, train_classifier

FULL_TOKENS = 512
"""What a full text is cut to, special tokens included; less if the classifier reads less."""

READINGS = ("spans", "mix", "full", "random", "crops", *CONTROLS)


@dataclass
class ClassifierOptions:
    """Which classifier reads what.

    Attributes:
        localizer: Folder or Hub id of the localizer that selects the spans, where some are read.
        classifier: Checkpoint to start from; `None`: a new small BERT.
        reading: "spans" (of the localizer) or a control of the same budget: "random" (spans of
            the same sizes), "head" or "head_and_tail" (of the text), "textrank" or "tfidf" (its
            best ranked sentences), "crop" (words in a row from anywhere); "full" text; "mix" or
            "crops", the spans or a crop under each of `budgets`.
        max_tokens: The most tokens that the classifier reads, special tokens included; of the
            full text it is `FULL_TOKENS`.
        budgets: In a mix and of crops the classifier reads each text once an epoch under each of
            these limits; one of at least `FULL_TOKENS` stands for the full text.
        embeddings: Encoder checkpoint for the first embeddings of a new classifier.
        vocab_size: Vocabulary of a new classifier.
        hidden_size: Width of a new classifier.
        num_layers: Depth of a new classifier.
    """

    localizer: str | None = None
    classifier: str | None = None
    reading: str = "spans"
    max_tokens: int = 64
    budgets: list[int] = field(default_factory=lambda: [32, 64, 128, FULL_TOKENS])
    embeddings: str | None = None
    vocab_size: int = 8000
    hidden_size: int = 128
    num_layers: int = 2

    def __post_init__(self) -> None:
        """Check the reading."""
        if self.reading not in READINGS:
            raise ValueError(f"`reading` must be one of {READINGS}, got {self.reading!r}.")
        if self.localizer is None and self.reading in ("spans", "mix", "random"):
            raise ValueError(
                f'`localizer` must be a folder or Hub id to read "{self.reading}", got None.'
            )
        if not self.budgets:
            raise ValueError("`budgets` must hold at least one number of tokens, got [].")

    def split_mix(self) -> "list[ClassifierOptions]":
        """The readings that a mix or crops are made of; of any other reading, itself."""
        if self.reading not in ("mix", "crops"):
            return [self]
        part = "spans" if self.reading == "mix" else "crop"
        return [
            replace(self, reading="full" if size >= FULL_TOKENS else part, max_tokens=size)
            for size in self.budgets
        ]


def choose_texts(
    options: ClassifierOptions, reader: SpanReader, texts: Sequence[str]
) -> list[list[str]]:
    """What the classifier reads of all texts, a list for each of `options.split_mix()`.

    Each text is localized once, whatever is read of it.

    Raises:
        ValueError: if a reading's `max_tokens` leaves no room for text.
    """
    readings = options.split_mix()
    for reading in readings:
        if reading.reading != "full":
            reader.check_budget(reading.max_tokens)
    views: Iterable[LocatedText | None] = [None] * len(texts)
    scales: Sequence[int] = []
    if any(reading.reading in ("spans", "random") for reading in readings):
        assert options.localizer is not None
        localizer = TextLocalizer.load(options.localizer)
        scales = localizer.reading_scales
        views = (view for batch in localize_texts(localizer, texts) for view in batch.locate())
    progress = tqdm(zip(texts, views, strict=True), "selecting", len(texts), mininterval=5)
    chosen: list[list[str]] = [[] for _ in readings]
    for row, (text, view) in enumerate(progress):
        parts = choose_parts(readings, reader, text, view, scales, row)
        for part, kept in zip(parts, chosen, strict=True):
            kept.append(part)
    return chosen


def choose_parts(
    readings: Sequence[ClassifierOptions],
    reader: SpanReader,
    text: str,
    view: LocatedText | None,
    scales: Sequence[int],
    seed: int,
) -> list[str]:
    """What the classifier reads of one text, by each reading.

    Args:
        readings: Neither a mix nor crops.
        reader: The classifier.
        text: The text.
        view: Its words and their attribution, for spans and random spans.
        scales: Sizes of the spans, in tokens of the localizer.
        seed: Decides random spans.
    """
    if all(reading.reading == "full" for reading in readings):
        return [text] * len(readings)
    words = Words.split(text) if view is None else view.words
    costs = reader.count(words)

    def select(options: ClassifierOptions) -> list[Span]:
        budget = options.max_tokens - reader.num_special_tokens
        if options.reading in CONTROLS:
            return CONTROLS[options.reading](words, costs, budget)
        assert view is not None
        if options.reading == "spans":
            return reader.select(view, costs, options.max_tokens, scales)
        return select_random_spans(view.spans(scales), costs, budget, seed)

    return [
        text if reading.reading == "full" else join_spans(words, select(reading))
        for reading in readings
    ]


def make_classifier(
    options: ClassifierOptions, texts: Sequence[str], labels: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The classifier to train and its tokenizer: an existing checkpoint, or a new small BERT."""
    if options.classifier is not None:
        model = AutoModelForSequenceClassification.from_pretrained(
            options.classifier,
            num_labels=len(labels),
            use_safetensors=True,  # nothing pickled
            **label_fields(labels),
        )
        return model, AutoTokenizer.from_pretrained(options.classifier)
    tokenizer = train_tokenizer(texts, options.vocab_size, classifies=True)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden_size,
        num_hidden_layers=options.num_layers,
        num_attention_heads=max(1, options.hidden_size // 64),
        intermediate_size=4 * options.hidden_size,
        pad_token_id=tokenizer.pad_token_id,
        **label_fields(labels),
    )
    model = BertForSequenceClassification(config)
    if options.embeddings is not None:
        table = embed_vocabulary(tokenizer, options.embeddings, options.hidden_size)
        with torch.no_grad():
            weight = model.bert.embeddings.word_embeddings.weight
            weight.copy_(table * weight.std())
    return model, tokenizer


def encode_readings(
    options: ClassifierOptions,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    data: DataOptions,
    labels: Sequence[str],
) -> Dataset:
    """What the classifier reads of each row: columns `input_ids`, `length` and `labels`.

    Of a mix there is a row for each of its readings.
    """
    check_texts(rows, data.text_column)
    reader, targets = SpanReader(model, tokenizer), number_labels(rows, data.label_column, labels)
    readings, ids = options.split_mix(), list[list[int]]()
    chosen = choose_texts(options, reader, rows[data.text_column])
    for reading, texts in zip(readings, chosen, strict=True):
        limit = FULL_TOKENS if reading.reading == "full" else reading.max_tokens
        limit = count_readable_tokens(model, tokenizer, limit)
        inputs = [encodable(text) for text in texts]
        ids += tokenizer(inputs, truncation=True, max_length=limit)["input_ids"]
    lengths = [len(row) for row in ids]
    targets *= len(readings)
    return Dataset.from_dict({"input_ids": ids, "length": lengths, "labels": targets})


def adapt_classifier(
    data: DataOptions, classifier: ClassifierOptions, options: TrainingOptions
) -> dict[str, Any]:
    """Train a classifier on its reading and save the best checkpoint in `output_dir`.

    Returns:
        The report of `training.train`, also written to `training.json`.
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        train_rows, validation_rows, labels = load_labelled_texts(data)
        model, tokenizer = make_classifier(classifier, train_rows[data.text_column], labels)
        train_set = encode_readings(classifier, model, tokenizer, train_rows, data, labels)
        validation_set = encode_readings(
            classifier, model, tokenizer, validation_rows, data, labels
        )
    settings = asdict(data) | asdict(classifier)
    report = train_classifier(
        model, tokenizer, train_set, validation_set, options, accelerator, settings=settings
    )
    return document_training(report, data, train_rows, accelerator, classifier.reading)
