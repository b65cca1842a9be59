"""One map of scores over an image beside the boxes that people drew."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.metrics.energy_pointing_game import share_inside
from hf_anchornet.metrics.max_box_acc_v2 import fit_levels

IOU_THRESHOLDS = (0.3, 0.5, 0.7)
"""Overlaps that MaxBoxAccV2 is averaged over."""


class MapAgreement(NamedTuple):
    """What is said of one map.

    Attributes:
        places: The human boxes in pixels of the map.
        peak: Box of its best pixel, in pixels of the original image.
        energy: Share of its positive scores in the human boxes, and their share of the area.
        fits: (levels,), see `fit_levels`.
    """

    places: list[list[float]]
    peak: list[float]
    energy: tuple[float, float]
    fits: NDArray[np.float64]


def compare_map(
    scores: NDArray[np.float64], size: Sequence[int], objects: Sequence[Sequence[float]]
) -> MapAgreement:
    """Compare a map with human boxes.

    Args:
        scores: (rows, columns), over the whole image.
        size: Width and height of the original image, in pixels.
        objects: The human boxes, in pixels of the original image, at least one.
    """
    # Pixels of the map in one of the original, along x, y, x and y.
    stretch = np.array(scores.shape[::-1] * 2) / np.array([*size] * 2)
    places = (np.array(objects) * stretch).tolist()
    y, x = np.unravel_index(scores.argmax(), scores.shape)
    peak = (np.array([x, y, x + 1, y + 1]) / stretch).tolist()
    return MapAgreement(places, peak, share_inside(scores, places), fit_levels(scores, places))
