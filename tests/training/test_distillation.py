"""Distillation: pieces of texts, the teacher's probabilities for them, the targets made of both."""

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.data.texts import tokenize
from hf_anchornet.training.distillation import (
    PIECE_WORDS,
    Teaching,
    add_taught_pieces,
    ask_teacher,
    cut_into_pieces,
)

COLUMNS, LABELS = DataOptions("unused"), ["glad", "sad"]


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def test_pieces_are_whole_sentences_of_enough_words():
    short, long = "Good film. ", "word " * (PIECE_WORDS[0] - 1) + "end. "
    assert cut_into_pieces(short + long + long + short) == [
        (short + long).strip(),
        long.strip(),
        short.strip(),
    ]


def test_a_long_sentence_is_cut():
    pieces = cut_into_pieces("word " * (2 * PIECE_WORDS[1] + 3))
    assert [len(piece.split()) for piece in pieces] == [PIECE_WORDS[1], PIECE_WORDS[1], 3]


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_blank_text_has_no_pieces(text):
    assert cut_into_pieces(text) == []


def test_no_word_is_lost():
    text = "One. " * 40 + "and then\nnothing " * 60 + "...!? \n\n the end"
    assert "".join("".join(cut_into_pieces(text)).split()) == "".join(text.split())


def test_a_teacher_answers_in_the_order_of_the_labels(classifier_folder, accelerator):
    texts = ["good film with bad plot", "bad " * 300, ""]
    probs = ask_teacher(classifier_folder, texts, LABELS, accelerator)
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    inputs = AutoTokenizer.from_pretrained(classifier_folder)(texts[0], return_tensors="pt")
    sad, glad = model(**inputs).logits[0].softmax(dim=0)
    assert probs.shape == (3, 2)
    torch.testing.assert_close(probs[0], torch.stack([glad, sad]))


def test_a_teacher_of_other_labels_is_refused(classifier_folder, accelerator):
    message = r"must know the labels \['a', 'b'\], .* with \['glad', 'sad'\]; train it on the same"
    with pytest.raises(ValueError, match=message):
        ask_teacher(classifier_folder, ["good"], ["a", "b"], accelerator)


@pytest.mark.parametrize("several", [False, True])
def test_texts_keep_their_labels_and_pieces_mix_them_with_the_teachers(
    classifier_folder, tokenizer, accelerator, several
):
    texts = ["good film", "bad plot. " * 20]
    names = [["glad"], ["sad"]] if several else ["glad", "sad"]
    rows = Dataset.from_dict({"text": texts, "label": names, "other": [1, 2]})
    whole = tokenize(rows, tokenizer, COLUMNS, LABELS)
    taught = add_taught_pieces(
        whole, rows, tokenizer, COLUMNS, LABELS, Teaching(classifier_folder, 0.75), accelerator
    )
    pieces = [piece for text in texts for piece in cut_into_pieces(text)]
    probs = ask_teacher(classifier_folder, pieces, LABELS, accelerator)
    own = torch.eye(2)[[0, *[1] * (len(pieces) - 1)]]
    targets = torch.tensor(list(taught["labels"]))
    assert len(pieces) == 5
    torch.testing.assert_close(targets[:2], torch.eye(2))
    torch.testing.assert_close(targets[2:], 0.25 * own + 0.75 * probs)
    ids = tokenizer([*texts, *pieces], add_special_tokens=False)["input_ids"]
    assert list(taught["input_ids"]) == ids
    assert list(taught["length"]) == [len(row) for row in ids]
