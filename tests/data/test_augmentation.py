"""Random views of an image: their shape and range, what stays and what may change."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_anchornet.data.augmentation import (
    AugmentationOptions,
    augment,
    change_colors,
    random_crop,
    resize_whole,
)


def picture(width=60, height=40, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (7, 300), (1, 1)])
def test_a_view_is_a_square_of_the_asked_size_in_the_unit_range(size):
    view = augment(picture(*size), AugmentationOptions(crop_size=24))
    assert view.shape == (3, 24, 24)
    assert view.dtype == torch.float32
    assert 0 <= view.min() <= view.max() <= 1


def test_each_view_differs_and_the_same_seed_gives_the_same_view():
    def draw():
        return augment(picture(), AugmentationOptions(crop_size=24))

    torch.manual_seed(1)
    first, second = draw(), draw()
    torch.manual_seed(1)
    assert draw().equal(first)
    assert not first.equal(second)


def test_without_changes_the_whole_square_image_stays():
    image = picture(24, 24)
    options = AugmentationOptions(
        crop_size=24, min_crop=1.0, turn=False, mirror=False, color_strength=0
    )
    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    for _ in range(8):
        assert augment(image, options).equal(whole)


def test_mirroring_alone_gives_two_views():
    image = picture(8, 8)
    options = AugmentationOptions(crop_size=8, min_crop=1.0, turn=False, color_strength=0)
    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    views = [augment(image, options) for _ in range(40)]
    assert all(view.equal(whole) or view.equal(whole.flip(2)) for view in views)
    assert not all(view.equal(views[0]) for view in views)


def test_turns_give_all_eight_orientations_of_a_square():
    image = picture(8, 8)
    options = AugmentationOptions(crop_size=8, min_crop=1.0, color_strength=0)
    assert len({tuple(augment(image, options).flatten().tolist()) for _ in range(200)}) == 8


def test_crops_are_as_large_as_asked_and_reach_every_edge():
    # Pixel values rise from left to right: the extremes of a crop tell where it was cut.
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    image = Image.fromarray(np.ascontiguousarray(ramp))
    lows, sides = [], []
    for _ in range(300):
        columns = np.asarray(random_crop(image, 100, 0.5))[0, :, 0].astype(float)
        lows.append(columns[0])
        sides.append(columns[-1] - columns[0] + 1)
    assert 48 <= min(sides) < 60
    assert 90 < max(sides) <= 101
    assert min(lows) < 10
    assert max(low + side for low, side in zip(lows, sides, strict=True)) > 190


@pytest.mark.parametrize(
    ("size", "shape"), [((40, 40), (24, 24)), ((60, 40), (24, 36)), ((40, 60), (36, 24))]
)
def test_a_whole_view_keeps_every_edge_and_its_proportions(size, shape):
    image = Image.new("RGB", size, "white")
    image.paste("black", (1, 1, size[0] - 1, size[1] - 1))  # a white frame, one pixel wide
    options = AugmentationOptions(crop_size=24, keep_whole=True, color_strength=0)
    for _ in range(12):
        view = augment(image, options)
        assert view.shape == (3, *shape)
        edges = [view[:, 0], view[:, -1], view[:, :, 0], view[:, :, -1]]
        assert min(float(edge.mean()) for edge in edges) > 0.3


def test_wide_whole_views_are_only_turned_upside_down():
    image = picture(16, 8)
    options = AugmentationOptions(crop_size=8, keep_whole=True, color_strength=0)
    views = [augment(image, options) for _ in range(100)]
    assert {tuple(view.shape) for view in views} == {(3, 8, 16)}
    assert len({tuple(view.flatten().tolist()) for view in views}) == 4


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (333, 1000)])
def test_the_shorter_side_of_a_whole_view_is_exact(size):
    assert min(resize_whole(picture(*size), 24).size) == 24


def test_colors_without_strength_stay():
    pixels = torch.rand(3, 4, 5)
    assert change_colors(pixels, 0) is pixels


def test_strong_colors_change_the_image_but_not_its_layout():
    pixels = torch.zeros(3, 32, 32)
    pixels[:, :, 16:] = 0.8
    for _ in range(20):
        changed = change_colors(pixels, 1.0)
        assert changed.shape == pixels.shape
        assert changed[:, :, 16:].mean() > changed[:, :, :16].mean()


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("crop_size", 0, "at least 1, got 0"),
        ("min_crop", 0.0, r"in \(0, 1\], got 0.0"),
        ("min_crop", 1.5, r"in \(0, 1\], got 1.5"),
        ("color_strength", -1.0, "at least 0, got -1.0"),
    ],
)
def test_values_that_mean_nothing_are_refused(field, value, rule):
    with pytest.raises(ValueError, match=f"`{field}` must be {rule}"):
        AugmentationOptions(**{field: value})
