"""Training of a text localizer, from a data source and options to a folder that pipelines load."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset, IterableDataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_anchornet.data.splits import DataOptions, label_fields
from hf_anchornet.data.texts import load_labelled_texts, tokenize
from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.publishing.training_card import document_training

from .distillation import PIECE_WORDS, TEXT_NUMBER, Teaching, add_taught_pieces
from .fit import fit_text_model, make_accelerator, preparing_data
from .ngram_start import NgramStart, fit_ngrams
from .options import TrainingOptions
from .output_folder import holding_folder
from .stream_sources import (
    load_first_texts,
    make_stream_loader,
    make_text_batch,
    open_training_stream,
)
from .streams import StreamLoader
from .text_vocabulary import count_ngrams, embed_vocabulary, load_tokenizer, train_tokenizer


@dataclass
class TextLocalizerOptions:
    """Architecture and starting point of a text localizer.

    Attributes:
        tokenizer: Checkpoint whose tokenizer is used; by default one is trained on the training
            split.
        vocab_size: Largest number of tokens of a tokenizer trained here. Larger keeps more words
            whole and makes the model bigger.
        embeddings: Encoder checkpoint from which the first embeddings are computed; random by
            default.
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
        trunk: Whether to build the convolutions; without, the localizer is its n-grams alone and
            costs what a linear model costs.
        ngram_sizes: Lengths, in tokens, of n-grams that have a learned score of their own.
        ngram_start: Solve the n-grams' scores as a linear model before the first epoch and keep
            them; the convolutions learn what it leaves over. Otherwise all is learned together.
        ngram_min_count: Occurrences in the training split that make an n-gram known. Larger gives
            a smaller model and less overfitting.
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

    tokenizer: str | None = None
    vocab_size: int = 24_000
    embeddings: str | None = None
    teacher: str | None = None
    distillation_weight: float = 0.9
    piece_words: list[int] = field(default_factory=lambda: list(PIECE_WORDS))
    hidden_size: int = 128
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    dilations: list[int] = field(default_factory=list)
    trunk: bool = True
    ngram_sizes: list[int] = field(default_factory=lambda: [1, 2, 3])
    ngram_start: bool = True
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
    with preparing_data(accelerator):
        stream = _open_stream(data, localizer) if data.streaming else None
        train_rows, validation_rows, labels = (
            load_labelled_texts(data)
            if stream is None
            else load_first_texts(stream, data, options.seed)
        )
        tokenizer = make_tokenizer(localizer, train_rows[data.text_column])
        train_set = tokenize(train_rows, tokenizer, data, labels)
        validation_set = tokenize(validation_rows, tokenizer, data, labels)
        ngrams = find_ngrams(localizer, tokenizer, train_set)
        model = make_text_localizer(localizer, tokenizer, train_set, labels, ngrams, model_class)
        start: NgramStart | None = None
        if localizer.ngram_start and ngrams:
            sizes = len(tokenizer), len(labels)
            start = fit_ngrams(train_set, ngrams, *sizes, seed=options.seed)
            start.initialize(model)
        if localizer.teacher is not None:
            weight, piece_words = localizer.distillation_weight, localizer.piece_words
            teaching = Teaching(localizer.teacher, weight, piece_words)
            train_set = add_taught_pieces(
                train_set, train_rows, tokenizer, data, labels, teaching, accelerator
            )
        if start is not None and stream is None:
            train_set = add_held_out_logits(train_set, start)
        learned: Dataset | StreamLoader = train_set
        if stream is not None:
            make_batch = make_text_batch(stream, tokenizer, data, labels, localizer.crop_tokens)
            learned = make_stream_loader(data, stream, make_batch, options, accelerator)
    settings = asdict(data) | asdict(localizer)
    if model_class is not AnchorNetTextForSequenceClassification:
        settings["model_class"] = model_class.__name__
    report = fit_text_model(
        model,
        tokenizer,
        learned,
        validation_set,
        options,
        accelerator,
        localizer.crop_tokens,
        settings,
    )
    rows = train_rows if stream is None else learned
    return document_training(report, data, rows, accelerator, _describe_reading(localizer))


def _describe_reading(localizer: TextLocalizerOptions) -> str:
    """The part of each text that a model is trained on, in words."""
    pieces = "" if localizer.teacher is None else " of the text and of pieces of it"
    return (
        f"in training a random crop of at most {localizer.crop_tokens} tokens{pieces}; otherwise "
        "the whole text"
    )


def _open_stream(data: DataOptions, localizer: TextLocalizerOptions) -> IterableDataset:
    if localizer.teacher is not None:
        raise ValueError(
            f"`teacher` must be None with `streaming`, got {localizer.teacher}: it reads all texts "
            "before training; leave out one of them."
        )
    return open_training_stream(data, data.text_column)


def make_tokenizer(
    localizer: TextLocalizerOptions, texts: Sequence[str]
) -> PreTrainedTokenizerBase:
    """The tokenizer of an existing checkpoint, or one trained on `texts`."""
    if localizer.tokenizer is not None:
        return load_tokenizer(localizer.tokenizer)
    return train_tokenizer(texts, localizer.vocab_size)


def find_ngrams(
    localizer: TextLocalizerOptions, tokenizer: PreTrainedTokenizerBase, train_set: Dataset
) -> dict[int, Tensor]:
    """Codes of the frequent n-grams of each size, (count,); sizes without any are left out."""
    counted = {
        size: count_ngrams(train_set, size, localizer.ngram_min_count, len(tokenizer))
        for size in localizer.ngram_sizes
    }
    return {size: codes for size, codes in counted.items() if len(codes)}


def add_held_out_logits(train_set: Dataset, start: NgramStart) -> Dataset:
    """The training set with the column `ngram_logits`; see `NgramStart.predict_held_out`."""
    known = TEXT_NUMBER in train_set.column_names
    texts = train_set[TEXT_NUMBER] if known else range(len(train_set))
    logits = start.predict_held_out(train_set["input_ids"], texts)
    return train_set.add_column("ngram_logits", list(logits))


def make_text_localizer(
    localizer: TextLocalizerOptions,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset,
    labels: list[str],
    ngrams: Mapping[int, Tensor],
    model_class: type[
        AnchorNetTextForSequenceClassification
    ] = AnchorNetTextForSequenceClassification,
) -> AnchorNetTextForSequenceClassification:
    """A new localizer with these n-grams and, if wanted, pretrained embeddings."""
    config = AnchorNetTextConfig(
        trunk=localizer.trunk,
        vocab_size=len(tokenizer),
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
    if localizer.embeddings is not None and localizer.trunk:
        table = embed_vocabulary(tokenizer, localizer.embeddings, config.embedding_size)
        with torch.no_grad():
            model.anchornet.embeddings.weight.copy_(table)
    return model
