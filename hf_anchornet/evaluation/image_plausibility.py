"""Plausibility of score maps: comparison with the boxes that people drew."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_anchornet.metrics.box_pointing import BoxPointing
from hf_anchornet.metrics.common import compute_in_memory
from hf_anchornet.metrics.energy_pointing_game import share_inside
from hf_anchornet.metrics.max_box_acc_v2 import fit_levels, summarize_fits

IOU_THRESHOLDS = (0.3, 0.5, 0.7)
"""Overlaps that MaxBoxAccV2 is averaged over."""

MAP_SIDE_PX = 112
"""Maps are resized so that their longer side has this many pixels: bilinear."""


class MapScores(NamedTuple):
    """Comparison of one map with human boxes.

    Attributes:
        places: The human boxes in pixels of the map.
        peak: Box of the best pixel of the map, in pixels of the original image.
        energy: Share of the positive scores in the human boxes, and the boxes' share of the area.
        fits: (levels,), see `fit_levels`.
    """

    places: list[list[float]]
    peak: list[float]
    energy: tuple[float, float]
    fits: NDArray[np.float64]


def compare_map_with_boxes(
    scores: NDArray[np.float64], size: Sequence[int], boxes: Sequence[Sequence[float]]
) -> MapScores:
    """Scores of a map against human boxes.

    Args:
        scores: (rows, columns), over the whole image.
        size: Width and height of the original image, in pixels.
        boxes: The human boxes, in pixels of the original image, at least one.
    """
    # Pixels of the map per pixel of the original, along x, y, x and y.
    stretch = np.array(scores.shape[::-1] * 2) / np.array([*size] * 2)
    places = (np.array(boxes) * stretch).tolist()
    y, x = np.unravel_index(scores.argmax(), scores.shape)
    peak = (np.array([x, y, x + 1, y + 1]) / stretch).tolist()
    return MapScores(places, peak, share_inside(scores, places), fit_levels(scores, places))


class ScoredImage(NamedTuple):
    """A score map of an image and the boxes that people drew.

    Attributes:
        scores: (rows, columns), float64, finite, over the whole image.
        size: Width and height of the image, in pixels.
        boxes: `[x0, y0, x1, y1]` in pixels of the image.
    """

    scores: NDArray[np.float64]
    size: Sequence[int]
    boxes: Sequence[Sequence[float]]


def score_image_plausibility(images: Sequence[ScoredImage]) -> dict[str, float]:
    """Agreement of score maps with human boxes, over the images that have a box, in [0, 1].

    Args:
        images: At least one has a box.

    Returns:
        `pointing` (the peak of the map is in a box), `energy` (share of the positive scores in the
        boxes; `box_area` is their share of the image) and `max_box_acc_v2`, higher is better;
        `num_images`.
    """
    images = [image for image in images if image.boxes]
    found = [compare_map_with_boxes(_resize(*image[:2]), *image[1:]) for image in images]
    pointing = compute_in_memory(
        BoxPointing, [[each.peak] for each in found], [image.boxes for image in images]
    )
    energy, area = np.mean([each.energy for each in found], axis=0).tolist()
    fits = summarize_fits(np.stack([each.fits for each in found]), IOU_THRESHOLDS)
    return {
        "num_images": len(images),
        "pointing": pointing["box_pointing"],
        "energy": energy,
        "box_area": area,
        "max_box_acc_v2": fits["max_box_acc_v2"],
    }


def _resize(scores: NDArray[np.float64], size: Sequence[int]) -> NDArray[np.float64]:
    """Map in the aspect ratio of an image of `size`, its longer side `MAP_SIDE_PX`."""
    shrink = MAP_SIDE_PX / max(size)
    width, height = (max(1, round(side * shrink)) for side in size)
    grey = Image.fromarray(scores.astype(np.float32))
    scaled = grey.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled, dtype=np.float64)
