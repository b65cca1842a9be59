"""A cascade that opens with a glance at the whole image: who answers, and what does not run."""

import json
from pathlib import Path

import pytest
import torch
from cascade_answers import assert_alike, without_time
from PIL import Image
from torch.testing import assert_close
from transformers import AutoModelForImageClassification

from hf_anchornet import Cascade
from hf_anchornet.model.cascade_rule import ExitRule

RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (60, 60, 60)


def paint(color, size=(96, 64), patch=None):
    picture = Image.new("RGB", size, color)
    if patch is not None:
        picture.paste(patch, (16, 16, 32, 32))
    return picture


PICTURES = [
    paint(RED),
    paint(GREY, patch=(66, 60, 60)),
    paint(BLUE, (20, 30)),
    paint(GREY, (64, 64), (60, 60, 66)),
    paint((200, 180, 10), (300, 40), (70, 60, 60)),
]


def follow_rule(cascade, stages, thresholds=1.0):
    return cascade.follow_rule(ExitRule.make(stages, thresholds))


def split_at(cascade, stages, number=2):
    """The cascade with a threshold after the glance that this many of the pictures exceed."""
    traces = follow_rule(cascade, ["glance", "full"]).follow(PICTURES)
    sure = sorted((float(first(trace).softmax(-1).max()) for trace in traces), reverse=True)
    threshold = (sure[number - 1] + sure[number]) / 2
    others = [1.0] * (len(stages) - 2)
    return follow_rule(cascade, stages, [threshold, *others])


def first(trace):
    return trace.opened[0].logits


@pytest.fixture
def localized(glance_cascade):
    """The number of images of each run of the localizer."""
    sizes, network = [], glance_cascade.localizer.network

    def note(pixels, *args, **kwargs):
        sizes.append(len(pixels))
        return network(pixels, *args, **kwargs)

    glance_cascade.localizer.network = note
    return sizes


def test_the_glance_reads_the_whole_image_made_small_in_the_localizers_order(glance_cascade):
    glance = glance_cascade.glance
    small = {"height": 24, "width": 24}
    pixels = glance.processor(images=PICTURES, size=small, return_tensors="pt")
    with torch.no_grad():
        logits = glance.model(**pixels).logits
    traces = glance_cascade.follow(PICTURES)
    found = torch.stack([first(trace) for trace in traces])
    assert glance_cascade.labels == ["cold", "warm"]
    assert glance.model.config.id2label[0] == "warm"
    assert_close(found, logits.flip(1), rtol=1e-4, atol=1e-5)


def test_later_answers_are_averaged_with_the_glance(glance_cascade):
    for trace in glance_cascade.follow(PICTURES):
        probs = (first(trace) / 2).softmax(-1) + trace.logits.softmax(-1)
        if trace.last_reading:
            probs += trace.average(trace.last_reading).softmax(-1)
        assert_close(trace.probs, probs / (3 if trace.last_reading else 2))


def test_the_localizer_reads_only_what_goes_on(glance_cascade, localized):
    cascade = split_at(glance_cascade, ["glance", "localizer", 1])
    traces = cascade.follow(PICTURES)
    assert localized == [3]
    stages = [trace.stage for trace in traces]
    assert stages.count(0) == 2
    for trace in traces:
        ran = trace.stage > 0
        assert bool(trace.localizer_multiply_adds) == ran
        assert trace.glance_multiply_adds > 0


def test_without_its_stage_the_localizer_chooses_patches_only(glance_cascade, localized):
    cascade = split_at(glance_cascade, ["glance", 1, "full"])
    with_stage = follow_rule(glance_cascade, ["glance", "localizer", 1, "full"])
    traces, others = cascade.follow(PICTURES), with_stage.follow(PICTURES)
    assert localized[0] == 3
    for trace, other in zip(traces, others, strict=True):
        assert len(trace.opened) == 1
        if trace.view is None:
            assert trace.located is None
            assert trace.localizer_multiply_adds == 0
            continue
        assert trace.readings == other.readings
        assert trace.localizer_multiply_adds == other.localizer_multiply_adds > 0
        said = trace.average(trace.last_reading).softmax(-1)
        assert_close(trace.probs, (first(trace).softmax(-1) + said) / 2)
        assert trace.located.milliseconds > 0


def test_the_localizer_does_not_run_where_no_patch_is_read(glance_cascade, localized):
    traces = follow_rule(glance_cascade, ["glance", "full"]).follow(PICTURES)
    assert localized == []
    assert all(trace.localizer_multiply_adds == 0 for trace in traces)
    assert [trace.last_reading for trace in traces] == [["full"]] * len(PICTURES)


def test_a_mixed_batch_is_answered_as_one_by_one(glance_cascade):
    cascade = split_at(glance_cascade, ["glance", "localizer", 1, "full"])
    alone = without_time([cascade(picture) for picture in PICTURES])
    for batch_size in (2, 32):
        expected = [answer | {"cost": dict(answer["cost"])} for answer in alone]
        assert_alike(without_time(cascade(PICTURES, batch_size=batch_size)), expected)


def test_the_cost_of_the_glance_is_that_of_its_size(glance_cascade):
    costs = [answer["cost"]["glance_multiply_adds"] for answer in glance_cascade(PICTURES)]
    glance = glance_cascade.glance
    assert set(costs) == {glance.count_multiply_adds((1, 3, 24, 24))}
    assert 0 < costs[0] < glance.count_multiply_adds((1, 3, 32, 32))
    plain = follow_rule(glance_cascade, [1])
    assert "glance_multiply_adds" not in plain(PICTURES[0])["cost"]


def test_all_costs_are_added_up(glance_cascade):
    for trace in split_at(glance_cascade, ["glance", 1, "full"]).follow(PICTURES):
        parts = trace.glance_multiply_adds, trace.localizer_multiply_adds
        assert trace.multiply_adds == sum(parts) + trace.classifier_multiply_adds
        steps = [*trace.opened, *trace.pieces.values(), *([trace.located] if trace.view else [])]
        assert trace.milliseconds == pytest.approx(sum(step.milliseconds for step in steps))


def test_pictures_smaller_than_the_glance_or_a_window_are_answered(glance_cascade):
    answers = glance_cascade([paint(RED, (5, 4)), paint(RED, (1, 1)), paint(BLUE, (400, 3))])
    assert {answer["label"] for answer in answers} <= {"cold", "warm"}


@pytest.mark.parametrize("copy", [True, False])
def test_it_is_saved_and_loaded_with_its_glance(glance_cascade, tmp_path, copy):
    folder = tmp_path / "cascade"
    glance_cascade.save_pretrained(folder, copy_classifier=copy)
    saved = json.loads((folder / "cascade.json").read_text())
    assert saved["stages"] == ["glance", "localizer", 1, "full"]
    assert saved["glance"]["size"] == 24
    assert (folder / "glance").exists() == copy
    if copy:  # the labels of the classifier behind a reference were changed in memory only
        loaded = Cascade.from_pretrained(folder)
        assert loaded.rule == glance_cascade.rule
        assert_alike(without_time(loaded(PICTURES)), without_time(glance_cascade(PICTURES)))


def test_a_glance_that_is_no_stage_is_not_saved(glance_cascade, tmp_path):
    follow_rule(glance_cascade, [1]).save_pretrained(tmp_path)
    assert "glance" not in json.loads((tmp_path / "cascade.json").read_text())
    assert not (tmp_path / "glance").exists()


@pytest.fixture
def localizer_folder(glance_cascade, tmp_path):
    glance_cascade.localizer.save_pretrained(tmp_path / "localizer")
    return str(tmp_path / "localizer")


def test_one_network_may_glance_and_read_and_is_saved_once(
    localizer_folder, glance_folder, tmp_path
):
    stages = ["localizer", 1, "full"]
    same = {"glance": Path(glance_folder), "glance_size": 24, "full_size": 40}
    cascade = Cascade.load(localizer_folder, glance_folder, stages, 1.0, **same)
    assert cascade.rule.stages == ("glance", *stages)
    assert cascade.glance.model is cascade.reader.model
    assert (cascade.glance.full_size, cascade.reader.full_size) == (24, 40)
    cascade.save_pretrained(tmp_path / "cascade")
    assert not (tmp_path / "cascade" / "glance").exists()
    loaded = Cascade.from_pretrained(tmp_path / "cascade")
    assert loaded.glance.model is loaded.reader.model
    assert_alike(without_time(loaded(PICTURES)), without_time(cascade(PICTURES)))
    costs = cascade(PICTURES[0])["cost"]
    count = cascade.reader.count_multiply_adds
    assert costs["glance_multiply_adds"] == count((1, 3, 24, 24))
    assert costs["full_multiply_adds"] == count((1, 3, 40, 40))


def test_another_network_may_glance(localizer_folder, glance_folder, tmp_path):
    model = AutoModelForImageClassification.from_pretrained(glance_folder)
    cascade = Cascade.load(localizer_folder, glance_folder, [], glance=model, glance_size=32)
    assert cascade.rule.stages == ("glance", "localizer")
    assert cascade.glance.model is model
    assert cascade.glance.model is not cascade.reader.model
    assert "glance: ResNetForImageClassification" in repr(cascade)
    assert "stage 0: glance alone, exits above 0.9" in repr(cascade)


def test_without_a_size_the_glance_reads_as_its_processor_does(localizer_folder, glance_folder):
    cascade = Cascade.load(localizer_folder, glance_folder, [], glance=glance_folder)
    cost = cascade(PICTURES[0])["cost"]["glance_multiply_adds"]
    assert cost == cascade.glance.count_multiply_adds((1, 3, 16, 16))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "`glance_size` must be a whole number of at least 1, got 0"),
        (1.5, "`glance_size` must be a whole number of at least 1, got 1.5"),
    ],
)
def test_a_size_that_is_none_is_refused(localizer_folder, glance_folder, size, message):
    with pytest.raises(ValueError, match=message):
        Cascade.load(localizer_folder, glance_folder, [], glance=glance_folder, glance_size=size)
    with pytest.raises(ValueError, match="`glance_size` must come with a `glance`, got 24 without"):
        Cascade.load(localizer_folder, glance_folder, [], glance_size=24)


def test_a_network_of_one_size_is_refused_at_another(
    localizer_folder, glance_folder, image_classifier_folder
):
    model = AutoModelForImageClassification.from_pretrained(
        image_classifier_folder, id2label={0: "warm", 1: "cold"}, label2id={"warm": 0, "cold": 1}
    )
    load = {"glance": model, "stages": []}
    assert Cascade.load(localizer_folder, glance_folder, glance_size=16, **load)
    with pytest.raises(ValueError, match="`glance_size` must be a size that the glance's model"):
        Cascade.load(localizer_folder, glance_folder, glance_size=40, **load)


def test_a_processor_that_makes_another_size_is_refused(glance_cascade):
    glance_cascade.glance.processor.do_resize = False
    glance_cascade.glance = glance_cascade.glance.resize(24)  # which knows no sizes yet
    with pytest.raises(ValueError, match="that the glance's image processor makes, got 24"):
        follow_rule(glance_cascade, ["glance"])


def test_a_glance_with_other_labels_is_refused(localizer_folder, glance_folder, image_cascade):
    other = AutoModelForImageClassification.from_pretrained(
        glance_folder, id2label={0: "a", 1: "b"}
    )
    with pytest.raises(ValueError, match="`glance` must have the labels of the localizer"):
        Cascade.load(localizer_folder, glance_folder, [], glance=other)


def test_a_multi_label_glance_is_refused(glance_cascade):
    glance_cascade.glance.model.config.problem_type = "multi_label_classification"
    with pytest.raises(ValueError, match="`glance` must choose one label, got a multi-label model"):
        follow_rule(glance_cascade, ["glance"])


def test_a_glance_of_another_modality_is_refused(
    localizer_folder, glance_folder, classifier_folder, text_cascade
):
    with pytest.raises(OSError, match="`glance` must be the Hub id or folder of a model for image"):
        Cascade.load(localizer_folder, glance_folder, [], glance=classifier_folder)
    with pytest.raises(ValueError, match="`glance` must be a model for image-classification"):
        Cascade.load(localizer_folder, glance_folder, [], glance=text_cascade.reader.model)
    with pytest.raises(ValueError, match="`glance` must be left out for texts"):
        Cascade(
            text_cascade.localizer, text_cascade.reader, text_cascade.rule, {}, text_cascade.reader
        )


def test_a_stage_needs_its_glance(image_cascade, text_cascade):
    for cascade in (image_cascade, text_cascade):
        with pytest.raises(
            ValueError, match="must not name 'glance' for a cascade without a glance"
        ):
            follow_rule(cascade, ["glance", "localizer"])


def test_an_older_copy_of_this_class_has_no_glance(glance_cascade):
    from types import SimpleNamespace

    from hf_anchornet.model.cascade import attach_cascade

    old = SimpleNamespace(rule=ExitRule.make([1]), reader=glance_cascade.reader, record={})
    cpu = torch.device("cpu")
    assert attach_cascade(old, glance_cascade.localizer, cpu, "eager").glance is None
    attached = attach_cascade(glance_cascade, glance_cascade.localizer, cpu, "eager")
    assert attached.glance is glance_cascade.glance
