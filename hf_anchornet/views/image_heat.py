"""Heat maps of images: evidence for each window over a pixel, in colours under which it is seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOR_RGB, AGAINST_RGB = (213, 94, 0), (0, 114, 178)
"""Vermillion for the label, blue against it; colour-blind-safe (Okabe and Ito, 2008)."""

OPACITY = 0.85
"""Of the colour where the evidence is strongest."""

DARKEST = 0.3
"""Brightness of the colour where the picture is black, as a share of that where it is white."""

Array = NDArray[np.float64]


def draw_heat(
    image: Image.Image,
    cells: Sequence[Sequence[float]],
    grid: Mapping[str, Any] | None = None,
) -> Image.Image:
    """The picture in grey with its evidence on top: orange for the label, blue against it.

    The colours are as bright as the picture under them, so that objects stay visible. Fewer
    windows cover the border of a picture than its middle. For display only, evidence is therefore
    divided by the windows over each cell; without `grid` it is shown as it is.

    Args:
        image: The picture, RGB.
        cells: Evidence of each cell, (rows, columns); an entry of the answer's `maps`.
        grid: The answer's `grid`.
    """
    values = np.array(cells, dtype=np.float64)
    if grid is not None:
        values /= count_windows(grid, (values.shape[0], values.shape[1]))
    values /= max(float(np.abs(values).max()), 1e-12)
    smooth = Image.fromarray(values.astype(np.float32))
    width, height = map(float, smooth.size)
    if grid is not None:  # the last cells may reach beyond the border
        stride = grid["windows"][0]["stride"]
        width, height = grid["width"] / stride, grid["height"] / stride
    resized = smooth.resize(image.size, Image.Resampling.BILINEAR, box=(0, 0, width, height))
    strength = np.asarray(resized)[..., None]
    grey = np.asarray(image.convert("L"), dtype=np.float32)[..., None]  # (height, width, 1)
    hue = np.where(strength > 0, np.array(FOR_RGB), np.array(AGAINST_RGB))
    color = hue * (DARKEST + (1 - DARKEST) * grey / 255)
    opacity = OPACITY * np.abs(strength).clip(0, 1)
    mixed = grey * (1 - opacity) + color * opacity
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def count_windows(grid: Mapping[str, Any], shape: tuple[int, int]) -> Array:
    """What evidence spread evenly over all windows would give each cell, relative to the largest.

    Every scale has the same part in it, as in the logits; a window spreads its evidence over its
    pixels. So this is the number of windows over a pixel, each by its share of one pixel.

    Args:
        grid: The answer's `grid`.
        shape: Rows and columns of the cells.

    Returns:
        (rows, columns), in (0, 1].

    Raises:
        ValueError: if the grid has other cells.
    """
    side = grid["windows"][0]["stride"]
    cells = tuple(-(-grid[name] // side) for name in ("height", "width"))
    if cells != shape:
        raise ValueError(
            f"`grid` must have the {shape[0]} x {shape[1]} cells of the map, got {cells[0]} x "
            f"{cells[1]}; pass both of one answer."
        )
    even = np.zeros(shape)
    for window in grid["windows"]:
        down, across = (
            _pool(_cover(window["size"], window["stride"], grid[name]), side)
            for name in ("height", "width")
        )
        even += np.outer(down, across) / (down.sum() * across.sum())
    # Pixels behind the last window have no evidence: there is nothing to divide.
    even[even <= 0] = even.max()
    result: Array = even / even.max()
    return result


def _cover(size: int, stride: int, length: int) -> Array:
    """The number of windows over each pixel along one axis: (length,)."""
    covered = np.zeros(length)
    for start in range(0, max(length - size, 0) + 1, stride):
        covered[start : start + size] += 1
    return covered


def _pool(covered: Array, side: int) -> Array:
    """Sums over cells of `side` pixels, the last of which may be cut: (cells,)."""
    padded = np.pad(covered, (0, -len(covered) % side))
    pooled: Array = padded.reshape(-1, side).sum(axis=1)
    return pooled
