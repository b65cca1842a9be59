"""Distillation: training data from a teacher's probabilities for pieces of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets
from torch import Tensor
from torch.nn.functional import one_hot
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    pipeline,
)

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.data.texts import tokenize
from hf_anchornet.model.classifier import count_readable_tokens
from hf_anchornet.model.loading import load_processor, load_whole
from hf_anchornet.model.text_words import Words, encodable

PIECE_WORDS = (16, 48)
"""Fewest and most words of a piece of text, see `cut_into_pieces`."""


@dataclass(frozen=True)
class Teaching:
    """Settings of the distillation.

    Attributes:
        teacher: Folder or Hub id of a text classifier with the same labels.
        weight: Share of the teacher in the targets of pieces, in [0, 1]; the rest is the label of
            the text.
        piece_words: See `cut_into_pieces`.
    """

    teacher: str
    weight: float = 0.9
    piece_words: Sequence[int] = PIECE_WORDS


def add_taught_pieces(
    train_set: Dataset,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    data: DataOptions,
    labels: Sequence[str],
    teaching: Teaching,
    accelerator: Accelerator,
) -> Dataset:
    """Whole texts with their labels, and pieces of them with a teacher's probabilities mixed in.

    Knowledge distillation at temperature 1 (Hinton et al., 2015, equation 1), but of pieces: for a
    whole text the teacher adds little to the label, for a piece it shows whether there is any
    evidence at all.

    Args:
        train_set: `rows`, encoded by `tokenize`.
        rows: The training split.
        tokenizer: The student's tokenizer.
        data: Columns of `rows`.
        labels: The labels, in the order of the student's logits.
        teaching: Settings of the distillation.
        accelerator: Device and precision of the teacher.

    Returns:
        Columns `input_ids`, `length` and `labels`, a list of probabilities.

    Raises:
        ValueError: if the teacher has other labels.
    """
    pieces = rows.select_columns([data.text_column, data.label_column]).map(
        _cut_rows,
        batched=True,
        fn_kwargs={"text": data.text_column, "piece_words": teaching.piece_words},
        desc="cutting",
    )
    encoded = tokenize(pieces, tokenizer, data, labels)
    probs = ask_teacher(teaching.teacher, pieces[data.text_column], labels, accelerator)
    own = _as_probs(encoded, len(labels))
    return concatenate_datasets(
        [
            _replace_labels(train_set, _as_probs(train_set, len(labels))),
            _replace_labels(encoded, torch.lerp(own, probs, teaching.weight)),
        ]
    )


def cut_into_pieces(text: str, piece_words: Sequence[int] = PIECE_WORDS) -> list[str]:
    """A text in pieces of a few whole sentences, or of parts of a long one.

    Args:
        text: The text.
        piece_words: Fewest and most words. A piece ends with the first sentence that ends between
            the two, otherwise at the latter.
    """
    fewest, most = piece_words
    words, pieces, first = Words.split(text), [], 0
    for _, end in words.sentences():
        while end - first > most:
            pieces.append((first, first + most))
            first += most
        if end - first >= fewest:
            pieces.append((first, end))
            first = end
    if first < len(words):
        pieces.append((first, len(words)))
    return [text[slice(*words.span(*piece))] for piece in pieces]


def ask_teacher(
    teacher: str, texts: Sequence[str], labels: Sequence[str], accelerator: Accelerator
) -> Tensor:
    """A teacher's probabilities for each text, truncated to its limit: (texts, labels).

    Raises:
        ValueError: if the teacher has other labels.
    """
    model, _ = load_whole(AutoModelForSequenceClassification.from_pretrained, teacher)
    known = model.config.label2id
    if set(known) != set(labels):
        raise ValueError(
            f"`teacher` must know the labels {sorted(labels)}, got {teacher} with {sorted(known)}; "
            "train it on the same labels."
        )
    tokenizer = load_processor(AutoTokenizer.from_pretrained, teacher)
    max_length = count_readable_tokens(model, tokenizer)
    ask = pipeline(
        "text-classification", model=model, tokenizer=tokenizer, device=accelerator.device
    )
    # From short to long, to pad little.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    ordered = [encodable(texts[row]) for row in order]
    with accelerator.autocast():
        answers: list[Any] = ask(
            ordered, batch_size=32, top_k=None, truncation=True, max_length=max_length
        )
    probs = torch.empty(len(texts), len(labels))
    for row, answer in zip(order, answers, strict=True):
        by_label = {each["label"]: each["score"] for each in answer}
        probs[row] = torch.tensor([by_label[label] for label in labels])
    return probs


def _cut_rows(
    batch: dict[str, list[Any]], text: str, piece_words: Sequence[int]
) -> dict[str, list[Any]]:
    """A batch with one row for each piece of a text; other columns are repeated."""
    pieces = [cut_into_pieces(whole, piece_words) for whole in batch[text]]
    repeated = {
        name: [value for value, cut in zip(values, pieces, strict=True) for _ in cut]
        for name, values in batch.items()
    }
    return {**repeated, text: [piece for cut in pieces for piece in cut]}


def _as_probs(rows: Dataset, num_labels: int) -> Tensor:
    """The labels of encoded rows as probabilities: (rows, labels)."""
    targets = torch.tensor(list(rows["labels"]))
    return (one_hot(targets, num_labels) if targets.ndim == 1 else targets).float()


def _replace_labels(rows: Dataset, targets: Tensor) -> Dataset:
    return rows.remove_columns("labels").add_column("labels", targets.tolist())
