import sys

import numpy as np
import pytest

from hf_anchornet.metrics.pointing_game import PointingGame
from hf_anchornet.metrics.token_auprc import TokenAUPRC

METRICS = {"token_auprc": TokenAUPRC, "pointing_game": PointingGame}

both = pytest.mark.parametrize(("name", "metric"), METRICS.items())


def test_token_auprc_equals_the_hand_sum():
    # Ranked by score the labels read 1 0 1 0: 1/2 * 1/1 + 1/2 * 2/3 = 5/6.
    # Ranked by score the labels read 0 1: 1/1 * 1/2 = 1/2.
    result = TokenAUPRC().compute(
        predictions=[[0.9, 0.8, 0.7, 0.6], [-1.0, -2.0]], references=[[1, 0, 1, 0], [0, 1]]
    )
    assert result == {
        "token_auprc": pytest.approx((5 / 6 + 1 / 2) / 2, abs=1e-12),
        "num_documents": 2,
        "num_skipped": 0,
    }


def test_token_auprc_lets_equal_scores_enter_together():
    # One threshold takes all four words: recall 1 * precision 1/4.
    result = TokenAUPRC().compute(predictions=[[0.0] * 4], references=[[1, 0, 0, 0]])
    assert result["token_auprc"] == pytest.approx(1 / 4, abs=1e-12)


def test_pointing_game_equals_the_hand_count():
    result = PointingGame().compute(
        predictions=[[0.1, 0.9], [0.9, 0.1], [-3.0, -2.0, -1.0]],
        references=[[0, 1], [0, 1], [1, 0, 1]],
    )
    assert result == {"pointing_game": 2 / 3, "num_documents": 3, "num_skipped": 0}


@pytest.mark.parametrize(("labels", "expected"), [([0, 1, 0], 1.0), ([0, 0, 1], 0.0)])
def test_pointing_game_takes_the_first_of_several_best_words(labels, expected):
    result = PointingGame().compute(predictions=[[0.2, 0.5, 0.5]], references=[labels])
    assert result["pointing_game"] == expected


@both
def test_documents_without_a_marked_word_are_left_out_and_counted(name, metric):
    result = metric().compute(
        predictions=[[0.5, 0.1], [], [0.3, 0.2]], references=[[0, 0], [], [1, 0]]
    )
    assert result == {name: 1.0, "num_documents": 1, "num_skipped": 2}


@both
def test_random_scores_reach_the_share_of_marked_words(name, metric):
    rng = np.random.default_rng(0)
    references = rng.random((400, 100)) < 0.2
    result = metric().compute(predictions=rng.random((400, 100)), references=references)
    assert result[name] == pytest.approx(references.mean(), abs=0.05)


@both
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([[0.1], [0.1, 0.2]], [[1], [1]], "got 2 and 1 in document 1"),
        ([[0.1, float("nan")]], [[1, 0]], "`predictions` must be finite, got nan in document 0"),
        ([[0.1, None]], [[1, 0]], "`predictions` must be finite, got None in document 0"),
        ([[0.1, 0.2]], [[0.5, 1]], "`references` must be 0 or 1, got 0.5 in document 0"),
        ([[0.1, 0.2]], [[0, 0]], "got 1 documents without any; check the column of references"),
        ([], [], "got 0 documents without any"),
        ([[0.1], [0.2]], [[1]], r"number of predictions \(2\) and references \(1\)"),
    ],
)
def test_bad_input_says_what_and_where(name, metric, predictions, references, message):
    # In memory: on disk a failed call keeps its lock, and the next one waits a second for it.
    with pytest.raises(ValueError, match=message):
        metric(keep_in_memory=True).compute(predictions=predictions, references=references)


def test_token_auprc_without_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[eval\]'"):
        TokenAUPRC(keep_in_memory=True).compute(predictions=[[0.1]], references=[[1]])
