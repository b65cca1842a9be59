"""Pictures read from coarse to fine: exact readings, small evidence, bounded work."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from hf_anchornet import AnchorNetImageProcessor, PatchLocalizationPipeline
from hf_anchornet.model.geometry import center_evidence
from hf_anchornet.model.image_localizer import ImageLocalizer
from hf_anchornet.model.image_zoom import ZoomedImage

GREY, RED = (128, 128, 128), (255, 0, 0)


def plant(size, corner, side=12):
    picture = Image.new("RGB", size, GREY)
    picture.paste(RED, (*corner, corner[0] + side, corner[1] + side))
    return picture


def make_noise(width, height):
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def localizer(image_model, image_processor):
    """Random; windows of 3, 7 and 11 px in pictures whose shorter side is 32 px."""
    return ImageLocalizer(image_model, image_processor)


@pytest.fixture
def localize(planted_image_model, image_processor):
    """Windows of 8 px in pictures whose shorter side is 32 px; red is warm."""
    return PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)


@pytest.mark.parametrize("size", [(400, 300), (150, 700), (90, 64)])
def test_steps_lead_from_the_whole_picture_to_its_own_pixels(localizer, size):
    read = ZoomedImage(make_noise(*size), localizer, 3)
    assert read.steps[0].places == [(0, 0, *size)]
    resolutions = [step.resolution for step in read.steps]
    assert resolutions == sorted(resolutions)
    assert resolutions[0] == pytest.approx(32 / min(size), rel=0.02)
    assert resolutions[-1] == 1
    assert all(1 <= len(step.places) <= 3 for step in read.steps)


def test_places_may_touch_where_the_grid_leaves_no_room_between_them(image_model):
    # Windows of 11 px every 2 px: beside the first one in 22 px the next free place is at 12 px.
    processor = AnchorNetImageProcessor(size={"shortest_edge": 22})
    localizer = ImageLocalizer(image_model, processor)
    pictures = [make_noise(220, height) for height in range(220, 230)]
    read = [ZoomedImage(picture, localizer, 4).steps[1].places for picture in pictures]
    assert max(map(len, read)) > 1


def test_each_place_is_read_as_a_picture_of_its_own(localizer):
    image = make_noise(200, 260)
    read = ZoomedImage(image, localizer, 2)
    for step in read.steps[:-1]:
        crops = [image.crop(place) for place in step.places]
        alone = [localizer.read([crop]).logits[0] for crop in crops]
        assert_close(step.batch.logits, torch.stack(alone), rtol=1e-4, atol=1e-5)
    means = [step.batch.logits.mean(dim=0) for step in read.steps]
    assert len(means) > 2
    assert_close(read.logits[0], torch.stack(means).mean(dim=0), rtol=1e-5, atol=1e-6)


def test_the_last_step_reads_the_pixels_as_they_are(localizer):
    read = ZoomedImage(make_noise(90, 64), localizer, 2)
    last = read.steps[-1]
    sides = [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in last.places]
    assert last.batch.evidence.sizes.tolist() == [list(side) for side in sides]
    assert max(map(max, sides)) < 32


def test_all_evidence_adds_up_to_the_logits(localizer):
    read = ZoomedImage(make_noise(200, 260), localizer, 3)
    bias = localizer.model.aggregation.bias
    total = center_evidence(bias[None])[0].double()
    for step in read.steps:
        for branch in step.batch.evidence.branches:
            total = total + branch.double().sum(dim=(0, 1, 2)) / len(step.places) / len(read.steps)
    assert_close(total, center_evidence(read.logits)[0].double(), rtol=1e-4, atol=1e-5)


def test_every_window_has_its_part_of_the_evidence(localizer):
    read = ZoomedImage(make_noise(120, 110), localizer, 2)
    boxes = read.select(1, 500, 1.0)
    total, together = read.weigh(1, boxes)
    whole = sum(
        float(step.batch.attribute(torch.ones(len(step.places), dtype=torch.long)).abs().sum())
        / (len(step.places) * len(read.steps))
        for step in read.steps
    )
    assert total == pytest.approx(whole)
    assert all(box.evidence > 0 for box in boxes)
    assert abs(together) <= total
    assert read.select(1, 0, 1.0) == []
    assert read.weigh(1, []) == (total, 0)


@pytest.mark.parametrize("corner", [(300, 420), (8, 600), (620, 10)])
def test_evidence_too_small_for_the_resized_picture_is_found(localize, corner):
    answer = localize(plant((640, 640), corner), zoom=2, top_k=40)
    assert answer["label"] == "warm"
    boxes = [patch["box"] for patch in answer["patches"] if patch["scale"] == 8]
    assert boxes
    for box in boxes:
        assert corner[0] - 8 < box["xmin"] < corner[0] + 12
        assert corner[1] - 8 < box["ymin"] < corner[1] + 12
    scales = [patch["scale"] for patch in answer["patches"]]
    assert max(scales) >= 640 / 4


def test_the_answer_says_what_was_read(localize):
    answer = localize(plant((640, 640), (300, 420)), zoom=2)
    first, *others = answer["readings"]
    assert first == {"resolution": 32 / 640, "share": 1.0}
    shares = [reading["share"] for reading in answer["readings"]]
    assert shares == sorted(shares, reverse=True)
    assert others[-1]["resolution"] == 1
    assert others[-1]["share"] < 0.01


def test_the_work_does_not_grow_with_the_picture(localizer):
    small, large = (ZoomedImage(make_noise(side, side), localizer, 2) for side in (300, 3000))
    assert len(large.steps) - len(small.steps) <= 3
    for read in (small, large):
        assert read.size[1] <= (1 + 2 * (len(read.steps) - 1)) * 33 * 33


@pytest.mark.parametrize("size", [(40, 32), (20, 24), (64, 32)])
def test_a_picture_no_larger_than_the_input_is_read_once(localize, size):
    picture = plant(size, (2, 3), 8)
    answer, plain = localize(picture, zoom=3), localize(picture)
    assert [reading["share"] for reading in answer.pop("readings")] == [1.0]
    assert answer["label"] == plain["label"]
    assert answer["score"] == pytest.approx(plain["score"])
    assert [patch["box"] for patch in answer["patches"]] == [p["box"] for p in plain["patches"]]
    assert answer["shares"] == pytest.approx(plain["shares"])
    assert answer["cost"] == plain["cost"]


def test_windows_as_large_as_the_input_end_it(planted_image_model):
    processor = AnchorNetImageProcessor(size={"shortest_edge": 8})
    read = ZoomedImage(make_noise(100, 100), ImageLocalizer(planted_image_model, processor), 2)
    assert len(read.steps) == 1


def test_shares_together_are_at_most_the_sum_of_the_patches(localize):
    answer = localize(plant((640, 500), (300, 420)), zoom=2, top_k=9, iou_threshold=0.9)
    total = sum(patch["share"] for patch in answer["patches"])
    assert 0 < answer["shares"]["warm"] <= total + 1e-9
    assert answer["shares"]["warm"] <= 1


def test_a_picture_without_evidence_is_answered(localize):
    answer = localize(Image.new("RGB", (300, 300)), zoom=2, top_k=3)
    assert answer["patches"] == []
    assert answer["shares"] in ({"cold": 0.0}, {"warm": 0.0})
    assert localize(plant((300, 300), (9, 9)), zoom=2, top_k=0)["patches"] == []


def test_a_classifier_reads_the_best_patches_of_all_readings(
    planted_image_model, image_processor, image_cascade
):
    folder = image_cascade.reader.model.name_or_path
    localize = PatchLocalizationPipeline(
        model=planted_image_model, image_processor=image_processor, classifier=folder
    )
    answers = localize([plant((640, 640), (300, 420)), make_noise(80, 90)], zoom=2, max_patches=2)
    assert all(answer["classifier"]["stage"] == 1 for answer in answers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zoom": -1}, "`zoom` must be a whole number of at least 1, got -1"),
        ({"zoom": 1.5}, "`zoom` must be a whole number of at least 1, got 1.5"),
        ({"zoom": True}, "`zoom` must be a whole number of at least 1, got True"),
        ({"zoom": 2, "full_resolution": True}, "`zoom` must be 0 with `full_resolution`, got 2"),
        ({"zoom": 2, "return_maps": True}, "`zoom` must be 0 with `return_maps`, got 2"),
    ],
)
def test_what_zoom_cannot_do_is_refused(localize, options, message):
    with pytest.raises(ValueError, match=message):
        localize(make_noise(60, 60), **options)


def test_zoom_is_refused_with_a_cascade(image_cascade):
    localizer = image_cascade.localizer
    localize = PatchLocalizationPipeline(
        model=localizer.model, image_processor=localizer.processor, classifier=image_cascade
    )
    with pytest.raises(ValueError, match="`zoom` must be off with a cascade or `exit_threshold`"):
        localize(make_noise(60, 60), zoom=2)
