"""Train a text localizer: from a data source and options to a folder that pipelines load."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    pipeline,
)

from .classifier_anchornet import count_readable_tokens
from .configuration_anchornet import AnchorNetTextConfig
from .data import DataOptions, load_labelled, tokenize
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification
from .training import TrainingOptions, make_accelerator, train_classifier
from .vocabulary import (
    count_ngrams,
    embed_vocabulary,
    load_tokenizer,
    train_tokenizer,
)
from .words_anchornet import encodable


@dataclass
class LocalizerOptions:
    """What a text localizer looks like and where it starts.

    Attributes:
        tokenizer: Checkpoint whose tokenizer to take; `None`: train one on the training split.
        vocab_size: Largest vocabulary of a tokenizer trained here.
        embeddings: Encoder checkpoint to take the first embeddings from; `None`: random.
        teacher: Classifier checkpoint to learn from, next to the labels.
        hidden_size: Width of embeddings and trunk.
        kernel_sizes: Kernel size of each layer.
        dilations: Dilation of each layer; empty: all 1.
        ngram_sizes: Sizes of the n-grams with a score of their own.
        ngram_min_count: Occurrences that make an n-gram known.
        hidden_dropout_prob: See `AnchorNetTextConfig`, also for the following.
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
    hidden_size: int = 128
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    dilations: list[int] = field(default_factory=list)
    ngram_sizes: list[int] = field(default_factory=lambda: [1, 2, 3])
    ngram_min_count: int = 10
    hidden_dropout_prob: float = 0.3
    token_dropout_prob: float = 0.15
    ngram_dropout_prob: float = 0.5
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.01
    ngram_penalty: float = 0.05
    crop_tokens: int = 250


def train_localizer(
    data: DataOptions, localizer: LocalizerOptions, options: TrainingOptions
) -> dict[str, Any]:
    """Train a localizer and save the best checkpoint with its tokenizer in `output_dir`.

    Returns:
        The report of `training.train`, also written to `training.json`.
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        train_rows, validation_rows, labels = load_labelled(data)
        tokenizer = make_tokenizer(localizer, train_rows[data.text_column])
        train_set = tokenize(train_rows, tokenizer, data, labels)
        validation_set = tokenize(validation_rows, tokenizer, data, labels)
        if localizer.teacher is not None:
            texts = train_rows[data.text_column]
            logits = ask_teacher(localizer.teacher, texts, labels, accelerator.device)
            train_set = train_set.add_column("teacher_logits", logits)
    model = make_localizer(localizer, tokenizer, train_set, labels)
    return train_classifier(
        model, tokenizer, train_set, validation_set, options, accelerator, localizer.crop_tokens
    )


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
        hidden_dropout_prob=localizer.hidden_dropout_prob,
        token_dropout_prob=localizer.token_dropout_prob,
        ngram_dropout_prob=localizer.ngram_dropout_prob,
        auxiliary_loss_weight=localizer.auxiliary_loss_weight,
        evidence_penalty=localizer.evidence_penalty,
        ngram_penalty=localizer.ngram_penalty,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type=problem_type,
    )
    model = AnchorNetTextForSequenceClassification(config)
    for size, codes in ngrams.items():
        model.ngrams.set_codes(size, codes)
    if localizer.embeddings is not None:
        table = embed_vocabulary(tokenizer, localizer.embeddings, config.embedding_size)
        with torch.no_grad():
            model.anchornet.embeddings.weight.copy_(table)
    return model


def ask_teacher(
    teacher: str, texts: Sequence[str], labels: list[str], device: torch.device
) -> list[list[float]]:
    """The teacher's logits for each text, in the order of `labels`.

    Texts are cut to what the teacher can read.

    Raises:
        ValueError: if the teacher does not know the same labels.
    """
    model = AutoModelForSequenceClassification.from_pretrained(teacher)
    if set(model.config.label2id) != set(labels):
        raise ValueError(
            f"`teacher` must know the labels {sorted(labels)}, {teacher} knows "
            f"{sorted(model.config.label2id)}; train it on the same labels."
        )
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    ask = pipeline(
        "text-classification",
        model=model,
        tokenizer=tokenizer,
        device=device,
        top_k=None,
        function_to_apply="none",
        truncation=True,
        max_length=count_readable_tokens(model, tokenizer),
    )
    answers: list[Any] = ask([encodable(text) for text in texts], batch_size=32)
    scores = [{answer["label"]: answer["score"] for answer in row} for row in answers]
    return [[row[label] for label in labels] for row in scores]
