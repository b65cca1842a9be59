"""A calibration in words, and its warnings."""

import pytest

from hf_anchornet.calibration.summary import (
    asks_classifier,
    describe_choice,
    find_warnings,
    list_unseen,
)
from hf_anchornet.model.cascade_rule import ExitRule

STAGES = ("localizer", 16, 64, "full")


def make_record(localizer=0.8, full=0.9, share=0.25):
    cost = {"cascade": 2e6, "localizer": 1e6, "classifier on full": 9e6}
    return {
        "split": {"name": "dev", "num_rows": 1200},
        "accuracy": {"cascade": 0.89, "localizer": localizer, "classifier on full": full},
        "expected_cost": {"multiply_adds": cost, "milliseconds": cost},
        "share_leaving": {"localizer": 1 - share, "16": share},
    }


def test_the_choice_is_told_with_rows_costs_and_shares():
    lines = describe_choice(make_record(), ExitRule.make([16], 0.7))
    assert lines[0] == "1,200 rows of split dev:"
    assert [line.split()[0] for line in lines[2:5]] == ["classifier", "cascade", "localizer"]
    assert "answers above 0.700: 75.0% of the rows" in lines[6]
    assert "answers the rest: 25.0% of the rows" in lines[7]


def test_a_good_cascade_gives_no_warning():
    training = {"options": {"reading": "mix", "budgets": [16, 64, 512]}}
    assert asks_classifier(make_record())
    assert find_warnings(make_record(), STAGES, training) == []


def test_a_classifier_that_is_never_asked_or_worse_is_warned_of():
    training = {"options": {"reading": "mix", "budgets": [16, 64, 512]}}
    record = make_record(localizer=0.95, share=0.0)
    assert not asks_classifier(record)
    worse, never = find_warnings(record, STAGES, training)
    assert "worse than localizer alone (0.9000 / 0.9500)" in worse
    assert "never asked" in never


@pytest.mark.parametrize(
    ("options", "unseen"),
    [
        ({"reading": "spans", "max_tokens": 32, "budgets": [8]}, ["full"]),
        ({"reading": "spans", "max_tokens": 128, "budgets": [8]}, [16, "full"]),
        ({"reading": "mix", "budgets": [32, 512]}, []),
        ({"reading": "full", "budgets": [8]}, [16, 64]),
        ({"reading": "head", "max_tokens": 32, "budgets": [8]}, [16, 64, "full"]),
        ({"reading": "patches"}, ["full"]),
        ({"reading": "mix"}, []),
        ({"reading": "all"}, []),
        (None, [16, 64]),
    ],
)
def test_what_a_classifier_never_saw_follows_from_its_training(options, unseen):
    assert list_unseen(STAGES, None if options is None else {"options": options}) == unseen


def test_a_goal_that_no_cascade_reaches_is_warned_of():
    training = {"options": {"reading": "mix", "budgets": [16, 64, 512]}}
    (warning,) = find_warnings(make_record() | {"reaches_goal": False}, STAGES, training)
    assert warning.startswith("no cascade reaches the goal: the most accurate one was taken (0.89")


def test_the_full_input_is_judged_even_without_a_stage():
    training = {"options": {"reading": "spans", "max_tokens": 32, "budgets": [8]}}
    (warning,) = find_warnings(make_record(), ("localizer", 32), training)
    assert "never saw what it gets at full (it was trained on spans of 32 tokens)" in warning
