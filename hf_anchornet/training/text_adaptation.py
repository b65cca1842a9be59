"""Training of a text classifier on what it will read: spans, a control, or the full text."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_anchornet.data.splits import DataOptions, label_fields, number_labels, refuse_streams
from hf_anchornet.data.texts import check_texts, load_labelled_texts
from hf_anchornet.evaluation.localization import localize_texts
from hf_anchornet.evaluation.text_controls import CONTROLS, select_random_spans
from hf_anchornet.model.classifier import count_readable_tokens, label_names
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_reader import SpanReader, join_spans
from hf_anchornet.model.text_words import LocatedText, Span, Words, encodable
from hf_anchornet.publishing.training_card import document_training

from .adapters import add_adapters
from .command import write_command
from .defaults import complete_options
from .fit import check_localizer_labels, fit_text_model, make_accelerator, preparing_data
from .options import CompleteOptions, TrainingOptions
from .output_folder import holding_folder
from .pretrained import bound_memory, choose_text_defaults, load_text_classifier
from .text_vocabulary import embed_vocabulary, train_tokenizer

FULL_TOKENS = 512
"""Longest full text in tokens, special ones included; less if the classifier reads less."""

READINGS = ("spans", "mix", "full", "random", "crops", *CONTROLS)


@dataclass
class TextClassifierOptions:
    """A text classifier, and what it reads of each text.

    Attributes:
        localizer: Folder or Hub id of the localizer that selects the spans. Needed for the readings
            "spans", "mix" and "random".
        classifier: Checkpoint to start from; by default a new small BERT.
        reading: Part of a text that the classifier reads: "spans" (selected by the localizer) or
            "mix" (the spans under each of `budgets`). For comparison: "full" (the whole text);
            under the same `max_tokens` "random" (random spans of the same sizes), "head",
            "head_and_tail", "textrank" or "tfidf" (the best ranked sentences), "crop" (consecutive
            words from anywhere); "crops" (a crop under each of `budgets`).
        max_tokens: Most tokens that the classifier reads of a text, special tokens included.
            Larger is usually more accurate, and slower. A full text is cut to 512 tokens instead.
        budgets: Values of `max_tokens` under which "mix" and "crops" read every text once per
            epoch; 512 or more stands for the full text.
        embeddings: Encoder checkpoint from which a new classifier's embeddings are computed;
            random by default.
        vocab_size: Largest number of tokens of a new classifier's tokenizer.
        hidden_size: Width of a new classifier. Larger is usually more accurate, and slower.
        num_layers: Number of layers of a new classifier. More is usually more accurate, and slower.
        lora_rank: Rank of low-rank adapters, which are trained instead of all weights of
            `classifier`; 0: none. The folder then holds these and names the checkpoint: 1 to 2 MB
            for rank 16 of MiniLM-L6. Needs peft (extra `minilm`).
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
    lora_rank: int = 0

    def __post_init__(self) -> None:
        """Check the reading and what it needs."""
        if self.reading not in READINGS:
            raise ValueError(f"`reading` must be one of {READINGS}, got {self.reading!r}.")
        if self.localizer is None and self.reads_spans:
            raise ValueError(
                f'`localizer` must be a folder or Hub id to read "{self.reading}", got None.'
            )
        if self.lora_rank < 0 or (self.lora_rank and self.classifier is None):
            raise ValueError(
                "`lora_rank` must be 0, or at least 1 with a `classifier` whose weights stay, got "
                f"{self.lora_rank}; name the checkpoint by `classifier`."
            )
        if not self.budgets:
            raise ValueError("`budgets` must hold at least one number of tokens, got [].")

    @property
    def reads_spans(self) -> bool:
        """Whether the localizer selects what is read."""
        return self.reading in ("spans", "mix", "random")

    @property
    def length(self) -> int:
        """The most tokens of what is read under one budget, special tokens included."""
        return FULL_TOKENS if self.reading == "full" else self.max_tokens

    def describe_reading(self) -> str:
        """The part of each text that the classifier reads, in words."""
        if self.reading == "full":
            return f"the full text, at most its first {FULL_TOKENS} tokens"
        limits = self.budgets if self.reading in ("mix", "crops") else [self.max_tokens]
        return f"{self.reading}, at most {', '.join(map(str, limits))} tokens"

    def split_mix(self) -> "list[TextClassifierOptions]":
        """The readings of which "mix" or "crops" consists; any other reading alone."""
        if self.reading not in ("mix", "crops"):
            return [self]
        part = "spans" if self.reading == "mix" else "crop"
        return [
            replace(self, reading="full" if size >= FULL_TOKENS else part, max_tokens=size)
            for size in self.budgets
        ]


def choose_texts(
    options: TextClassifierOptions, reader: SpanReader, texts: Sequence[str]
) -> list[list[str]]:
    """The texts that the classifier reads, one list for each of `options.split_mix()`.

    Each text is localized once, however many readings there are.

    Raises:
        ValueError: if `max_tokens` or one of `budgets` leaves no room for text, or is more than
            the classifier reads.
    """
    readings = options.split_mix()
    name = "max_tokens" if options in readings else "budgets"
    for reading in readings:
        if reading.reading != "full":
            reader.check_budget(reading.max_tokens, name)
    views: Iterable[LocatedText | None] = [None] * len(texts)
    scales: Sequence[int] = []
    if options.reads_spans:
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
    readings: Sequence[TextClassifierOptions],
    reader: SpanReader,
    text: str,
    view: LocatedText | None,
    scales: Sequence[int],
    seed: int,
) -> list[str]:
    """The parts of one text that the classifier reads, one for each reading.

    Args:
        readings: From `TextClassifierOptions.split_mix`.
        reader: The classifier.
        text: The text.
        view: Words and their attribution, for "spans" and "random".
        scales: Sizes of the spans, in tokens of the localizer.
        seed: Seed of random spans.
    """
    if all(reading.reading == "full" for reading in readings):
        return [text] * len(readings)
    words = Words.split(text) if view is None else view.words
    costs = reader.count(words)

    def select(options: TextClassifierOptions) -> list[Span]:
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


def make_text_classifier(
    options: TextClassifierOptions, texts: Sequence[str], labels: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The classifier to train, a checkpoint or a new small BERT, and its tokenizer.

    Raises:
        ValueError: if the checkpoint is a classifier of other labels.
    """
    if options.classifier is not None:
        return load_text_classifier(options.classifier, labels)
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
    options: TextClassifierOptions,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    data: DataOptions,
    labels: Sequence[str],
) -> Dataset:
    """The tokenized readings of a split: columns `input_ids`, `length` and `labels`.

    A mix has a row for each text and each of its readings.
    """
    check_texts(rows, data.text_column)
    reader, targets = SpanReader(model, tokenizer), number_labels(rows, data.label_column, labels)
    readings, ids = options.split_mix(), list[list[int]]()
    chosen = choose_texts(options, reader, rows[data.text_column])
    for reading, texts in zip(readings, chosen, strict=True):
        limit = count_readable_tokens(model, tokenizer, reading.length)
        inputs = [encodable(text) for text in texts]
        ids += tokenizer(inputs, truncation=True, max_length=limit)["input_ids"]
    lengths = [len(row) for row in ids]
    targets *= len(readings)
    return Dataset.from_dict({"input_ids": ids, "length": lengths, "labels": targets})


def adapt_text_classifier(
    data: DataOptions, classifier: TextClassifierOptions, options: TrainingOptions
) -> dict[str, Any]:
    """The report of a training that saves the best text classifier in `output_dir`.

    Returns:
        The report of `run_training` with a description of the data, as in `training.json`.

    Raises:
        ValueError: if the data has other labels than the localizer.
    """
    refuse_streams(data)
    longest = max(reading.length for reading in classifier.split_mix())
    options = bound_memory(classifier.classifier, longest, options)
    accelerator = make_accelerator(options)  # it counts the batches of a step
    with holding_folder(options.output_dir, accelerator):
        defaults = choose_text_defaults(classifier.classifier, classifier.lora_rank)
        complete = complete_options(options, defaults)
        return _adapt(data, classifier, complete, accelerator)


def _adapt(
    data: DataOptions,
    classifier: TextClassifierOptions,
    options: CompleteOptions,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """See `adapt_text_classifier`."""
    with preparing_data(accelerator):
        train_rows, validation_rows, labels = load_labelled_texts(data)
        if classifier.localizer is not None and classifier.reads_spans:
            check_localizer_labels(classifier.localizer, labels)
        model, tokenizer = make_text_classifier(classifier, train_rows[data.text_column], labels)
        labels = label_names(model)
        train_set = encode_readings(classifier, model, tokenizer, train_rows, data, labels)
        validation_set = encode_readings(
            classifier, model, tokenizer, validation_rows, data, labels
        )
    settings = asdict(data) | asdict(classifier)
    learner = add_adapters(model, classifier.lora_rank) if classifier.lora_rank else model
    report = fit_text_model(
        learner, tokenizer, train_set, validation_set, options, accelerator, settings=settings
    )
    kinds = DataOptions, TextClassifierOptions, TrainingOptions
    report["command"] = write_command("adapt", kinds, report["options"])
    reading = classifier.describe_reading()
    return document_training(report, data, train_rows, accelerator, reading, validation_rows)
