"""Any bytes as texts and pictures, and that fuzzing notices what is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_anchornet.model.text_words import Words
from scripts.fuzz import media as fuzz_media
from scripts.fuzz.inputs import SEPARATOR, draw_picture, split_texts
from scripts.fuzz.media import (
    make_image_pipeline_check,
    make_offsets_check,
    make_text_pipeline_check,
)

OFFSETS, TEXTS, PICTURES = (
    make() for make in (make_offsets_check, make_text_pipeline_check, make_image_pipeline_check)
)
ANY_TEXT = st.lists(st.text(st.characters(), max_size=30), min_size=1, max_size=6)


def encode(texts):
    return SEPARATOR.join(texts).encode("utf-8", "surrogatepass")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | ANY_TEXT.map(encode))
def test_any_text_is_cut_at_words_and_within_budgets(data):
    assert OFFSETS(data) == len(split_texts(data))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | ANY_TEXT.map(encode))
def test_any_text_has_a_sound_answer_in_a_batch_as_alone(data):
    assert TEXTS(data) == len(split_texts(data))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.integers(0, 2**32).map(lambda seed: draw(draw_picture, seed)))
def test_any_file_has_a_sound_answer_or_is_refused_by_name(data):
    assert PICTURES(data) == 1


def draw(function, seed):
    return function(np.random.default_rng(seed))


@pytest.mark.parametrize("text", ["\x00", " \u00a0", "\u3000" * 9, "\u0301", "\ud800\udfff", ""])
def test_odd_texts_are_cut_soundly(text):
    assert OFFSETS(encode([text])) == 1
    assert OFFSETS(encode([text, text, "good"])) == 3


def shift(split):
    """Words that begin a character too early."""

    def split_wrongly(text):
        words = split(text)
        return Words(text, np.maximum(words.starts - 1, 0), words.ends)

    return split_wrongly


def test_words_of_wrong_offsets_are_noticed(monkeypatch):
    monkeypatch.setattr(Words, "split", shift(Words.split))
    with pytest.raises(AssertionError, match=r"^"):
        OFFSETS(encode(["a good film", "  not bad"]))


def test_a_batch_that_differs_from_one_alone_is_noticed():
    answer = {"label": "warm", "score": 0.9, "cost": {}}
    with pytest.raises(AssertionError, match=r"^"):
        fuzz_media._check_same(answer | {"score": 0.8}, answer)
