"""An image localizer at work: batches, parts of them, and nothing computed twice."""

import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from hf_anchornet.model.image_boxes import ImageEvidence
from hf_anchornet.model.image_localizer import ImageLocalizer


@pytest.fixture
def images():
    return [Image.effect_noise(size, 90).convert("RGB") for size in [(40, 40), (64, 40), (33, 50)]]


@pytest.fixture
def batch(image_model, image_processor, images):
    return ImageLocalizer(image_model, image_processor).read(images)


@pytest.fixture
def calls(monkeypatch):
    """The names of the methods of `ImageEvidence` called."""
    names = []

    def note(name):
        method = getattr(ImageEvidence, name)
        return lambda *args: names.append(name) or method(*args)

    for name in ("attribute", "select"):
        monkeypatch.setattr(ImageEvidence, name, note(name))
    return names


def test_fewer_boxes_are_the_first_of_more_and_need_no_map_of_pixels(batch, calls):
    more, fewer = batch.select(4), batch.select(2)
    assert torch.equal(fewer.boxes, more.boxes[:, :2])
    assert calls == ["select"]


def test_ranks_used_again_are_those_that_would_be_found(batch, images):
    for limits in (0.3, [0.0, 0.5, 0.5, 1.0]):
        batch.select(4, limits)
        first = limits if isinstance(limits, float) else limits[:2]
        alone = batch.localizer.read(images).select(2, first)
        for one, other in zip(batch.select(2, first), alone, strict=True):
            assert_close(one, other)


@pytest.mark.parametrize(
    ("more", "other"),
    [
        ({"top_k": 2}, {"top_k": 3}),
        ({"top_k": 3}, {"top_k": 2, "iou_threshold": 0.0}),
        ({"top_k": 3}, {"top_k": 2, "scales": [7]}),
        ({"top_k": 3}, {"top_k": 2, "labels": torch.tensor([0, 0, 1])}),
    ],
)
def test_another_choice_is_made_anew(batch, images, more, other):
    batch.select(**more)
    for one, alone in zip(
        batch.select(**other), batch.localizer.read(images).select(**other), strict=True
    ):
        assert_close(one, alone)


def test_boxes_are_of_the_sizes_that_the_model_reads(image_model, image_processor, images):
    for chosen in ([], [3, 7]):
        image_model.config.reading_scales = chosen
        batch = ImageLocalizer(image_model, image_processor).read(images)
        for one, other in zip(batch.select(3), batch.select(3, scales=chosen or None), strict=True):
            assert_close(one, other)
        assert set(batch.select(3).scales.flatten().tolist()) <= set(chosen or [3, 7, 11])
        assert set(batch.select(3, scales=[11]).scales.flatten().tolist()) == {11}


def test_the_predicted_label_is_attributed_once(batch, calls):
    batch.attribute(batch.predicted)
    list(batch.maps())
    assert calls == ["attribute"]


def test_a_part_of_a_batch_is_located_as_it_is_in_the_whole(batch):
    part, whole = batch.take([2, 0]), batch.select(2)
    for one, row in zip(part.restore(part.select(2).boxes), [2, 0], strict=True):
        assert one == batch.restore(whole.boxes)[row]
    assert part.multiply_adds() == [batch.multiply_adds()[row] for row in (2, 0)]


def test_all_of_a_batch_is_the_batch_itself(batch):
    assert batch.take([0, 1, 2]) is batch


def test_an_array_of_fractions_is_refused_where_nothing_would_rescale_it(
    image_model, image_processor
):
    fractions = torch.rand(3, 40, 40)
    localizer = ImageLocalizer(image_model, image_processor)
    assert localizer.check_input(fractions, "`inputs`").size == (40, 40)
    localizer.processor.do_rescale = False
    message = r"`inputs` must not be an array of torch.float32 with `do_rescale=False`"
    with pytest.raises(ValueError, match=message):
        localizer.check_input(fractions, "`inputs`")
    assert localizer.check_input((255 * fractions).to(torch.uint8), "`inputs`").size == (40, 40)
