"""Training of a text localizer, from a data source and options to a folder that pipelines load."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from datasets import Dataset, IterableDataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_anchornet.data.splits import DataOptions, label_fields
from hf_anchornet.data.texts import load_labelled_texts, tokenize
from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.publishing.training_card import document_training

from .command import write_command
from .defaults import LARGE, choose_options
from .distillation import Teaching, add_taught_pieces
from .fit import fit_text_model, make_accelerator, preparing_data, save_with_processor
from .linear_ngrams import FEW_JUDGED, add_linear_ngrams
from .options import CompleteOptions, TrainingOptions
from .output_folder import holding_folder, save_in_one_go
from .start import Start
from .stream_sources import (
    load_first_texts,
    make_stream_loader,
    make_text_batch,
    open_training_stream,
)
from .streams import StreamLoader
from .taught_ngrams import add_taught_ngrams
from .text_options import ARCHITECTURE, SET_ANEW, TextLocalizerOptions
from .text_vocabulary import embed_vocabulary, find_ngrams, load_tokenizer, train_tokenizer

logger = logging.getLogger(__name__)


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
        if start is not None and start.knows(labels, isinstance(train_set[0]["labels"], list)):
            localizer = _keep_ngrams(localizer, chosen, start)
        model = _make_model(localizer, tokenizer, train_set, labels, model_class, start)
        learned: Dataset | StreamLoader = train_set
        if localizer.teacher is not None:
            weight, piece_words = localizer.distillation_weight, localizer.piece_words
            teaching = Teaching(localizer.teacher, weight, piece_words)
            learned = add_taught_pieces(
                train_set, train_rows, tokenizer, data, labels, teaching, accelerator
            )
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
    if model.config.ngram_sizes and localizer.linear_weight != 0:
        taught = learned if localizer.teacher is not None else None
        sets = train_set, validation_set, taught
        report |= _add_linear(report, tokenizer, sets, localizer, complete, accelerator)
    rows = train_rows if stream is None else learned
    kinds = DataOptions, TextLocalizerOptions, TrainingOptions
    report["command"] = write_command("train", kinds, report["options"])
    reading = _describe_reading(localizer)
    return document_training(report, data, rows, accelerator, reading, validation_rows)


def _keep_ngrams(
    localizer: TextLocalizerOptions, chosen: Mapping[str, Any], start: Start
) -> TextLocalizerOptions:
    """The options with the n-grams of a localizer that is trained further.

    Args:
        localizer: The options, with values for all.
        chosen: Those that were left out, by name.
        start: The localizer.

    Raises:
        ValueError: if other n-grams are asked for.
    """
    kept = list(start.config.ngram_sizes)
    for name, own in (("ngram_sizes", kept), ("ngram_min_count", None)):
        asked = getattr(localizer, name)
        if name not in chosen and asked != own:
            raise ValueError(
                f"`{name}` must be left out to train {localizer.from_localizer} further, got "
                f"{asked}: it keeps its n-grams of {kept} tokens; train a new one for others."
            )
    vocab_size = start.config.vocab_size
    return replace(localizer, ngram_sizes=kept, ngram_min_count=None, vocab_size=vocab_size)


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
        fields = {name: getattr(localizer, name) for name in SET_ANEW}
        return start.load(model_class, **fields)
    min_count = localizer.ngram_min_count or LARGE.ngram_min_count
    sizes = LARGE.ngram_sizes if localizer.ngram_sizes is None else localizer.ngram_sizes
    ngrams = find_ngrams(train_set, sizes, min_count, len(tokenizer))
    if not ngrams and not localizer.trunk:
        raise ValueError(
            f"`ngram_min_count` must leave some n-grams to a localizer without a trunk, got "
            f"{min_count}: no n-gram of {len(train_set):,} texts is seen so often; lower it."
        )
    model = make_text_localizer(localizer, tokenizer, train_set, labels, ngrams, model_class)
    if start is not None:
        start.give_trunk(model)
    return model


def _add_linear(
    report: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    sets: tuple[Dataset, Dataset, Dataset | None],
    localizer: TextLocalizerOptions,
    options: CompleteOptions,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Add linear models of n-grams to the best localizer, in its folder.

    `add_linear_ngrams` does, or `add_taught_ngrams` if there is a teacher.

    Args:
        report: Of the training so far.
        tokenizer: The localizer's.
        sets: Training and validation split, and what a teacher's localizer learned from.
        localizer: Options of the localizer.
        options: Options of the training.
        accelerator: Its main process does the work.

    Returns:
        Entries of the report: `linear_ngrams`, and `best` with the scores of the sum.
    """
    shared: list[Any] = [None]
    if accelerator.is_main_process:
        folder = Path(options.output_dir)
        model = AnchorNetTextForSequenceClassification.from_pretrained(folder)
        train_set, validation_set, taught = sets
        balance, weight = options.balance, localizer.linear_weight
        if taught is None:
            weights = choose_linear_weights(localizer, len(validation_set))
            found = add_linear_ngrams(model, train_set, validation_set, weights, balance)
        else:
            add = partial(add_taught_ngrams, balanced=balance)
            add = add if weight is None else partial(add, weight=weight)
            found = add(model, taught, train_set, validation_set)
        logger.info(
            "a linear model of n-grams is added with weight %.3g: accuracy %.4f",
            found["weight"],
            found["accuracy"],
        )
        save_in_one_go(partial(save_with_processor, tokenizer, model), folder)
        shared = [found]
    (found,) = broadcast_object_list(shared)
    scores = {name: found.pop(name) for name in ("accuracy", "loss")}
    return {"best": report["best"] | scores, "linear_ngrams": found}


def choose_linear_weights(
    localizer: TextLocalizerOptions, num_validation_rows: int
) -> tuple[float, float] | None:
    """Weights of what was learned and of the linear model; `None`: the validation split decides.

    Few validation rows cannot decide. As many more have then taught a new localizer too little: the
    linear model is better alone (8 to 200 film reviews of each label).
    """
    if localizer.linear_weight is not None:
        return 1.0, localizer.linear_weight
    if num_validation_rows >= FEW_JUDGED or localizer.from_localizer is not None:
        return None
    logger.info(
        "%d validation rows are too few to judge what was learned: the linear model of n-grams "
        "answers alone",
        num_validation_rows,
    )
    return 0.0, 1.0


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
