"""Calibration of a cascade on one split: choice, record and refusals."""

import json

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, NamedSplit, Value
from PIL import Image

from hf_anchornet import Cascade
from hf_anchornet.calibration.calibrate import calibrate
from hf_anchornet.calibration.options import CalibrationOptions

TEXTS = ["good film", "bad film", "good, good", "a bad café", "the film", "bad", "good bad", ""]
LABELS = ["positive", "negative", "positive", "negative", "positive", "negative", "negative"]


def make_rows(texts, labels, split="validation"):
    return Dataset.from_dict({"text": texts, "label": labels}, split=NamedSplit(split))


@pytest.fixture
def rows():
    return make_rows(TEXTS * 5, [*LABELS, "negative"] * 5)


@pytest.fixture
def options():
    return CalibrationOptions(["4", "6", "full"])


def test_the_rule_reaches_the_accuracy_wanted(text_cascade, rows, options):
    calibrated = calibrate(text_cascade, rows, "text", "label", options)
    answers = calibrated(rows["text"][:])
    right = [answer["label"] == label for answer, label in zip(answers, rows["label"], strict=True)]
    accuracy = calibrated.record["accuracy"]
    assert accuracy["cascade"] == sum(right) / len(right)
    best_alone = max(accuracy["classifier on full"], accuracy["localizer"])
    assert accuracy["cascade"] >= best_alone - options.max_loss
    assert calibrated.record["reaches_goal"]


def test_the_expected_cost_is_that_of_the_answers(text_cascade, rows):
    options = CalibrationOptions(["4", "full"], max_cost=1e9)
    calibrated = calibrate(text_cascade, rows, "text", "label", options)
    spent = [
        answer["cost"]["localizer_multiply_adds"] + answer["cost"]["classifier_multiply_adds"]
        for answer in calibrated(rows["text"][:])
    ]
    expected = calibrated.record["expected_cost"]["multiply_adds"]["cascade"]
    assert sum(spent) / len(spent) == pytest.approx(expected)


def test_the_best_accuracy_under_a_time_may_be_wanted(text_cascade, rows):
    options = CalibrationOptions(["4", "full"], max_cost=1e9, unit="milliseconds")
    record = calibrate(text_cascade, rows, "text", "label", options).record
    assert record["accuracy"]["cascade"] >= record["accuracy"]["localizer"]
    assert record["expected_cost"]["milliseconds"]["cascade"] > 0


def test_images_are_calibrated_alike(image_cascade):
    record = calibrate(image_cascade, paint_rows(), "image", "label").record
    assert record["split"]["num_rows"] == 8


def test_the_record_tells_the_split_and_what_was_found(text_cascade, rows, options):
    record = calibrate(text_cascade, rows, "text", "label", options).record
    assert record["split"] == {
        "fingerprint": rows._fingerprint, "name": "validation", "num_rows": 40,
    }  # fmt: skip
    errors = record["calibration_error"]
    assert list(errors) == [
        "localizer", "classifier on 4", "classifier on 6", "classifier on full",
    ]  # fmt: skip
    assert errors["localizer"].keys() == {"temperature", "before", "after"}
    assert sum(record["share_leaving"].values()) == pytest.approx(1.0)
    difference = record["difference"]
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert json.loads(json.dumps(record)) == record


def test_a_calibrated_cascade_is_saved_with_its_record(text_cascade, rows, options, tmp_path):
    calibrated = calibrate(text_cascade, rows, "text", "label", options)
    calibrated.save_pretrained(tmp_path)
    loaded = Cascade.from_pretrained(tmp_path)
    assert loaded.record == calibrated.record
    assert loaded.rule == calibrated.rule


def test_the_full_input_is_the_measure_even_where_no_stage_reads_it(text_cascade, rows):
    calibrated = calibrate(
        text_cascade, rows, "text", "label", CalibrationOptions(["4"], max_loss=1.0)
    )
    assert "classifier on full" in calibrated.record["accuracy"]
    assert "full" not in calibrated.rule.stages


def test_calibrating_twice_gives_the_same_rule(text_cascade, rows, options):
    once, twice = (calibrate(text_cascade, rows, "text", "label", options) for _ in range(2))
    assert once.rule == twice.rule


def test_inputs_keep_their_order_in_whatever_lots_they_are_read(text_cascade, rows):
    found = []
    for batch_size in (1, 32):  # several lots, and one
        options = CalibrationOptions(["4", "full"], batch_size=batch_size)
        found.append(calibrate(text_cascade, rows, "text", "label", options))
    assert found[0].record["accuracy"] == found[1].record["accuracy"]
    assert found[0].rule.thresholds == pytest.approx(found[1].rule.thresholds, abs=1e-4)


# Bad input


def test_several_splits_are_refused(text_cascade, rows):
    with pytest.raises(TypeError, match=r"`rows` must be one split, .* got DatasetDict; pass"):
        calibrate(text_cascade, DatasetDict(validation=rows), "text", "label")


@pytest.mark.parametrize("name", ["test", "test[:50%]", "train+test", "TEST"])
def test_the_test_split_is_refused(text_cascade, name):
    with pytest.raises(ValueError, match="`rows` must not be the test split, got split"):
        calibrate(text_cascade, make_rows(TEXTS[:7], LABELS, name), "text", "label")


def test_a_split_of_one_class_is_refused(text_cascade):
    rows = make_rows(["good", "good film"], ["positive"] * 2)
    with pytest.raises(ValueError, match="`label` must hold at least two labels"):
        calibrate(text_cascade, rows, "text", "label")


def test_a_missing_column_is_named(text_cascade, rows):
    with pytest.raises(ValueError, match="column `txt` is not in the dataset"):
        calibrate(text_cascade, rows, "txt", "label")


def test_an_unknown_label_is_named(text_cascade):
    rows = make_rows(["good", "bad"], ["positive", "dull"])
    with pytest.raises(ValueError, match="label 'dull' in row 1"):
        calibrate(text_cascade, rows, "text", "label")


def test_a_text_that_is_none_is_named_by_its_row(text_cascade):
    features = Features({"text": Value("string"), "label": Value("string")})
    rows = Dataset.from_dict({"text": ["good", None], "label": LABELS[:2]}, features)
    with pytest.raises(TypeError, match="row 1 must be a string, got NoneType"):
        calibrate(text_cascade, rows, "text", "label")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"max_cost": 0.5},
            r"an expected cost of at most 0\.5 multiply_adds, got \['localizer', 4\]; let",
        ),
        (
            {"min_accuracy": 1.0},
            r"an accuracy of at least 1, got \['localizer', 4\]; let the classifier read",
        ),
    ],
)
def test_a_goal_out_of_reach_is_told(text_cascade, rows, given, message):
    with pytest.raises(ValueError, match=f"`stages` must allow {message}"):
        calibrate(text_cascade, rows, "text", "label", CalibrationOptions(["4"], **given))
    wanted = CalibrationOptions(["4"], best_effort=True, **given)
    record = calibrate(text_cascade, rows, "text", "label", wanted).record
    assert not record["reaches_goal"]
    assert record["accuracy"]["cascade"] >= record["accuracy"]["localizer"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"unit": "joules"}, '`unit` must be "multiply_adds" or "milliseconds", got'),
        ({"max_loss": 2.0}, r"`max_loss` must be in \[0, 1\], got 2"),
        ({"min_accuracy": 90.0}, r"`min_accuracy` must be in \[0, 1\], got 90"),
        ({"max_loss": -0.1}, r"`max_loss` must be in \[0, 1\], got -0.1"),
        ({"max_loss": "0.1"}, r"`max_loss` must be in \[0, 1\], got '0.1'"),
        ({"max_cost": float("nan")}, "`max_cost` must be a number of at least 0, got nan"),
        ({"max_cost": 1.0, "min_accuracy": 0.9}, "`min_accuracy` must be left out with `max_cost`"),
        ({"max_stages": -3}, "`max_stages` must be a whole number of at least 1, got -3"),
        ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1, got 0"),
    ],
)
def test_a_bad_option_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        CalibrationOptions(**given)


def test_default_stages_above_what_the_classifier_reads_are_left_out(text_cascade, rows):
    text_cascade.reader.readable_tokens = 40
    record = calibrate(text_cascade, rows, "text", "label").record
    assert list(record["calibration_error"]) == [
        "localizer", "classifier on 16", "classifier on 32", "classifier on full",
    ]  # fmt: skip


def test_a_stage_above_what_the_classifier_reads_is_refused(text_cascade, rows):
    options = CalibrationOptions(["16", "600"])
    with pytest.raises(ValueError, match="must be at most 128 for this classifier, got 600"):
        calibrate(text_cascade, rows, "text", "label", options)


# N-grams

MIXED = ["not bad", "good good", "good bad, a film", "", "not good film", "bad"]


@pytest.fixture
def mixed():
    """The n-grams know five of six, the localizer all."""
    labels = ["positive", "positive", "negative", "negative", "negative", "negative"]
    return make_rows(MIXED * 5, labels * 5)


def calibrate_ngrams(cascade, rows, *stages, **goal):
    return calibrate(cascade, rows, "text", "label", CalibrationOptions([*stages], **goal))


def test_ngrams_answer_first_where_that_is_good_enough(ngram_cascade, mixed):
    stages = ("ngrams", "localizer", "4", "full")
    calibrated = calibrate_ngrams(ngram_cascade, mixed, *stages, min_accuracy=1.0)
    assert calibrated.rule.stages[0] == "ngrams"
    record = calibrated.record
    assert record["share_leaving"]["ngrams"] > 0
    assert set(record["accuracy"]) == {"cascade", "ngrams", "localizer", "classifier on full"}
    cost = record["expected_cost"]["multiply_adds"]
    assert cost["ngrams"] == 0 < cost["cascade"] < cost["localizer"]
    assert record["expected_cost"]["milliseconds"]["ngrams"] > 0


def test_the_record_is_that_of_the_answers(ngram_cascade, mixed):
    stages = ("ngrams", "localizer", "4", "full")
    for goal in ({"min_accuracy": 0.8}, {"max_loss": 1.0}, {"max_cost": 1e9}):
        calibrated = calibrate_ngrams(ngram_cascade, mixed, *stages, **goal)
        answers = calibrated(mixed["text"][:])
        right = [answer["label"] == label for answer, label in zip(answers, mixed["label"])]  # noqa: B905
        assert calibrated.record["accuracy"]["cascade"] == pytest.approx(sum(right) / len(right))
        counts = [answer["stage"] for answer in answers]
        assert sum(calibrated.record["share_leaving"].values()) == pytest.approx(1.0)
        spent = [
            answer["cost"]["localizer_multiply_adds"] + answer["cost"]["classifier_multiply_adds"]
            for answer in answers
        ]
        expected = calibrated.record["expected_cost"]["multiply_adds"]["cascade"]
        assert sum(spent) / len(counts) == pytest.approx(expected)


def test_ngrams_may_be_the_only_opening_stage(ngram_cascade, mixed):
    record = calibrate_ngrams(ngram_cascade, mixed, "ngrams", "4", max_cost=1e9).record
    assert next(iter(record["calibration_error"])) == "ngrams"
    assert set(record["accuracy"]) == {"cascade", "ngrams", "classifier on full"}


def test_either_opening_stage_can_be_left_out(ngram_cascade, mixed):
    stages = ("ngrams", "localizer", "full")
    cheapest = calibrate_ngrams(ngram_cascade, mixed, *stages, max_loss=1.0)
    assert cheapest.rule.stages == ("ngrams",)
    assert cheapest.record["accuracy"]["cascade"] == cheapest.record["accuracy"]["ngrams"]


def test_every_stage_has_its_temperature(ngram_cascade, mixed):
    stages = ("ngrams", "localizer", "4")
    calibrated = calibrate_ngrams(ngram_cascade, mixed, *stages, min_accuracy=1.0)
    assert calibrated.rule.stages == ("ngrams", "localizer")
    errors = calibrated.record["calibration_error"]
    expected = tuple(errors[name]["temperature"] for name in ("ngrams", "localizer"))
    assert calibrated.rule.temperatures == expected
    assert expected[0] != expected[1]


def test_by_default_ngrams_are_a_candidate_if_the_model_has_some(ngram_cascade, mixed):
    ngram_cascade.reader.readable_tokens = 20
    record = calibrate(ngram_cascade, mixed, "text", "label").record
    assert {"ngrams", "localizer"} <= set(record["accuracy"])


def test_ngrams_that_the_model_has_not_are_refused(text_cascade, rows):
    with pytest.raises(ValueError, match="`stages` must not name 'ngrams' for a localizer without"):
        calibrate_ngrams(text_cascade, rows, "ngrams", "localizer", "4")


def test_stages_out_of_order_are_refused(ngram_cascade, mixed):
    with pytest.raises(ValueError, match="`stages` must be in order of cost"):
        calibrate_ngrams(ngram_cascade, mixed, "localizer", "ngrams", "4")


def paint_rows():
    pictures = [Image.new("RGB", (40, 40), (60 + step, 60, 60)) for step in range(-8, 8, 2)]
    return Dataset.from_dict(
        {"image": pictures, "label": [0, 0, 0, 0, 1, 1, 0, 1]},
        split=NamedSplit("validation"),
    ).cast_column("label", ClassLabel(names=["cold", "warm"]))


def test_a_glance_is_among_the_stages_by_default(glance_cascade):
    record = calibrate(glance_cascade, paint_rows(), "image", "label").record
    assert {"glance", "localizer", "classifier on full"} < record["accuracy"].keys()
    costs = record["expected_cost"]["multiply_adds"]
    glance = glance_cascade.glance.count_multiply_adds((1, 3, 24, 24))
    assert costs["glance"] == glance
    options = CalibrationOptions(["localizer"], max_loss=1.0)
    alone = calibrate(glance_cascade, paint_rows(), "image", "label", options).record
    assert costs["localizer"] == alone["expected_cost"]["multiply_adds"]["localizer"]
    assert record["accuracy"]["localizer"] == alone["accuracy"]["localizer"]


@pytest.mark.parametrize(
    "stages", [["glance", "1"], ["glance", "full"], ["glance", "localizer", "1", "full"]]
)
def test_the_expected_cost_and_accuracy_of_a_glance_are_those_of_the_answers(
    glance_cascade, stages
):
    rows, options = paint_rows(), CalibrationOptions(stages, max_cost=1e12)
    calibrated = calibrate(glance_cascade, rows, "image", "label", options)
    answers = calibrated(rows["image"][:])
    names = [name for name in answers[0]["cost"] if name.endswith("_multiply_adds")]
    names.remove("full_multiply_adds")
    spent = [sum(answer["cost"][name] for name in names) for answer in answers]
    expected = calibrated.record["expected_cost"]["multiply_adds"]["cascade"]
    assert sum(spent) / len(spent) == pytest.approx(expected)
    wanted = [calibrated.labels[label] for label in rows["label"]]
    right = [answer["label"] == label for answer, label in zip(answers, wanted, strict=True)]
    assert calibrated.record["accuracy"]["cascade"] == sum(right) / len(right)


def test_images_are_read_once_whatever_opens_the_cascade(glance_cascade, monkeypatch):
    calls = []
    follow = Cascade.follow

    def note(self, *args):
        calls.append(self.rule.stages)
        return follow(self, *args)

    monkeypatch.setattr(Cascade, "follow", note)
    calibrate(glance_cascade, paint_rows(), "image", "label")
    assert calls == [("glance", "localizer", 1, 2, 3, "full")]


def test_a_cascade_that_does_without_its_glance_loses_it(glance_cascade, tmp_path):
    options = CalibrationOptions(["localizer", "1"], max_loss=1.0)
    calibrate(glance_cascade, paint_rows(), "image", "label", options).save_pretrained(tmp_path)
    assert not (tmp_path / "glance").exists()
    assert Cascade.from_pretrained(tmp_path).glance is None
