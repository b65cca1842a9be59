"""Each verdict follows from what was measured."""

import pytest

from hf_anchornet.building.verdict import judge


def measure(localizer=None, cascade=None, classifier=None, linear=0.5, asked=0.13, times=None):
    """A comparison with these accuracies; `times` are milliseconds by model."""
    accuracy = {
        "localizer": localizer,
        "cascade": cascade,
        "classifier": classifier,
        "linear model": linear,
        "majority": 0.3,
    }
    times = {"localizer": 1.0, "cascade": 5.0, "classifier": 60.0} | (times or {})
    scores = {
        name: {"accuracy": value, "macro_f1": value, "milliseconds": times.get(name, 0.1)}
        for name, value in accuracy.items()
        if value is not None
    }
    difference = {"mean": -0.03, "low": -0.05, "high": -0.01}
    return {
        "num_rows": 400,
        "answer": "localizer" if cascade is None else "cascade",
        "asked": asked,
        "compared": scores,
        "num_train_rows": 500,
        "differences": {"classifier": difference, "linear model": difference},
    }


@pytest.mark.parametrize(
    ("measured", "worth_it", "said"),
    [
        (
            measure(localizer=0.976, classifier=0.974, linear=0.95, times={"classifier": 90.0}),
            True,
            "The localizer alone is as good as your classifier (.976 / .974) at 1/90 of its time: "
            "the classifier is left out.",
        ),
        (
            measure(localizer=0.976, classifier=0.974, linear=0.975),
            True,
            "A linear model of the texts is as good too (.975): take it",
        ),
        (
            measure(localizer=0.9, cascade=0.917, classifier=0.913, linear=0.9),
            True,
            "Asks the classifier for 13% of the texts: .917 / .913 at 1/12 of its time.",
        ),
        (
            measure(localizer=0.9, cascade=0.917, classifier=0.913, linear=0.915),
            False,
            "a linear model is as good (.915 / .917). Your classifier on the full texts is no "
            "better either (.913)",
        ),
        (
            measure(localizer=0.7, classifier=0.71, linear=0.75),
            False,
            "a linear model is better than the localizer (.750 / .700)",
        ),
        (
            measure(localizer=0.9, cascade=0.91, classifier=0.95, linear=0.8),
            False,
            "the cascade loses 4.0 points against your classifier (.910 / .950).",
        ),
        (
            measure(
                localizer=0.9, cascade=0.95, classifier=0.95, linear=0.8, times={"cascade": 55.0}
            ),
            False,
            "takes 92% of its time (.950 / .950): use the classifier alone",
        ),
        (
            measure(localizer=0.31, linear=0.3),
            False,
            "hardly better than always giving the most frequent label (.310 / .300)",
        ),
        (measure(localizer=0.9, linear=0.95), False, "There are only 500 texts to learn from."),
        (measure(localizer=0.983, linear=0.976), True, "better than a linear model (.983 / .976)"),
        (measure(localizer=0.976, linear=0.976), False, "a linear model is as good as the localiz"),
    ],
)
def test_the_verdict(measured, worth_it, said):
    verdict = judge(measured, 0.01)
    assert verdict.worth_it == worth_it
    assert said in verdict.text
    assert verdict.text.startswith("Not worth it here: ") != worth_it


def test_a_loss_that_may_be_chance_is_said_to_be():
    measured = measure(localizer=0.9, cascade=0.91, classifier=0.93, linear=0.8)
    measured["differences"]["classifier"] = {"mean": -0.02, "low": -0.05, "high": 0.01}
    said = "chance with 400 rows (95 % interval of ours minus theirs: -5.0 to +1.0 points)"
    assert said in judge(measured, 0.01).text


def test_a_linear_model_that_may_be_better_by_chance_is_not_called_better():
    measured = measure(localizer=0.578, linear=0.585)
    measured["differences"]["linear model"] = {"mean": -0.007, "low": -0.09, "high": 0.07}
    text = judge(measured, 0.01).text
    assert "a linear model scores higher than the localizer (.585 / .578), which may be" in text
    assert "is better" not in text


@pytest.mark.parametrize(
    ("low", "num_rows", "said"),
    [
        (-0.1, 400, "(.600 / .500), which may be chance with 400 rows (95 % interval of ours"),
        (0.1, 5, "(.600 / .500), of only 5 rows, and shows"),
        (0.1, 400, "(.600 / .500), and shows"),
    ],
)
def test_a_gain_on_few_rows_is_said_to_be_of_few_rows(low, num_rows, said):
    measured = measure(localizer=0.6, linear=0.5) | {"num_rows": num_rows}
    measured["differences"]["linear model"] = {"mean": 0.1, "low": low, "high": 0.9}
    assert said in judge(measured, 0.01).text


def test_the_data_are_not_blamed_for_what_a_linear_model_finds_in_them():
    text = judge(measure(localizer=0.3, linear=0.5), 0.01).text
    assert "a linear model is better than the localizer (.500 / .300)" in text
    assert "do not show the label" not in text


def test_pictures_are_called_images():
    measured = measure(localizer=0.9, cascade=0.917, classifier=0.913, linear=0.8)
    assert "13% of the images" in judge(measured, 0.01, "images").text


def test_what_is_allowed_to_be_lost_is_told_and_is_not_called_as_good():
    verdict = judge(measure(localizer=0.65, classifier=0.9, linear=0.6), 0.3)
    assert verdict.worth_it
    assert "alone loses 25.0 points against your classifier, within the 30.0 that" in verdict.text
    assert "as good" not in verdict.text
    assert "hardly better" not in judge(measure(localizer=0.6, classifier=0.65), 0.4).text


def test_a_limit_that_is_met_exactly_is_met():
    assert judge(measure(localizer=0.9, cascade=0.92, classifier=0.93), 0.01).worth_it


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(4.6, "at 22% of its time"), (1.6, "at 62% of its time"), (1.2, "in about its time")],
)
def test_small_ratios_of_times_are_told_as_shares(milliseconds, said):
    times = {"localizer": 1.0, "classifier": milliseconds}
    assert said in judge(measure(localizer=0.9, classifier=0.9, times=times), 0.01).text


def test_few_rows_cannot_tell_that_models_are_as_good():
    for model in ({"localizer": 0.8}, {"localizer": 0.7, "cascade": 0.8}):
        measured = measure(classifier=0.8, **model) | {"num_rows": 20}
        measured["differences"]["classifier"] = {"mean": 0.0, "low": -0.2, "high": 0.2}
        assert "(with 20 rows ours may be -20.0 to +20.0 points)" in judge(measured, 0.01).text
