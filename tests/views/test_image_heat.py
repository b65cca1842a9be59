"""Heat maps: colours under which the picture is seen, and no blob in the middle."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image

from hf_anchornet import PatchLocalizationPipeline
from hf_anchornet.model.geometry import Window, spread_over_pixels
from hf_anchornet.model.image_boxes import pool_cells
from hf_anchornet.views.image_heat import count_windows, draw_heat

WINDOWS = [Window(31, 8), Window(63, 8)]


def make_grid(height, width, windows=WINDOWS):
    described = [{"size": window.size, "stride": window.stride} for window in windows]
    return {"height": height, "width": width, "windows": described}


@pytest.fixture
def image():
    return Image.new("RGB", (500, 300), "white")


def test_evidence_for_and_against_have_different_colours(image):
    heat = draw_heat(image, [[1.0, -1.0]])
    red, _, blue = heat.getpixel((0, 0))
    assert red > blue
    red, _, blue = heat.getpixel((499, 0))
    assert red < blue


def test_a_map_without_evidence_leaves_the_picture_grey(image):
    assert draw_heat(image, [[0.0]]).getpixel((7, 7)) == (255, 255, 255)


def test_the_object_stays_visible_under_the_strongest_evidence():
    steps = Image.fromarray(np.tile(np.arange(0, 250, 10, dtype=np.uint8), (4, 1))).convert("RGB")
    heat = np.asarray(draw_heat(steps, [[1.0]])).astype(int).sum(axis=2)
    assert (np.diff(heat[0]) > 3).all()


@pytest.mark.parametrize(("height", "width"), [(120, 200), (63, 70), (97, 64)])
def test_even_evidence_has_an_even_heat_map(height, width):
    sizes = torch.tensor([[height, width]])
    spread = torch.zeros(1, height, width, dtype=torch.float64)
    for window in WINDOWS:
        shape = window.num_positions(height), window.num_positions(width)
        evidence = torch.full((1, *shape), 1 / (shape[0] * shape[1]))
        spread += spread_over_pixels(evidence, window, sizes)
    cells = pool_cells(spread[0], 8).numpy()
    even = cells / count_windows(make_grid(height, width), cells.shape)
    covered = cells > 1e-12  # not only by rounding
    assert_allclose(even[covered], even[covered][0], rtol=1e-5)
    assert cells.max() / cells[covered].min() > 2  # it was a blob


def test_the_border_is_no_darker_than_the_middle_in_the_picture(image):
    grid = make_grid(96, 160)
    counts = count_windows(grid, (12, 20))
    plain, divided = draw_heat(image, counts.tolist()), draw_heat(image, counts.tolist(), grid)
    corner, middle = (60, 40), (250, 150)
    assert plain.getpixel(corner) != plain.getpixel(middle)
    assert divided.getpixel(corner) == divided.getpixel(middle)


def test_a_grid_of_other_cells_is_refused(image):
    with pytest.raises(
        ValueError, match="`grid` must have the 1 x 2 cells of the map, got 12 x 20"
    ):
        draw_heat(image, [[1.0, 0.0]], make_grid(96, 160))


@pytest.mark.parametrize("size", [(50, 41), (33, 60), (32, 32)])
def test_the_grid_of_an_answer_is_that_of_its_maps(planted_image_model, image_processor, size):
    localize = PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)
    answer = localize(Image.effect_noise(size, 90).convert("RGB"), return_maps=True)
    (cells,) = answer["maps"].values()
    assert (count_windows(answer["grid"], np.shape(cells)) > 0).all()
    large = localize(Image.effect_noise(size, 90), return_maps=True, full_resolution=True)
    assert (large["grid"]["height"], large["grid"]["width"]) == size[::-1]
    assert count_windows(large["grid"], np.shape(*large["maps"].values())).max() == 1


def test_heat_lies_over_its_pixels_where_the_last_cells_are_cut():
    cells = np.zeros((4, 4))
    cells[2, 2] = 1.0  # rows and columns 64 to 96 of 100
    drawn = draw_heat(Image.new("RGB", (100, 100)), cells, make_grid(100, 100, [Window(32, 32)]))
    heat = np.asarray(drawn, dtype=float).sum(axis=(1, 2))
    assert heat.argmax() == pytest.approx(80, abs=2)
