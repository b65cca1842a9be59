"""The pipeline with a cascade that opens with a glance: what runs, and what is shown."""

import pytest
import torch
from PIL import Image

from hf_anchornet import PatchLocalizationPipeline
from hf_anchornet.model.cascade_rule import ExitRule

RED, GREY = (255, 0, 0), (60, 60, 60)


def paint(color, size=(96, 64), patch=None):
    picture = Image.new("RGB", size, color)
    if patch is not None:
        picture.paste(patch, (16, 16, 32, 32))
    return picture


PICTURES = [paint(RED), paint(GREY, patch=(90, 60, 60)), paint(RED, (40, 20), GREY)]


def make(cascade, stages=None, thresholds=1.0):
    if stages is not None:
        cascade = cascade.follow_rule(ExitRule.make(stages, thresholds))
    localizer = cascade.localizer
    return PatchLocalizationPipeline(
        model=localizer.model, image_processor=localizer.processor, classifier=cascade
    )


@pytest.fixture
def localized(monkeypatch):
    """The number of images of each batch that a localizer reads."""
    from hf_anchornet.model.image_localizer import ImageLocalizer

    sizes, read = [], ImageLocalizer.read_pixels

    def note(self, images, pixels):
        sizes.append(len(images))
        return read(self, images, pixels)

    monkeypatch.setattr(ImageLocalizer, "read_pixels", note)
    return sizes


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("stages", [None, ["glance", 1], ["glance", "full"]])
def test_the_cascades_answer_is_told(glance_cascade, stages, batch_size):
    localize = make(glance_cascade, stages)
    answers = localize(PICTURES, batch_size=batch_size)
    for answer, other in zip(answers, localize.cascade(PICTURES), strict=True):
        assert answer["classifier"]["label"] == other["label"]
        assert answer["classifier"]["score"] == pytest.approx(other["score"], rel=1e-5)
        assert answer["classifier"]["stage"] == other["stage"]
        assert answer["cost"]["glance_multiply_adds"] == other["cost"]["glance_multiply_adds"]


def test_patches_are_shown_and_their_cost_is_counted_where_the_glance_answered(
    glance_cascade, localized
):
    localize = make(glance_cascade, ["glance", "localizer", 1], [0.0, 1.0])
    plain = PatchLocalizationPipeline(
        model=localize.model, image_processor=localize.image_processor
    )
    answers = localize(PICTURES, batch_size=3)
    assert localized == [3]
    for answer, other in zip(answers, plain(PICTURES, batch_size=3), strict=True):
        assert answer["classifier"]["stage"] == 0
        assert (answer["label"], answer["patches"]) == (other["label"], other["patches"])
        assert answer["cost"]["localizer_multiply_adds"] > 0
        assert answer["cost"]["localizer_pixels"] == other["cost"]["localizer_pixels"]


def test_without_patches_the_localizer_reads_only_what_goes_on(glance_cascade, localized):
    localize = make(glance_cascade, ["glance", "localizer", 1], [0.0, 1.0])
    traces = localize.cascade.follow(PICTURES)
    for answer, trace in zip(localize(PICTURES, top_k=0, batch_size=3), traces, strict=True):
        best = trace.opened[0].logits.argmax()
        assert answer["label"] == localize.labels[best]
        assert answer["score"] == pytest.approx(float(trace.opened[0].logits.softmax(-1).max()))
        assert answer["patches"] == []
        assert answer["coverage"] == 0
        assert answer["cost"]["localizer_multiply_adds"] == answer["cost"]["localizer_pixels"] == 0
    assert localized == []
    (answer,) = make(glance_cascade)([PICTURES[1]], top_k=0)
    assert localized == [1]
    assert answer["patches"] == []
    assert answer["cost"]["localizer_multiply_adds"] > 0


def test_maps_are_patches_enough_to_run_the_localizer(glance_cascade):
    localize = make(glance_cascade, ["glance", "full"])
    answer = localize(PICTURES[0], top_k=0, return_maps=True)
    assert answer["patches"] == []
    assert torch.tensor(answer["maps"][answer["label"]]).sum() > 0


def test_no_patches_may_be_wanted_without_a_cascade(image_cascade):
    localizer = image_cascade.localizer
    localize = PatchLocalizationPipeline(model=localizer.model, image_processor=localizer.processor)
    shown, hidden = localize(PICTURES[0]), localize(PICTURES[0], top_k=0)
    assert shown["patches"]
    assert hidden == shown | {"patches": [], "shares": {}, "coverage": 0.0}
    large = localize(PICTURES[0], top_k=0, full_resolution=True)
    assert large["patches"] == []


@pytest.mark.parametrize("top_k", [0, 2])
@pytest.mark.parametrize(
    ("stages", "thresholds"),
    [
        (["glance", "localizer", 1], [0.0, 1.0]),
        (["glance", "localizer", 1], [1.0, 0.0]),
        (["glance", "localizer", 2], [1.0, 1.0]),
        (["glance", 2], [1.0]),
        (["glance", "full"], [1.0]),
    ],
)
def test_an_explanation_adds_up_to_the_answer_of_all_who_gave_it(
    glance_cascade, stages, thresholds, top_k
):
    localize = make(glance_cascade, stages, thresholds)
    for answer in localize(PICTURES, top_k=top_k, explain_answer=True, batch_size=3):
        explanation = answer["explanation"]
        assert explanation["unit"] == "probability"
        assert explanation["total"] == pytest.approx(answer["classifier"]["score"], abs=1e-6)
        values = [part["value"] for part in explanation["parts"]]
        assert explanation["base"] + sum(values) == pytest.approx(explanation["total"], abs=1e-6)
        if answer["classifier"]["stage"] == 0:
            assert values == []
        elif stages[answer["classifier"]["stage"]] != "localizer":
            assert values
        else:
            assert len(values) == min(top_k, len(values))
