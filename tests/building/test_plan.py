"""The plan of a build, and how a budget shortens it."""

from dataclasses import replace

import pytest
from transformers import BertConfig

from hf_anchornet.building.plan import Plan, Work, choose_learning, count_learned
from hf_anchornet.building.planning import fit_rest, make_plan

SPEED = 5e10


def make_work(classifier=None, rows=2_000, trained=False):
    return Work("text", (rows, 400, 3_000), 100.0, classifier, trained)


@pytest.fixture
def large_encoder(tmp_path):
    """A folder with the config of an encoder that takes most of a build's time."""
    config = BertConfig(hidden_size=384, num_hidden_layers=2, num_attention_heads=12)
    config.architectures = ["BertModel"]
    config.save_pretrained(tmp_path)
    return str(tmp_path)


def test_without_a_classifier_there_are_a_localizer_and_its_evaluation():
    plan = make_plan(make_work(), None, SPEED)
    assert list(plan.seconds) == ["localizer", "evaluation"]
    assert not plan.use_classifier
    assert any("localizer" in line for line in plan.describe("text"))
    assert not any("starting from" in line for line in plan.describe("text"))


def test_an_encoder_is_adapted_and_a_trained_classifier_teaches_too(classifier_folder):
    plan = make_plan(make_work(classifier_folder), None, SPEED)
    assert list(plan.seconds) == ["localizer", "classifier", "calibration", "evaluation"]
    assert (plan.teach, plan.adapt_rows, plan.test_rows) == (False, 2_000, 2_000)
    taught = make_plan(make_work(classifier_folder, trained=True), None, SPEED)
    assert taught.teach
    assert taught.seconds["localizer"] > plan.seconds["localizer"]


def test_a_classifier_of_images_teaches_if_the_localizer_can_start_from_it(image_classifier_folder):
    work = Work("image", (800, 100, 100), 192.0, image_classifier_folder, is_trained=True)
    other, plan = (
        make_plan(replace(work, is_backbone=able), None, SPEED) for able in (False, True)
    )
    assert (other.start, other.teach) == (False, False)
    assert (plan.start, plan.teach) == (True, True)
    assert "starting from the shipped localizer" in " ".join(other.describe("image"))
    assert plan.seconds["localizer"] > other.seconds["localizer"]
    told = " ".join(plan.describe("image"))
    assert "starting from the classifier's first blocks, taught by it" in told
    untrained = make_plan(replace(work, is_backbone=True, is_trained=False), None, SPEED)
    assert (untrained.start, untrained.teach) == (True, False)


def test_a_classifier_is_adapted_to_parts_that_it_can_read(classifier_folder):
    work = replace(make_work(classifier_folder), readable=100)
    assert make_plan(work, None, SPEED).budgets == (32, 64, 512)


def test_pieces_that_a_teacher_labels_count_as_rows():
    work = make_work(rows=800)
    assert count_learned(work, False) == 800
    assert count_learned(work, True) == pytest.approx(800 * (1 + 100 / 35))
    assert choose_learning(work, True).num_epochs < choose_learning(work, False).num_epochs


def test_more_rows_and_a_slower_machine_take_longer():
    few, many = (make_plan(make_work(rows=rows), None, SPEED).total for rows in (500, 5_000))
    slow = make_plan(make_work(rows=500), None, SPEED / 10).total
    assert few < many
    assert few < slow


def test_a_budget_shortens_the_plan_sentence_by_sentence(large_encoder):
    work = make_work(large_encoder, rows=100_000)
    whole = make_plan(work, None, SPEED / 100)
    small = make_plan(work, whole.total * 0.9, SPEED / 100)
    assert small.total <= whole.total * 0.9
    assert small.shortened[0] == "the classifier is adapted for 1 epoch"
    alone = whole.seconds["localizer"] + whole.seconds["evaluation"]
    least = make_plan(work, alone, SPEED / 100)
    assert not least.use_classifier
    assert least.shortened[-1] == "the classifier is left out"
    assert any("shortened: the classifier is left out" in line for line in least.describe("text"))


def test_a_step_as_long_as_expected_changes_nothing(large_encoder):
    work = make_work(large_encoder)
    plan = make_plan(work, None, SPEED)
    taken = {"localizer": plan.seconds["localizer"]}
    assert fit_rest(plan, work, plan.total * 1.01, taken, SPEED) == plan


def test_what_is_left_is_shortened_by_what_a_step_took(large_encoder):
    work = make_work(large_encoder, rows=100_000)
    plan = make_plan(work, None, SPEED / 100)
    slow = {"localizer": 2 * plan.seconds["localizer"]}
    rest = fit_rest(plan, work, plan.total, slow, SPEED / 100)
    assert rest.total <= plan.total
    assert rest.seconds["localizer"] == slow["localizer"]
    assert rest.seconds["evaluation"] > plan.seconds["evaluation"]  # the machine is slower
    assert rest.shortened[0] == "the classifier is adapted for 1 epoch"
    late = fit_rest(plan, work, 1.0, slow, SPEED / 100)
    assert late.total > 1.0
    assert not late.use_classifier


def test_finished_steps_are_not_shortened(large_encoder):
    work = make_work(large_encoder, trained=True)
    plan = make_plan(work, None, SPEED)
    taken = dict.fromkeys(("localizer", "classifier"), 9000000000.0)
    rest = fit_rest(plan, work, 1.0, taken, SPEED)
    assert rest.shortened == ("models are compared on 500 rows",)
    assert (rest.adapt_rows, rest.adapt_epochs) == (plan.adapt_rows, plan.adapt_epochs)


def test_a_budget_too_short_for_any_step_is_refused(classifier_folder):
    with pytest.raises(ValueError, match=r"`budget` must be at least \d+min for the shortest plan"):
        make_plan(make_work(classifier_folder), 1.0, SPEED)


def test_a_plan_is_read_as_it_was_written(classifier_folder):
    plan = make_plan(make_work(classifier_folder), None, SPEED)
    assert Plan.from_json(plan.to_json()) == plan
