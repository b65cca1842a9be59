"""What a classifier says of an image without its best cells, and of these cells alone."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .faithfulness import Faithfulness, Predict, predict_degrees, rank_scores

Fill = Literal["blur", "mean", "neighbours"]
FILLS: tuple[Fill, ...] = ("blur", "mean", "neighbours")
MAX_CELLS = 32
"""A map with more rows or columns is averaged to `POOLED_CELLS` of them."""
POOLED_CELLS = 28
BLUR_SHARE = 10 / 224
"""Radius of the blur / shorter side: 10 px at 224 px, as Fong and Vedaldi (2017)."""
NOISE = 0.01
"""Standard deviation of the noise on values from neighbours; 1 = the range of a colour."""
SOLVED_PX = 112
"""Longest side of the grid on which values from neighbours are computed."""


def measure_map(
    image: Image.Image,
    scores: NDArray[Any],
    label: int,
    predict: Predict[Image.Image],
    fill: Fill = "blur",
) -> Faithfulness:
    """Probabilities of a label as the cells of highest score are replaced or kept by degrees.

    The image form of ERASER's bins (DeYoung et al. 2020, section 4.2): cells in place of words, all
    changed images in one call of `predict`. A picture cannot lose pixels as a text loses words, so
    `fill` says what stands in their place:

    - "blur": the image under Pillow's Gaussian blur, radius `BLUR_SHARE` of the shorter side;
    - "mean": the mean colour of the image, rounded;
    - "neighbours": values from what is kept (`impute_neighbours`), so that the outline of what was
      cut tells a classifier least.

    Args:
        image: RGB.
        scores: (rows, columns), finite, higher = more evidence for the label. The cells are equal
            parts of the image. More than `MAX_CELLS` rows are averaged to `POOLED_CELLS`, more rows
            than the image has to the image's, columns likewise.
        label: Number of the explained label.
        predict: From images of the same size to the probabilities of their labels,
            (images, labels).
        fill: What replaces pixels.

    Raises:
        ImportError: SciPy is not installed and `fill` is "neighbours".
        ValueError: The image is not RGB, `scores` is not a map of two or more finite values, `fill`
            is unknown, or `predict` does not give probabilities of the label.
    """
    _check_input(image, scores, fill)
    cells = pool_map(np.asarray(scores, dtype=np.float64), image.height, image.width)
    ranks = rank_scores(cells.ravel())
    pixels = np.asarray(image)
    replace = _choose_fill(image, fill)

    def change(count: int) -> tuple[Image.Image, Image.Image]:
        best = np.zeros(cells.size, dtype=bool)
        best[ranks[:count]] = True
        mask = spread_cells(best.reshape(cells.shape), image.height, image.width)
        without, only = (
            Image.fromarray(np.where(cut[..., None], replace(~cut), pixels))
            for cut in (mask, ~mask)
        )
        return without, only

    return predict_degrees(image, cells.size, change, label, predict)


def pool_map(scores: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """The map, its sides averaged where they are finer than `MAX_CELLS` or than the pixels.

    Args:
        scores: (rows, columns).
        height: Of the image, in pixels.
        width: Likewise.
    """
    sides = [
        min(POOLED_CELLS if cells > MAX_CELLS else cells, pixels)
        for cells, pixels in zip(scores.shape, (height, width), strict=True)
    ]
    return _average(scores, sides[0], sides[1])


def spread_cells(cells: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """The value of the cell under the centre of each pixel: (height, width)."""
    rows, columns = (
        ((np.arange(pixels) + 0.5) * size / pixels).astype(np.int64)
        for size, pixels in zip(cells.shape, (height, width), strict=True)
    )
    spread: NDArray[np.bool_] = cells[rows[:, None], columns[None]]
    return spread


def impute_neighbours(pixels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with each unknown pixel the weighted mean of its eight neighbours, plus noise.

    Noisy linear imputation (Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for
    Attribution Methods", ROAD): direct neighbours weigh 1/6, diagonal ones 1/12, beyond the border
    none; unknown neighbours are unknowns of the same sparse system of equations. It differs from
    the authors' code in three ways: images with a side above `SOLVED_PX` are solved on a smaller
    grid, whose values are means of known pixels only, and brought back by bilinear interpolation;
    the noise, of deviation `NOISE`, is on colours from 0 to 1, not on standardized ones, and the
    same in each call; values are rounded to 8 bits.

    Args:
        pixels: (height, width, 3), uint8.
        known: (height, width), at least one True.

    Raises:
        ImportError: SciPy is not installed.
    """
    height, width = known.shape
    shrink = min(1.0, SOLVED_PX / max(height, width))
    rows, columns = (max(1, round(side * shrink)) for side in (height, width))
    weights = _average(known.astype(np.float64), rows, columns)
    sums = _average(np.where(known[..., None], pixels / 255, 0.0), rows, columns)
    covered = weights > 1e-9  # a pixel of the smaller grid with something known under it
    small = sums / np.where(covered, weights, 1.0)[..., None]
    small[~covered] = _solve_neighbours(small, covered)
    channels = [
        Image.fromarray(channel.astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for channel in np.moveaxis(small, -1, 0)
    ]
    filled = np.stack([np.asarray(channel) for channel in channels], axis=-1)
    filled = filled + NOISE * np.random.default_rng(0).standard_normal(filled.shape)
    rounded = np.round(filled.clip(0, 1) * 255).astype(np.uint8)
    return np.where(known[..., None], pixels, rounded)


def _solve_neighbours(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The unknown values in reading order, (unknown, channels), of (rows, columns, channels)."""
    try:
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import splu
    except ImportError as error:
        raise ImportError(
            "`fill=\"neighbours\"` needs SciPy; run `pip install 'hf-anchornet[eval]'`."
        ) from error
    places = np.argwhere(~known)
    size = len(places)
    if not size:
        return np.zeros((0, values.shape[-1]))
    numbers = np.full(known.shape, -1)
    numbers[~known] = np.arange(size)
    diagonal, right = np.zeros(size), np.zeros((size, values.shape[-1]))
    entries, ones, others = [], [], []
    for step in [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]:
        weight = 1 / 12 if all(step) else 1 / 6
        near = places + step
        inside = np.flatnonzero(((near >= 0) & (near < known.shape)).all(axis=1))
        diagonal[inside] += weight
        y, x = near[inside].T
        given = known[y, x]
        right[inside[given]] += weight * values[y[given], x[given]]
        ones.append(inside[~given])
        others.append(numbers[y[~given], x[~given]])
        entries.append(np.full((~given).sum(), -weight))
    index = np.arange(size)
    data = np.concatenate([diagonal, *entries])
    matrix = csc_matrix((data, (np.concatenate([index, *ones]), np.concatenate([index, *others]))))
    # The matrix is symmetric and its diagonal dominates: no pivots are needed.
    factors = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solution: NDArray[np.float64] = factors.solve(right)
    return solution


def _average(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Means over equal parts of the first two axes: (rows, columns, ...)."""
    for axis, size in enumerate((rows, columns)):
        old = values.shape[axis]
        if size != old:
            edges = np.arange(size + 1)[:, None] * old / size
            places = np.arange(old)
            # How much of each old part lies in each new one.
            shared = np.minimum(edges[1:], places + 1) - np.maximum(edges[:-1], places)
            weights = shared.clip(min=0) * size / old  # (size, old)
            values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
    return values


def _choose_fill(
    image: Image.Image, fill: Fill
) -> Callable[[NDArray[np.bool_]], NDArray[np.uint8]]:
    """From the pixels that are kept, (height, width), to an image that fills the others."""
    pixels = np.asarray(image)
    if fill == "neighbours":
        return lambda known: impute_neighbours(pixels, known)
    if fill == "mean":
        whole = np.round(pixels.mean(axis=(0, 1))).astype(np.uint8)
    else:
        radius = BLUR_SHARE * min(image.size)
        whole = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))
    return lambda known: whole


def _check_input(image: Image.Image, scores: NDArray[Any], fill: Fill) -> None:
    if image.mode != "RGB":
        raise ValueError(f'`image` must be RGB, got {image.mode}; call `image.convert("RGB")`.')
    pixels = image.height, image.width
    if np.ndim(scores) != 2 or np.minimum(np.shape(scores), pixels).prod() < 2:
        raise ValueError(
            "`scores` must be a map (rows, columns) of two or more cells that the image has pixels "
            f"for, got shape {np.shape(scores)} for {pixels} pixels; sum over channels, take one "
            "image at a time."
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            "`scores` must be finite, got NaN or infinity; give cells without a score the lowest."
        )
    if fill not in FILLS:
        raise ValueError(f'`fill` must be "blur", "mean" or "neighbours", got {fill!r}.')
