"""What people would read of a text instead: sentences, ranked without labels."""

import numpy as np
import pytest

from hf_anchornet.evaluation.text_controls import CONTROLS, rank_by_textrank, rank_by_tfidf
from hf_anchornet.model.text_words import Words

TEXT = "Cats chase mice. Dogs bark! Mice fear cats, cats love mice. Weather was fine?\nThe end"
SENTENCES = [(0, 4), (4, 7), (7, 15), (15, 19), (19, 21)]


def read(words, spans):
    return [words.text[slice(*words.span(*span))] for span in spans]


def test_sentences_share_out_the_words():
    words = Words.split(TEXT)
    assert words.sentences() == SENTENCES
    assert read(words, SENTENCES)[2:] == [
        "Mice fear cats, cats love mice.",
        "Weather was fine?",
        "The end",
    ]


@pytest.mark.parametrize("rank", [rank_by_tfidf, rank_by_textrank])
def test_sentences_about_what_the_text_is_about_come_first(rank):
    words = Words.split(TEXT)
    assert set(rank(words)[:2]) == {(0, 4), (7, 15)}


@pytest.mark.parametrize("rank", [rank_by_tfidf, rank_by_textrank])
@pytest.mark.parametrize(
    "text", [TEXT, "", " \n", "?! ...", "one sentence", "Mr. J. R. Ewing ate."]
)
def test_every_word_is_ranked_once(rank, text):
    words = Words.split(text)
    ranked = sorted(rank(words))
    assert [word for span in ranked for word in range(*span)] == list(range(len(words)))


@pytest.mark.parametrize("name", sorted(CONTROLS))
@pytest.mark.parametrize("budget", [1, 5, 9, 100])
def test_controls_read_as_many_tokens_as_the_budget_allows_in_reading_order(name, budget):
    words = Words.split(TEXT)
    costs = np.ones(len(words), dtype=np.int64)
    spans = CONTROLS[name](words, costs, budget)
    assert sum(last - first for first, last in spans) == min(budget, len(words))
    assert spans == sorted(spans)


def test_a_crop_is_one_run_of_words_from_anywhere_and_the_same_each_time():
    firsts = set()
    for number in range(50):
        words = Words.split(f"{number} " + TEXT)
        costs = np.ones(len(words), dtype=np.int64)
        ((first, last),) = CONTROLS["crop"](words, costs, 5)
        assert last - first == 5
        assert CONTROLS["crop"](words, costs, 5) == [(first, last)]
        firsts.add(first)
    assert firsts == set(range(len(words) - 4))


def test_the_last_sentence_is_cut_to_the_budget():
    words = Words.split(TEXT)
    spans = CONTROLS["tfidf"](words, np.ones(len(words), dtype=np.int64), 6)
    assert read(words, spans) == ["Cats chase mice.", "Mice fear"]
