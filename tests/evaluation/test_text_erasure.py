import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_anchornet.evaluation.erasure import BINS, count_best
from hf_anchornet.evaluation.text_erasure import erase_rationale, erase_words
from hf_anchornet.metrics.faithfulness import Faithfulness
from hf_anchornet.model.text_words import Words

TEXT = "This film is good, really good.\n\nNot bad!"


class ShareOfGood:
    """Label 1 has the share of words that are "good", 0.5 without words; keeps what it read."""

    def __init__(self):
        self.calls = []

    def __call__(self, texts):
        self.calls.append(list(texts))
        shares = [text.count("good") / len(text.split()) if text else 0.5 for text in texts]
        return np.array([[1 - share, share] for share in shares])


def words_of(count, good=()):
    """A text of so many words, of which those in `good` are "good"."""
    return Words.split(" ".join("good" if at in good else f"w{at}" for at in range(count)))


def split(text):
    words = Words.split(text)
    return [text[start:end] for start, end in zip(words.starts, words.ends, strict=True)]


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        (1, [1, 1, 1, 1, 1]),
        (2, [1, 1, 1, 1, 1]),
        (10, [1, 1, 1, 2, 5]),
        (11, [1, 1, 2, 3, 6]),
        (100, [1, 5, 10, 20, 50]),
        (700, [7, 35, 70, 140, 350]),
        (701, [8, 36, 71, 141, 351]),
    ],
)
def test_a_bin_holds_its_share_of_the_words_rounded_up(size, counts):
    assert count_best(size).tolist() == counts


def test_whole_percentages_are_never_rounded_up_by_floating_point():
    for hundreds in range(1, 2000):
        wanted = [hundreds * percent for percent in (1, 5, 10, 20, 50)]
        assert count_best(100 * hundreds).tolist() == wanted


def test_the_probabilities_equal_those_by_hand():
    # Ten words, the best two are the "good" ones at 3 and 7: bins of 1, 1, 1, 2 and 5 words.
    words, predict = words_of(10, good=(3, 7)), ShareOfGood()
    scores = np.zeros(10)
    scores[[3, 7]] = 2.0, 1.0
    found = erase_words(words, scores, 1, predict)
    assert found.whole == pytest.approx(2 / 10, abs=1e-12)
    assert found.without == pytest.approx([1 / 9, 1 / 9, 1 / 9, 0, 0], abs=1e-12)
    assert found.only == pytest.approx([1, 1, 1, 1, 2 / 5], abs=1e-12)


def test_the_other_label_has_the_rest():
    words, scores = words_of(10, good=(3,)), np.arange(10)
    one = erase_words(words, scores, 1, ShareOfGood())
    other = erase_words(words, scores, 0, ShareOfGood())
    assert other.whole == pytest.approx(1 - one.whole, abs=1e-12)
    assert other.without == pytest.approx(1 - one.without, abs=1e-12)
    assert other.only == pytest.approx(1 - one.only, abs=1e-12)


def test_the_metrics_take_the_probabilities():
    words = words_of(10, good=(3, 7))
    scores = np.zeros(10)
    scores[[3, 7]] = 2.0, 1.0
    found = erase_words(words, scores, 1, ShareOfGood())
    scores = Faithfulness().compute(predictions=[found.to_record()], references=[found.whole])
    assert scores["comprehensiveness"] == pytest.approx(0.2 - 3 / 9 / 5, abs=1e-12)
    assert scores["sufficiency"] == pytest.approx(0.2 - 4.4 / 5, abs=1e-12)


def test_equal_words_are_cut_in_reading_order():
    predict = ShareOfGood()
    erase_words(words_of(10), np.zeros(10), 1, predict)
    assert predict.calls[0][-3:] == ["w0", "w0 w1", "w0 w1 w2 w3 w4"]


def test_all_texts_are_predicted_in_one_call_and_equal_ones_once():
    predict = ShareOfGood()
    erase_words(words_of(10), np.arange(10), 1, predict)
    assert [len(call) for call in predict.calls] == [1 + 2 * 3]  # bins of 1, 2 and 5 words
    assert len(set(predict.calls[0])) == 7


def test_the_whole_text_is_read_as_it_is():
    predict = ShareOfGood()
    erase_words(Words.split(f"  {TEXT} "), np.arange(11), 1, predict)
    assert predict.calls[0][0] == f"  {TEXT} "


def test_a_text_of_one_word_is_empty_without_it():
    predict = ShareOfGood()
    found = erase_words(Words.split("good"), np.array([1.0]), 1, predict)
    assert predict.calls == [["good", "", "good"]]
    assert (found.whole, found.without.tolist(), found.only.tolist()) == (1, [0.5] * 5, [1] * 5)


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ([], TEXT),
        ([3], "This film is , really good.\n\nNot bad!"),
        ([4], "This film is good really good.\n\nNot bad!"),
        ([0, 7, 10], "film is good, really good Not bad"),
        (range(11), ""),
    ],
)
def test_kept_neighbours_keep_their_blanks_and_a_cut_leaves_one(cut, expected):
    words = Words.split(TEXT)
    assert len(words) == 11
    keep = np.ones(11, dtype=bool)
    keep[list(cut)] = False
    assert words.join(keep) == expected


@settings(deadline=None)
@given(
    st.text(
        st.sampled_from("ab'.!  \n\u00e9\u0301\U0001f1e9\U0001f1ea\u200d\U0001f44d7"), min_size=1
    ),
    st.data(),
)
def test_kept_and_cut_words_are_all_words_of_the_text(text, data):
    words = Words.split(text)
    keep = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words))), dtype=bool
    )
    kept, cut = split(words.join(keep)), split(words.join(~keep))
    parts = split(text)
    assert kept == [part for part, kept_one in zip(parts, keep, strict=True) if kept_one]
    assert cut == [part for part, kept_one in zip(parts, keep, strict=True) if not kept_one]


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60))
def test_every_bin_parts_the_words_by_their_scores(scores):
    predict, words = ShareOfGood(), words_of(len(scores))
    erase_words(words, np.array(scores), 0, predict)
    (texts,) = predict.calls
    without, only = np.array(texts[1:], dtype=object).reshape(2, -1)
    sizes = np.unique(count_best(len(scores)))
    for size, rest, best in zip(sizes, without, only, strict=True):
        assert len(best.split()) == size
        assert sorted(rest.split() + best.split()) == sorted(words.text.split())
        by_word = {f"w{at}": score for at, score in enumerate(scores)}
        lowest = min(by_word[word] for word in best.split())
        assert all(by_word[word] <= lowest for word in rest.split())


def test_a_mask_gives_the_probabilities_by_hand():
    words, predict = words_of(10, good=(3, 7)), ShareOfGood()
    mask = np.zeros(10, dtype=bool)
    mask[[3, 4]] = True
    found = erase_rationale(words, mask, 1, predict)
    assert predict.calls[0][1:] == ["w0 w1 w2 w5 w6 good w8 w9", "good w4"]
    assert found.whole == pytest.approx(0.2)
    assert found.to_record() == {"without": [pytest.approx(1 / 8)], "only": [pytest.approx(1 / 2)]}


@pytest.mark.parametrize(("chosen", "without", "only"), [(False, 0.1, 0.5), (True, 0.5, 0.1)])
def test_a_mask_of_none_or_all_words_reads_an_empty_text(chosen, without, only):
    found = erase_rationale(words_of(10, good=(1,)), np.full(10, chosen), 1, ShareOfGood())
    assert found.to_record() == {"without": [pytest.approx(without)], "only": [pytest.approx(only)]}


@pytest.mark.parametrize("erase", [erase_words, erase_rationale])
def test_a_text_without_words_is_refused(erase):
    with pytest.raises(ValueError, match="`words` must hold at least one word, got none in a text"):
        erase(Words.split(" \n "), np.zeros(0, dtype=bool), 0, ShareOfGood())


@pytest.mark.parametrize(("erase", "name"), [(erase_words, "scores"), (erase_rationale, "mask")])
@pytest.mark.parametrize("shape", [(9,), (10, 1), ()])
def test_one_value_is_needed_for_every_word(erase, name, shape):
    with pytest.raises(ValueError, match=rf"`{name}` must hold one value .*\(10,\), got"):
        erase(words_of(10), np.zeros(shape, dtype=bool), 0, ShareOfGood())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_must_be_finite(bad):
    with pytest.raises(ValueError, match=f"`scores` must be finite, got {bad} for word 1"):
        erase_words(words_of(3), np.array([0.0, bad, 1.0]), 0, ShareOfGood())


def test_a_mask_of_scores_is_refused():
    with pytest.raises(TypeError, match="`mask` must be bool, got float64; apply a threshold"):
        erase_rationale(words_of(3), np.array([0.0, 0.5, 1.0]), 0, ShareOfGood())


@pytest.mark.parametrize("label", [-1, 2])
def test_the_label_must_be_one_of_the_classifier(label):
    with pytest.raises(ValueError, match=f"`label` must be between 0 and 1, got {label}"):
        erase_words(words_of(3), np.zeros(3), label, ShareOfGood())


@pytest.mark.parametrize("shape", [(7,), (6, 2), (7, 2, 1)])
def test_predict_must_give_one_row_for_every_text(shape):
    with pytest.raises(ValueError, match=r"`predict` must return .* \(inputs, labels\), got .* 7 "):
        erase_words(words_of(10), np.zeros(10), 0, lambda texts: np.zeros(shape))


def test_predict_must_give_finite_numbers():
    with pytest.raises(ValueError, match="`predict` must return finite numbers"):
        erase_words(words_of(3), np.zeros(3), 0, lambda texts: np.full((len(texts), 2), np.nan))


def test_the_bins_are_those_of_eraser():
    assert BINS == (0.01, 0.05, 0.1, 0.2, 0.5)
