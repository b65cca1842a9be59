"""Training of a text localizer, from a data source and options to a folder that pipelines load."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset, IterableDataset
from transformers import PreTrainedTokenizerBase

from hf_anchornet.data.splits import DataOptions, label_fields
from hf_anchornet.data.texts import load_labelled_texts, tokenize
from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.publishing.training_card import document_training

from .defaults import LARGE, choose_options
from .distillation import PIECE_WORDS, Teaching, add_taught_pieces
from .fit import fit_text_model, make_accelerator, preparing_data
from .options import TrainingOptions
from .output_folder import holding_folder
from .start import Start
from .stream_sources import (
    load_first_texts,
    make_stream_loader,
    make_text_batch,
    open_training_stream,
)
from .streams import StreamLoader
from .text_vocabulary import count_ngrams, embed_vocabulary, load_tokenizer, train_tokenizer

ARCHITECTURE = ("hidden_size", "kernel_sizes", "dilations", "gated")
"""Options that a localizer to start from decides."""

REGULARISATION = (
    "hidden_dropout_prob",
    "token_dropout_prob",
    "ngram_dropout_prob",
    "auxiliary_loss_weight",
    "evidence_penalty",
    "ngram_penalty",
)
"""Options that a localizer to start from does not decide."""


@dataclass
class TextLocalizerOptions:
    """Architecture and starting point of a text localizer.

    Attributes:
        from_localizer: Trained localizer to start from: its tokenizer, embeddings and trunk, and
            with the same labels also the rest. For other labels, heads and n-grams start anew.
        encoder: Encoder checkpoint whose tokenizer is used and from which the first embeddings are
            computed: `tokenizer` and `embeddings` in one. Helps most on small sets.
        tokenizer: Checkpoint whose tokenizer is used; by default one is trained on the training
            split.
        vocab_size: Largest number of tokens of a tokenizer trained here. Larger keeps more words
            whole and makes the model bigger. By default 24,000.
        embeddings: Encoder checkpoint from which the first embeddings are computed, each token of
            the localizer read alone; random by default.
        teacher: Text classifier checkpoint of the same labels. The localizer also learns its
            probabilities for short pieces of the training texts.
        distillation_weight: Share of the teacher, in [0, 1], in the targets of these pieces; the
            rest is the label of the text.
        piece_words: Fewest and most words of a piece; pieces end at a sentence where possible.
        hidden_size: Width of embeddings and trunk. Larger is usually more accurate, and slower.
        kernel_sizes: Kernel size of each convolution, in tokens. Every layer adds a branch with
            larger windows: 3 3 gives windows of 1, 3 and 5 tokens.
        dilations: Dilation of each convolution; all 1 by default. 1 1 2 4 with kernel sizes
            3 3 3 3 gives windows of 1, 3, 5, 9 and 17 tokens.
        ngram_sizes: Lengths, in tokens, of n-grams that have a learned score of their own.
        ngram_min_count: Occurrences in the training split that make an n-gram known. Larger gives
            a smaller model and less overfitting. By default 10, or less with fewer than 20,000
            rows.
        gated: Let each window scale its evidence by a learned factor in (0, 1), which concentrates
            evidence on fewer windows.
        hidden_dropout_prob: Dropout, in [0, 1), before each branch's linear layer.
        token_dropout_prob: Probability, in [0, 1), of blanking a token in training.
        ngram_dropout_prob: Probability, in [0, 1), of dropping an n-gram's score in training.
        auxiliary_loss_weight: Weight of the loss of each branch on its own. Larger makes every
            window size predictive by itself.
        evidence_penalty: Weight of the total absolute evidence of the convolutions. Larger gives
            sparser evidence.
        ngram_penalty: Weight of the total absolute evidence of the n-grams.
        crop_tokens: Length in tokens of the random crop of each text that a step trains on.
            Larger sees more of a text and takes more memory.
    """

    from_localizer: str | None = None
    encoder: str | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    embeddings: str | None = None
    teacher: str | None = None
    distillation_weight: float = 0.9
    piece_words: list[int] = field(default_factory=lambda: list(PIECE_WORDS))
    hidden_size: int = 128
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    dilations: list[int] = field(default_factory=list)
    ngram_sizes: list[int] = field(default_factory=lambda: [1, 2, 3])
    ngram_min_count: int | None = None
    gated: bool = True
    hidden_dropout_prob: float = 0.3
    token_dropout_prob: float = 0.15
    ngram_dropout_prob: float = 0.5
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.01
    ngram_penalty: float = 0.05
    crop_tokens: int = 250

    def __post_init__(self) -> None:
        """Check what the model's configuration does not."""
        if not 0 <= self.distillation_weight <= 1:
            raise ValueError(
                f"`distillation_weight` must be in [0, 1], got {self.distillation_weight}."
            )
        if len(self.piece_words) != 2 or not 1 <= self.piece_words[0] <= self.piece_words[1]:
            raise ValueError(
                "`piece_words` must be the fewest and the most words of a piece, got "
                f"{self.piece_words}; try 16 48."
            )
        for name in ("vocab_size", "ngram_min_count"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self._share("encoder", "tokenizer", "embeddings")
        self._share("from_localizer", "tokenizer")
        if self.from_localizer is not None and self.embeddings is not None:
            raise ValueError(
                f"`embeddings` must be None with `from_localizer`, got {self.embeddings}: the "
                "localizer has embeddings; leave out one of them."
            )

    def _share(self, name: str, *parts: str) -> None:
        """Let one option stand for others, which must not contradict it."""
        source = getattr(self, name)
        for part in parts if source is not None else ():
            value = getattr(self, part)
            if value not in (None, source):
                raise ValueError(
                    f"`{part}` must be None with `{name}`, got {value}: `{name}` brings its own; "
                    "leave out one of them."
                )
            setattr(self, part, source)


def train_text_localizer(
    data: DataOptions,
    localizer: TextLocalizerOptions,
    options: TrainingOptions,
    model_class: type[
        AnchorNetTextForSequenceClassification
    ] = AnchorNetTextForSequenceClassification,
) -> dict[str, Any]:
    """The report of a training that saves the best text localizer in `output_dir`.

    Args:
        data: Source of texts and labels.
        localizer: Architecture and starting point.
        options: Options of the training loop.
        model_class: Class of the model; a subclass may add its own regularisation.

    Returns:
        The report of `run_training` with a description of the data, as in `training.json`.
    """
    accelerator = make_accelerator(options)
    with holding_folder(options.output_dir, accelerator):
        return _train(data, localizer, options, model_class, accelerator)


def _train(
    data: DataOptions,
    localizer: TextLocalizerOptions,
    options: TrainingOptions,
    model_class: type[AnchorNetTextForSequenceClassification],
    accelerator: Accelerator,
) -> dict[str, Any]:
    """See `train_text_localizer`."""
    start = Start.open(localizer.from_localizer, AnchorNetTextConfig.model_type)
    if start is not None:
        localizer = replace(localizer, **start.choose_architecture(localizer, ARCHITECTURE))
    with preparing_data(accelerator):
        stream = _open_stream(data, localizer, options.balance) if data.streaming else None
        train_rows, validation_rows, labels = (
            load_labelled_texts(data)
            if stream is None
            else load_first_texts(stream, data, options.seed)
        )
        num_rows = len(train_rows) if stream is None else None
        localizer, complete, chosen = choose_options(localizer, options, num_rows)
        if start is not None:
            labels = start.order_labels(labels)
        tokenizer = make_tokenizer(localizer, train_rows[data.text_column])
        train_set = tokenize(train_rows, tokenizer, data, labels)
        validation_set = tokenize(validation_rows, tokenizer, data, labels)
        model = _make_model(localizer, tokenizer, train_set, labels, model_class, start)
        if localizer.teacher is not None:
            weight, piece_words = localizer.distillation_weight, localizer.piece_words
            teaching = Teaching(localizer.teacher, weight, piece_words)
            train_set = add_taught_pieces(
                train_set, train_rows, tokenizer, data, labels, teaching, accelerator
            )
        learned: Dataset | StreamLoader = train_set
        if stream is not None:
            make_batch = make_text_batch(stream, tokenizer, data, labels, localizer.crop_tokens)
            learned = make_stream_loader(data, stream, make_batch, complete, accelerator)
    settings = asdict(data) | asdict(localizer)
    if model_class is not AnchorNetTextForSequenceClassification:
        settings["model_class"] = model_class.__name__
    report = fit_text_model(
        model,
        tokenizer,
        learned,
        validation_set,
        complete,
        accelerator,
        localizer.crop_tokens,
        settings,
    )
    report["chosen"] = chosen
    rows = train_rows if stream is None else learned
    return document_training(report, data, rows, accelerator, _describe_reading(localizer))


def _describe_reading(localizer: TextLocalizerOptions) -> str:
    """The part of each text that a model is trained on, in words."""
    pieces = "" if localizer.teacher is None else " of the text and of pieces of it"
    return (
        f"in training a random crop of at most {localizer.crop_tokens} tokens{pieces}; otherwise "
        "the whole text"
    )


def _make_model(
    localizer: TextLocalizerOptions,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset,
    labels: list[str],
    model_class: type[AnchorNetTextForSequenceClassification],
    start: Start | None,
) -> AnchorNetTextForSequenceClassification:
    """A new localizer, with the trunk of `start`, or that one itself if it has the same labels."""
    multi_label = isinstance(train_set[0]["labels"], list)
    if start is not None and start.knows(labels, multi_label):
        fields = {name: getattr(localizer, name) for name in REGULARISATION}
        return start.load(model_class, **fields)
    model = make_text_localizer(localizer, tokenizer, train_set, labels, model_class)
    if start is not None:
        start.give_trunk(model)
    return model


def _open_stream(
    data: DataOptions, localizer: TextLocalizerOptions, balance: bool
) -> IterableDataset:
    if localizer.teacher is not None:
        raise ValueError(
            f"`teacher` must be None with `streaming`, got {localizer.teacher}: it reads all texts "
            "before training; leave out one of them."
        )
    return open_training_stream(data, data.text_column, balance)


def make_tokenizer(
    localizer: TextLocalizerOptions, texts: Sequence[str]
) -> PreTrainedTokenizerBase:
    """The tokenizer of an existing checkpoint, or one trained on `texts`."""
    if localizer.tokenizer is not None:
        return load_tokenizer(localizer.tokenizer)
    return train_tokenizer(texts, localizer.vocab_size or LARGE.vocab_size)


def make_text_localizer(
    localizer: TextLocalizerOptions,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset,
    labels: list[str],
    model_class: type[
        AnchorNetTextForSequenceClassification
    ] = AnchorNetTextForSequenceClassification,
) -> AnchorNetTextForSequenceClassification:
    """A new localizer with the n-grams of `train_set` and, if wanted, pretrained embeddings.

    Sizes without a frequent n-gram are left out.
    """
    vocab_size, min_count = len(tokenizer), localizer.ngram_min_count or LARGE.ngram_min_count
    counted = {
        size: count_ngrams(train_set, size, min_count, vocab_size) for size in localizer.ngram_sizes
    }
    ngrams = {size: codes for size, codes in counted.items() if len(codes)}
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
        **label_fields(labels, multi_label=isinstance(train_set[0]["labels"], list)),
    )
    model = model_class(config)
    for size, codes in ngrams.items():
        model.ngrams.set_codes(size, codes)
    if localizer.embeddings is not None:
        table = embed_vocabulary(tokenizer, localizer.embeddings, config.embedding_size)
        with torch.no_grad():
            model.anchornet.embeddings.weight.copy_(table)
    return model
