"""When an input leaves a cascade: stages, thresholds, temperatures, the answer at a stage."""

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.model.cascade_rule import ExitRule, add_glance

LOCALIZER, READING = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 3.0])


def test_the_localizer_answers_alone_at_stage_0():
    rule = ExitRule.make([8], temperatures=[2.0, 1.0])
    assert_close(rule.combine([LOCALIZER], None, 0), torch.tensor([1.0, 0.0]).softmax(-1))


def test_later_answers_are_the_mean_of_both_models_calibrated_probabilities():
    rule = ExitRule.make([8, 16], temperatures=[2.0, 1.0, 4.0])
    expected = (torch.tensor([1.0, 0.0]).softmax(-1) + torch.tensor([-0.25, 0.75]).softmax(-1)) / 2
    assert_close(rule.combine([LOCALIZER], READING, 2), expected)


def test_answers_of_several_inputs_are_those_of_each():
    rule = ExitRule.make([8], temperatures=[2.0, 3.0])
    both = rule.combine([torch.stack([LOCALIZER, READING])], torch.stack([READING, READING]), 1)
    assert_close(both[0], rule.combine([LOCALIZER], READING, 1))


def test_a_threshold_must_be_passed():
    rule = ExitRule.make([8, 16], [0.5, 0.75])
    assert not rule.leaves(0.5, 0)
    assert rule.leaves(0.51, 0)
    assert not rule.leaves(0.75, 1)


def test_a_threshold_of_0_lets_all_leave_and_one_of_1_none():
    assert ExitRule.make([8], 0.0).leaves(1e-3, 0)
    assert not ExitRule.make([8], 1.0).leaves(1.0, 0)


def test_all_leave_the_last_stage():
    assert ExitRule.make([8], 1.0).leaves(0.1, 1)
    assert ExitRule.make([]).leaves(0.1, 0)


def test_one_threshold_holds_for_all_stages_but_the_last():
    assert ExitRule.make([8, 16, "full"], 0.8).thresholds == (0.8, 0.8, 0.8)
    assert ExitRule.make([8, 16], 1).override([0, 0.5]).thresholds == (0.0, 0.5)
    assert ExitRule.make([8], 0.3).override(None).thresholds == (0.3,)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), True, "0.9", [0.9], [0.9] * 3])
def test_a_bad_threshold_is_refused(threshold):
    message = r"`exit_threshold` must be a number in \[0, 1\] or one for each of the first 2"
    with pytest.raises(ValueError, match=message):
        ExitRule.make([8, 16], threshold)
    with pytest.raises(ValueError, match=message):
        ExitRule.make([8, 16]).override(threshold)


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), [1.0, 1.0]])
def test_a_bad_temperature_is_refused(temperature):
    message = "`temperatures` must be a positive number or one for each of the 3 stages"
    with pytest.raises(ValueError, match=message):
        ExitRule.make([8, 16], temperatures=temperature)


@pytest.mark.parametrize(
    "stages", ["full", [0, 8], [8.0], [True], ["all"], [["ngrams"]], [8, None]]
)
def test_unknown_stages_are_refused(stages):
    message = (
        "`stages` must be a list of 'glance', 'ngrams', 'localizer', whole numbers of at least"
    )
    with pytest.raises(ValueError, match=message):
        ExitRule.make(stages)


@pytest.mark.parametrize(
    "stages",
    [
        [8, 8],
        [16, 8],
        ["full", 8],
        ["full", "full"],
        [8, "localizer"],
        [8, "ngrams"],
        ["localizer", "ngrams"],
        ["ngrams", "ngrams"],
        ["ngrams", 8, "localizer"],
        ["localizer", "localizer", 8],
    ],
)
def test_stages_out_of_order_of_cost_are_refused(stages):
    with pytest.raises(ValueError, match=r"`stages` must be in order of cost, each once: .*; got"):
        ExitRule.make(stages)


def test_the_localizer_opens_a_list_without_an_opening_stage():
    rule = ExitRule.make([8, "full"], [0.8, 0.7], [1.0, 2.0, 3.0])
    assert rule == ExitRule.make(["localizer", 8, "full"], [0.8, 0.7], [1.0, 2.0, 3.0])
    assert rule.stages == ("localizer", 8, "full")
    assert ExitRule.make([]).stages == ("localizer",)


def test_a_rule_has_one_or_two_opening_stages():
    both = ExitRule.make(["ngrams", "localizer", 8, "full"])
    assert (both.opening, both.readings) == (("ngrams", "localizer"), (8, "full"))
    assert len(both.thresholds) == 3
    assert len(both.temperatures) == 4
    alone = ExitRule.make(["ngrams", 8])
    assert (alone.opening, alone.readings) == (("ngrams",), (8,))


def test_a_reading_is_averaged_with_the_last_opening_stage():
    rule = ExitRule.make(["ngrams", "localizer", 8], temperatures=[5.0, 2.0, 4.0])
    assert_close(rule.combine([LOCALIZER], None, 0), torch.tensor([0.4, 0.0]).softmax(-1))
    assert_close(rule.combine([READING, LOCALIZER], None, 1), torch.tensor([1.0, 0.0]).softmax(-1))
    expected = (torch.tensor([1.0, 0.0]).softmax(-1) + torch.tensor([-0.25, 0.75]).softmax(-1)) / 2
    assert_close(rule.combine([READING, LOCALIZER], READING, 2), expected)


def test_a_glance_is_averaged_with_the_later_answers():
    rule = ExitRule.make(["glance", "localizer", 1], temperatures=[2.0, 1.0, 4.0])
    glance = torch.tensor([1.0, 0.0]).softmax(-1)
    localizer, reading = READING.softmax(-1), torch.tensor([-0.25, 0.75]).softmax(-1)
    assert_close(rule.combine([LOCALIZER], None, 0), glance)
    assert_close(rule.combine([LOCALIZER, READING], None, 1), (glance + localizer) / 2)
    both = [LOCALIZER, READING]
    assert_close(rule.combine(both, READING, 2), (glance + localizer + reading) / 3)


def test_without_its_stage_the_localizer_may_still_choose_the_patches():
    assert ExitRule.make(["glance", 1, "full"]).locates_later
    assert not ExitRule.make(["glance", "full"]).locates_later
    assert not ExitRule.make(["glance", "localizer", 1]).locates_later
    assert not ExitRule.make(["ngrams", 8]).locates_later


def test_a_glance_goes_in_front_of_all_other_stages():
    assert add_glance([1, "full"]) == ("glance", "localizer", 1, "full")
    assert add_glance(["glance", 1]) == ("glance", 1)
    with pytest.raises(ValueError, match="out of order of cost"):
        ExitRule.make(["localizer", "glance"])
