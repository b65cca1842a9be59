"""Probabilities of a label as the best cells of an image are removed or kept alone."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .erasure import ErasureProbs, Predict, predict_bins, rank_scores

Fill = Literal["blur", "mean", "neighbours"]
FILLS: tuple[Fill, ...] = ("blur", "mean", "neighbours")
MAX_CELLS = 32
"""Maps with more rows or columns are averaged to `POOLED_CELLS` of them."""
POOLED_CELLS = 28
BLUR_SHARE = 10 / 224
"""Blur radius as a share of the shorter side: 10 px at 224 px, as Fong and Vedaldi (2017)."""
NOISE = 0.01
"""Standard deviation of the noise on imputed values; 1 = the full range of a colour."""
SOLVED_PX = 112
"""Longest side of the grid on which values are imputed."""


def erase_cells(
    image: Image.Image,
    scores: NDArray[Any],
    label: int,
    predict: Predict[Image.Image],
    fill: Fill = "blur",
) -> ErasureProbs:
    """Probabilities of a label as the highest-scoring cells are replaced or kept, bin by bin.

    ERASER's bins (DeYoung et al. 2020, section 4.2) with cells in place of words, all changed
    images in one call of `predict`. Pixels cannot be removed as words can, so `fill` chooses what
    replaces them:

    - "blur": the image under Pillow's Gaussian blur, radius `BLUR_SHARE` of the shorter side;
    - "mean": the mean colour of the image, rounded;
    - "neighbours": values imputed from the kept pixels (`impute_neighbours`), so that the outline
      of the removed cells tells a classifier least.

    Args:
        image: RGB.
        scores: (rows, columns), finite, higher = more evidence for the label. The cells divide the
            image evenly; finer maps are averaged, see `pool_map`.
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

    return predict_bins(image, cells.size, change, label, predict)


def pool_map(scores: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Map with its sides averaged where they exceed `MAX_CELLS` or the pixels: (rows, columns).

    Args:
        scores: (rows, columns).
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
    """
    sides = [
        min(POOLED_CELLS if cells > MAX_CELLS else cells, pixels)
        for cells, pixels in zip(scores.shape, (height, width), strict=True)
    ]
    return _average(scores, sides[0], sides[1])


def spread_cells(cells: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Value of the cell at the centre of each pixel: (height, width)."""
    rows, columns = (
        ((np.arange(pixels) + 0.5) * size / pixels).astype(np.int64)
        for size, pixels in zip(cells.shape, (height, width), strict=True)
    )
    spread: NDArray[np.bool_] = cells[rows[:, None], columns[None]]
    return spread


def impute_neighbours(pixels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Image whose unknown pixels are the weighted mean of their eight neighbours, plus noise.

    Noisy linear imputation (Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for
    Attribution Methods", ROAD): direct neighbours weigh 1/6, diagonal ones 1/12, those beyond the
    border 0; unknown neighbours are unknowns of the same sparse linear system. Deviations from the
    authors' code: images with a side above `SOLVED_PX` are solved on a smaller grid, whose values
    are means of known pixels only, and upsampled by bilinear interpolation; the noise, of
    deviation `NOISE`, is on colours in [0, 1], not on standardized ones, and the same in each
    call; values are rounded to 8 bits.

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
    covered = weights > 1e-9  # grid cells that contain a known pixel
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
    """Unknown values of (rows, columns, channels), in reading order: (unknown, channels)."""
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
    # The matrix is symmetric and diagonally dominant: no pivoting is needed.
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
            # Overlap of each old part with each new one.
            shared = np.minimum(edges[1:], places + 1) - np.maximum(edges[:-1], places)
            weights = shared.clip(min=0) * size / old  # (size, old)
            values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
    return values


def _choose_fill(
    image: Image.Image, fill: Fill
) -> Callable[[NDArray[np.bool_]], NDArray[np.uint8]]:
    """Function from the mask of kept pixels, (height, width), to an image that fills the others."""
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
            "`scores` must be a map (rows, columns) of two or more cells, each at least a pixel, "
            f"got shape {np.shape(scores)} for {pixels} pixels; sum over channels and pass one "
            "image at a time."
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            "`scores` must be finite, got NaN or infinity; give cells without a score the lowest."
        )
    if fill not in FILLS:
        raise ValueError(
            f'`fill` must be "blur", "mean" or "neighbours", got {fill!r}; choose one.'
        )
