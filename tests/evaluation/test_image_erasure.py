import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from hf_anchornet.evaluation.image_erasure import (
    BLUR_SHARE,
    MAX_CELLS,
    NOISE,
    POOLED_CELLS,
    SOLVED_PX,
    erase_cells,
    impute_neighbours,
    pool_map,
    spread_cells,
)

RED, BLUE = (200, 0, 0), (0, 0, 100)


class ShareOfRed:
    """Label 0 has the share of pixels that are exactly red; keeps what it saw."""

    def __init__(self):
        self.calls = []

    def __call__(self, images):
        self.calls.append([np.asarray(image) for image in images])
        shares = [(pixels == RED).all(axis=-1).mean() for pixels in self.calls[-1]]
        return np.array([[share, 1 - share] for share in shares])


def paint(height=40, width=20, red_cells=((0, 0),), cell=10):
    """A blue image, some of its square cells red."""
    pixels = np.full((height, width, 3), BLUE, dtype=np.uint8)
    for row, column in red_cells:
        pixels[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = RED
    return Image.fromarray(pixels)


def smooth_image(height=30, width=40):
    y, x = np.mgrid[:height, :width]
    channels = [100 + 3 * x, 50 + 4 * y, 20 + 2 * x + 2 * y]
    return np.stack(channels, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("fill", ["mean", "blur", "neighbours"])
def test_the_probabilities_equal_those_by_hand(fill):
    # 4 x 2 cells, two red ones and best: bins of 1, 1, 1, 2 and 4 cells.
    scores = np.zeros((4, 2))
    scores[0, 0], scores[3, 1] = 2.0, 1.0
    image, predict = paint(red_cells=((0, 0), (3, 1))), ShareOfRed()
    found = erase_cells(image, scores, 0, predict, fill=fill)
    assert found.whole == 2 / 8
    if fill == "mean":  # the other fills may leave a pixel as it was
        assert found.without.tolist() == [1 / 8, 1 / 8, 1 / 8, 0, 0]
        assert found.only.tolist() == [1 / 8, 1 / 8, 1 / 8, 2 / 8, 2 / 8]
    assert [len(call) for call in predict.calls] == [1 + 2 * 3]
    whole, *changed = predict.calls[0]
    masks = [np.zeros((4, 2), dtype=bool) for _ in range(3)]
    order = [(0, 0), (3, 1), (0, 1), (1, 0)]  # equal cells in reading order
    for mask, size in zip(masks, (1, 2, 4), strict=True):
        for cell in order[:size]:
            mask[cell] = True
    for mask, without, only in zip(masks, changed[:3], changed[3:], strict=True):
        cut = np.kron(mask, np.ones((10, 10))).astype(bool)
        assert (without[~cut] == whole[~cut]).all()
        assert (only[cut] == whole[cut]).all()
        assert (without[cut] != whole[cut]).any()
        assert (only[~cut] != whole[~cut]).any()


def test_mean_fills_with_the_mean_colour():
    predict = ShareOfRed()
    erase_cells(paint(), np.arange(8)[::-1].reshape(4, 2), 0, predict, fill="mean")
    # One cell in eight is red: (200, 0, 0) / 8 + (0, 0, 100) * 7 / 8 = (25, 0, 87.5).
    assert (predict.calls[0][1][:10, :10] == (25, 0, 88)).all()


def test_blur_fills_with_the_blurred_image():
    image, predict = paint(), ShareOfRed()
    erase_cells(image, np.arange(8)[::-1].reshape(4, 2), 0, predict, fill="blur")
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(BLUR_SHARE * 20)))
    assert (predict.calls[0][1][:10, :10] == blurred[:10, :10]).all()
    assert (predict.calls[0][4][10:] == blurred[10:]).all()


def test_neighbours_fill_with_what_is_around():
    predict = ShareOfRed()
    erase_cells(paint(), np.arange(8)[::-1].reshape(4, 2), 0, predict, fill="neighbours")
    without = predict.calls[0][1][:10, :10].astype(float)  # the red cell, only blue is left
    assert np.abs(without - BLUE).max() <= 255 * NOISE * 5
    assert without[..., 2].std() == pytest.approx(255 * NOISE, rel=0.3)


def test_one_unknown_pixel_is_the_weighted_mean_of_its_neighbours():
    values = np.array([[0, 60, 0], [120, 0, 180], [240, 240, 0]])
    pixels = np.repeat(values[..., None], 3, axis=-1).astype(np.uint8)
    known = np.ones((3, 3), dtype=bool)
    known[1, 1] = False
    expected = (60 + 120 + 180 + 240) / 6 + (0 + 0 + 240 + 0) / 12  # 100 + 20
    found = impute_neighbours(pixels, known)[1, 1]
    assert np.abs(found - expected).max() <= 255 * NOISE * 4


def test_values_from_neighbours_solve_the_equations_of_every_pixel(monkeypatch):
    monkeypatch.setattr("hf_anchornet.evaluation.image_erasure.NOISE", 0.0)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    known = np.random.default_rng(1).random((9, 12)) > 0.6
    # Independent solution: repeat the weighted mean over a border of zeros until it stands still.
    values = np.where(known[..., None], pixels, 128).astype(float)
    inside = np.pad(np.ones((9, 12)), 1)
    for _ in range(2000):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
        sums, weights = np.zeros_like(values), np.zeros((9, 12, 1))
        for y in range(3):
            for x in range(3):
                weight = {0: 0, 1: 1 / 6, 2: 1 / 12}[abs(y - 1) + abs(x - 1)]
                sums += weight * padded[y : y + 9, x : x + 12]
                weights += weight * inside[y : y + 9, x : x + 12, None]
        values = np.where(known[..., None], pixels, sums / weights)
    found = impute_neighbours(pixels, known)
    assert np.abs(found - values).max() <= 0.5 + 1e-3  # rounded to whole numbers


def test_a_plane_of_colour_is_restored_inside(monkeypatch):
    monkeypatch.setattr("hf_anchornet.evaluation.image_erasure.NOISE", 0.0)
    pixels = smooth_image()
    known = np.ones((30, 40), dtype=bool)
    known[8:20, 10:30] = False
    assert np.abs(impute_neighbours(pixels, known).astype(int) - pixels).max() <= 1


def test_large_images_are_solved_on_a_smaller_grid_that_sees_known_pixels_only(monkeypatch):
    monkeypatch.setattr("hf_anchornet.evaluation.image_erasure.NOISE", 0.0)
    size = 3 * SOLVED_PX + 10
    known = np.ones((size, size // 2), dtype=bool)
    known[100:201, 33:90] = False
    pixels = np.full((size, size // 2, 3), BLUE, dtype=np.uint8)
    pixels[~known] = RED
    assert (impute_neighbours(pixels, known) == BLUE).all()


def test_known_pixels_stay_and_the_noise_is_the_same_in_each_call():
    pixels = smooth_image()
    known = np.random.default_rng(0).random((30, 40)) > 0.5
    found = impute_neighbours(pixels, known)
    assert (found[known] == pixels[known]).all()
    assert (found == impute_neighbours(pixels, known)).all()


def test_neighbours_without_scipy_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[eval\]'"):
        erase_cells(paint(), np.arange(8).reshape(4, 2), 0, ShareOfRed(), fill="neighbours")


def test_a_fine_map_is_averaged():
    scores = np.arange(56 * 84.0).reshape(56, 84)
    pooled = pool_map(scores, 224, 224)
    assert pooled.shape == (POOLED_CELLS, POOLED_CELLS)
    assert np.allclose(pooled, scores.reshape(28, 2, 28, 3).mean(axis=(1, 3)))


def test_a_map_that_does_not_divide_is_averaged_by_shares_of_its_cells():
    scores = np.zeros((42, 1))
    scores[1] = 1.0  # 42 rows on 28: of row 1 one half lies in each of the first two
    pooled = pool_map(scores, 224, 224)
    assert pooled[:3, 0] == pytest.approx([0.5 / 1.5, 0.5 / 1.5, 0], abs=1e-12)
    assert pooled.mean() == pytest.approx(scores.mean(), abs=1e-12)


def test_a_coarse_map_stays_as_it_is():
    scores = np.arange(float(MAX_CELLS * 3)).reshape(MAX_CELLS, 3)
    assert (pool_map(scores, 224, 224) == scores).all()


def test_a_map_has_no_more_cells_than_the_image_has_pixels():
    assert pool_map(np.ones((20, 20)), 8, 12).shape == (8, 12)


def test_each_pixel_has_the_cell_under_its_centre():
    cells = np.array([[True, False], [False, True]])
    spread = spread_cells(cells, 3, 5)
    # Columns: centres 0.5 and 1.5 of 5 are left of the middle, 2.5 is the border and right.
    assert spread.astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]


@pytest.mark.parametrize("fill", ["mean", "blur", "neighbours"])
@pytest.mark.parametrize(("height", "width"), [(1, 2), (2, 1), (7, 33), (150, 120)])
def test_any_size_of_image_and_map_works(fill, height, width):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    predict = ShareOfRed()
    found = erase_cells(image, rng.random((40, 5)), 1, predict, fill=fill)
    assert all(pixels.shape == (height, width, 3) for pixels in predict.calls[0])
    assert found.without.shape == found.only.shape == (5,)


@pytest.mark.parametrize(
    ("image", "scores", "options", "message"),
    [
        (paint().convert("L"), np.zeros((2, 2)), {}, "`image` must be RGB, got L"),
        (paint(), np.zeros(4), {}, r"`scores` must be a map .* got shape \(4,\)"),
        (paint(), np.zeros((1, 2, 2)), {}, r"got shape \(1, 2, 2\) .*one image at a time"),
        (paint(), np.zeros((1, 1)), {}, r"two or more cells, .* got shape \(1, 1\)"),
        (paint(1, 1), np.zeros((4, 4)), {}, r"got shape \(4, 4\) for \(1, 1\) pixels"),
        (paint(), np.array([[0, np.nan]]), {}, "`scores` must be finite, got NaN or infinity"),
        (paint(), np.array([[0, -np.inf]]), {}, "`scores` must be finite"),
        (paint(), np.zeros((2, 2)), {"fill": "black"}, "`fill` must be .* got 'black'"),
    ],
)
def test_bad_input_says_what_is_wrong(image, scores, options, message):
    with pytest.raises(ValueError, match=message):
        erase_cells(image, scores, 0, ShareOfRed(), **options)


def test_the_label_must_be_one_of_the_classifier():
    with pytest.raises(ValueError, match="`label` must be between 0 and 1, got 2"):
        erase_cells(paint(), np.zeros((2, 2)), 2, ShareOfRed())
