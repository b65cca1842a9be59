"""Train a text localizer: from a data source and options to a folder that pipelines load."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from datasets import Dataset, IterableDataset
from transformers import (
    PreTrainedTokenizerBase,
)

from hf_anchornet.data.splits import DataOptions, label_fields
from hf_anchornet.data.texts import load_labelled_texts, tokenize
from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.publish.training_card import document_training

from .distillation import PIECE_WORDS, Teaching, add_taught_pieces
from .options import TrainingOptions
from .stream_sources import make_stream_loader, open_training_stream
from .streams import StreamLoader
from .text_streams import load_first_texts, make_text_batch
from .text_vocabulary import count_ngrams, embed_vocabulary, load_tokenizer, train_tokenizer
from .training import make_accelerator, train_classifier


@dataclass
class LocalizerOptions:
    """What a text localizer looks like and where it starts.

    Attributes:
        tokenizer: Checkpoint whose tokenizer to take; `None`: train one on the training split.
        vocab_size: Largest vocabulary of a tokenizer trained here.
        embeddings: Encoder checkpoint to take the first embeddings from; `None`: random.
        teacher: Classifier checkpoint to learn from, next to the labels; see `add_taught_pieces`.
        distillation_weight: Share of the teacher in what pieces of texts teach, in [0, 1].
        piece_words: Fewest and most words of these pieces; see `cut_into_pieces`.
        hidden_size: Width of embeddings and trunk.
        kernel_sizes: Kernel size of each layer.
        dilations: Dilation of each layer; empty: all 1.
        ngram_sizes: Sizes of the n-grams with a score of their own.
        ngram_min_count: Occurrences that make an n-gram known.
        gated: Whether each window of the trunk weights its own score by a learned number in (0, 1).
        hidden_dropout_prob: Dropout before each branch's linear map.
        token_dropout_prob: Chance to blank a token.
        ngram_dropout_prob: Chance to drop an n-gram.
        auxiliary_loss_weight: Weight of the branches' own losses.
        evidence_penalty: Weight of the total absolute evidence of the trunk.
        ngram_penalty: The same of the n-grams.
        crop_tokens: Tokens of the random piece of each text that a step sees.
    """

    tokenizer: str | None = None
    vocab_size: int = 24_000
    embeddings: str | None = None
    teacher: str | None = None
    distillation_weight: float = 0.9
    piece_words: list[int] = field(default_factory=lambda: list(PIECE_WORDS))
    hidden_size: int = 128
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    dilations: list[int] = field(default_factory=list)
    ngram_sizes: list[int] = field(default_factory=lambda: [1, 2, 3])
    ngram_min_count: int = 10
    gated: bool = True
    hidden_dropout_prob: float = 0.3
    token_dropout_prob: float = 0.15
    ngram_dropout_prob: float = 0.5
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.01
    ngram_penalty: float = 0.05
    crop_tokens: int = 250

    def __post_init__(self) -> None:
        """Check what the configuration does not."""
        if not 0 <= self.distillation_weight <= 1:
            raise ValueError(
                f"`distillation_weight` must be in [0, 1], got {self.distillation_weight}."
            )
        if len(self.piece_words) != 2 or not 1 <= self.piece_words[0] <= self.piece_words[1]:
            raise ValueError(
                "`piece_words` must be the fewest and the most words of a piece, got "
                f"{self.piece_words}; try 16 48."
            )


def train_localizer(
    data: DataOptions,
    localizer: LocalizerOptions,
    options: TrainingOptions,
    model_class: type[
        AnchorNetTextForSequenceClassification
    ] = AnchorNetTextForSequenceClassification,
) -> dict[str, Any]:
    """Train a localizer and save the best checkpoint with its tokenizer in `output_dir`.

    Args:
        data: Texts and labels.
        localizer: What it looks like and where it starts.
        options: How to train.
        model_class: Class of the model, which may regularise in its own way.

    Returns:
        The report of `training.train`, also written to `training.json`.
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        stream = _open_stream(data, localizer) if data.streaming else None
        train_rows, validation_rows, labels = (
            load_labelled_texts(data)
            if stream is None
            else load_first_texts(stream, data, options.seed)
        )
        tokenizer = make_tokenizer(localizer, train_rows[data.text_column])
        train_set = tokenize(train_rows, tokenizer, data, labels)
        validation_set = tokenize(validation_rows, tokenizer, data, labels)
        model = make_localizer(localizer, tokenizer, train_set, labels, model_class)
        if localizer.teacher is not None:
            train_set = add_taught_pieces(
                train_set,
                train_rows,
                tokenizer,
                data,
                labels,
                Teaching(localizer.teacher, localizer.distillation_weight, localizer.piece_words),
                accelerator,
            )
        learned: Dataset | StreamLoader = train_set
        if stream is not None:
            make_batch = make_text_batch(stream, tokenizer, data, labels, localizer.crop_tokens)
            learned = make_stream_loader(data, stream, make_batch, options, accelerator)
    report = train_classifier(
        model,
        tokenizer,
        learned,
        validation_set,
        options,
        accelerator,
        localizer.crop_tokens,
        asdict(data) | asdict(localizer) | {"model_class": model_class.__name__},
    )
    return document_training(report, data, train_rows if stream is None else learned, accelerator)


def _open_stream(data: DataOptions, localizer: LocalizerOptions) -> IterableDataset:
    if localizer.teacher is not None:
        raise ValueError(
            f"`teacher` must be None with `streaming`, got {localizer.teacher}: it reads all texts "
            "before the training; leave one of them out."
        )
    return open_training_stream(data, data.text_column)


def make_tokenizer(localizer: LocalizerOptions, texts: Sequence[str]) -> PreTrainedTokenizerBase:
    """The tokenizer of an existing checkpoint, or one trained on `texts`."""
    if localizer.tokenizer is not None:
        return load_tokenizer(localizer.tokenizer)
    return train_tokenizer(texts, localizer.vocab_size)


def make_localizer(
    localizer: LocalizerOptions,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset,
    labels: list[str],
    model_class: type[
        AnchorNetTextForSequenceClassification
    ] = AnchorNetTextForSequenceClassification,
) -> AnchorNetTextForSequenceClassification:
    """A fresh localizer with the n-grams of `train_set` and, if asked, pretrained embeddings.

    A size of n-grams of which none occurs often enough is left out.
    """
    vocab_size = len(tokenizer)
    counted = {
        size: count_ngrams(train_set, size, localizer.ngram_min_count, vocab_size)
        for size in localizer.ngram_sizes
    }
    ngrams = {size: codes for size, codes in counted.items() if len(codes)}
    problem_type: Literal["single_label_classification", "multi_label_classification"]
    multi_label = isinstance(train_set[0]["labels"], list)
    problem_type = "multi_label_classification" if multi_label else "single_label_classification"
    config = AnchorNetTextConfig(
        vocab_size=vocab_size,
        embedding_size=localizer.hidden_size,
        hidden_size=localizer.hidden_size,
        kernel_sizes=localizer.kernel_sizes,
        dilations=localizer.dilations,
        ngram_sizes=list(ngrams),
        ngram_counts=[len(codes) for codes in ngrams.values()],
        gated=localizer.gated,
        hidden_dropout_prob=localizer.hidden_dropout_prob,
        token_dropout_prob=localizer.token_dropout_prob,
        ngram_dropout_prob=localizer.ngram_dropout_prob,
        auxiliary_loss_weight=localizer.auxiliary_loss_weight,
        evidence_penalty=localizer.evidence_penalty,
        ngram_penalty=localizer.ngram_penalty,
        pad_token_id=tokenizer.pad_token_id,
        problem_type=problem_type,
        **label_fields(labels),
    )
    model = model_class(config)
    for size, codes in ngrams.items():
        model.ngrams.set_codes(size, codes)
    if localizer.embeddings is not None:
        table = embed_vocabulary(tokenizer, localizer.embeddings, config.embedding_size)
        with torch.no_grad():
            model.anchornet.embeddings.weight.copy_(table)
    return model
