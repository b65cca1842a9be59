"""Search for stages and thresholds, on small sums that can be checked by hand."""

import numpy as np
import pytest
import torch

from hf_anchornet.calibration.options import CalibrationOptions
from hf_anchornet.calibration.search import Observations, observe, search
from hf_anchornet.model.cascade_rule import ExitRule
from hf_anchornet.model.cascade_trace import ModelAnswer, Trace


def make_trace(localizer, readings, costs):
    """An input whose pieces are named by letters: logits of the localizer, readings, costs."""
    return Trace(
        opened=[ModelAnswer(torch.tensor(localizer), 1, 2.0)],
        pieces={name: ModelAnswer(torch.tensor(x), *costs[name]) for name, x in readings.items()},
    )


@pytest.fixture
def seen():
    """Of four inputs of class 0 the localizer knows one for sure, the classifier all but one.

    The classifier reads piece a (cost 10), then a and b (cost 20), then all of it (cost 100).
    """
    costs = {"a": (10, 1.0), "b": (20, 2.0), "c": (100, 9.0)}
    unsure, sure, wrong = [0.1, 0.0], [5.0, 0.0], [0.0, 2.0]
    said = [
        (sure, {"a": [9.0, 0.0], "b": [9.0, 0.0], "c": [9.0, 0.0]}),
        (unsure, {"a": [9.0, 0.0], "b": [9.0, 0.0], "c": [9.0, 0.0]}),
        (unsure, {"a": [0.0, 0.3], "b": [9.0, 0.0], "c": [9.0, 0.0]}),
        (wrong, {"a": [0.0, 9.0], "b": [0.0, 9.0], "c": [0.0, 9.0]}),
    ]
    traces = [make_trace(localizer, readings, costs) for localizer, readings in said]
    for trace in traces:
        trace.readings = [["a"], ["a", "b"], ["c"]]
    rule = ExitRule.make([1, 2, "full"], 1.0)
    return observe(traces, rule, torch.zeros(4, dtype=torch.long))


def test_answers_without_exits_are_those_of_the_rule(seen):
    assert seen.right.T.tolist() == [
        [True, True, True, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, False],
    ]
    assert seen.full_right.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ((0,), [1]),
        ((0, 1), [1, 11]),
        ((0, 2), [1, 31]),
        ((0, 1, 2), [1, 11, 31]),
        ((0, 1, 3), [1, 11, 111]),
    ],
)
def test_each_piece_is_paid_once(seen, chosen, expected):
    assert seen.replay(chosen, "multiply_adds").cost.tolist() == [expected] * 4


def test_milliseconds_are_paid_alike(seen):
    assert seen.replay((0, 1, 3), "milliseconds").cost.tolist() == [[2.0, 3.0, 12.0]] * 4


def test_with_nothing_new_to_read_the_answer_stays(seen):
    for trace in seen.traces:
        trace.readings[1] = trace.readings[0]
    path = seen.replay((0, 1, 2), "multiply_adds")
    np.testing.assert_array_equal(path.confidence[:, 2], seen.confidence[:, 1])
    np.testing.assert_array_equal(path.right[:, 2], path.right[:, 1])
    assert path.cost[:, 2].tolist() == [11] * 4


def test_inputs_leave_where_they_pass_a_threshold(seen):
    assert seen.replay((0, 1), "multiply_adds").find_exits([0.9]).tolist() == [0, 1, 1, 1]
    assert seen.replay((0, 1), "multiply_adds").find_exits([0.0]).tolist() == [0] * 4
    assert seen.replay((0, 1, 3), "multiply_adds").find_exits([1.0, 1.0]).tolist() == [2] * 4


def test_tried_thresholds_tell_the_accuracy_and_cost_of_a_replay(seen):
    path = seen.replay((0, 1, 2), "multiply_adds")
    rows = np.arange(4)
    tried = list(path.try_thresholds(4))
    assert len(tried) > 4
    for thresholds, accuracy, cost in tried:
        leaving = path.find_exits(thresholds)
        assert accuracy == path.right[rows, leaving].mean()
        assert cost == path.cost[rows, leaving].mean()


def test_the_cheapest_that_is_good_enough_is_chosen(seen):
    # The localizer alone is as right as the full input.
    choice = search([seen], CalibrationOptions(max_loss=0.0))
    assert choice.stages == (0,)


def test_a_reading_is_paid_only_for_those_in_doubt():
    costs = {"a": (10, 1.0)}
    said = [([5.0, 0.0], [9.0, 0.0]), ([0.0, 0.1], [9.0, 0.0]), ([0.2, 0.0], [9.0, 0.0])]
    traces = [make_trace(localizer, {"a": reading}, costs) for localizer, reading in said]
    for trace in traces:
        trace.readings = [["a"]]
    rule = ExitRule.make(["full"], 1.0)
    seen = observe(traces, rule, torch.zeros(3, dtype=torch.long))
    choice = search([seen], CalibrationOptions(max_loss=0.0))
    path = seen.replay(choice.stages, "multiply_adds")
    assert path.find_exits(choice.thresholds).tolist() == [0, 1, 0]


def test_the_best_under_a_cost_is_chosen(seen):
    confidence = seen.confidence.copy()
    right = seen.right.copy()
    right[:, 0] = [True, False, False, False]
    seen = Observations(
        seen.stages, seen.candidates, confidence, right, seen.full_right, seen.traces
    )
    rows = np.arange(4)
    accuracies = []
    for max_cost in (1, 6, 11, 112):
        choice = search([seen], CalibrationOptions(max_cost=max_cost))
        path = seen.replay(choice.stages, "multiply_adds")
        leaving = path.find_exits(choice.thresholds)
        assert path.cost[rows, leaving].mean() <= max_cost
        accuracies.append(path.right[rows, leaving].mean())
    assert accuracies == [0.25, 0.5, 0.75, 0.75]


def test_another_accuracy_than_that_on_the_full_input_may_be_wanted(seen):
    assert search([seen], CalibrationOptions(min_accuracy=0.75)).stages == (0,)
    assert search([seen], CalibrationOptions(min_accuracy=0.76)) is None


def test_a_goal_out_of_reach_has_no_choice(seen):
    assert search([seen], CalibrationOptions(max_cost=0.5)) is None
