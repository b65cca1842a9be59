"""Energy pointing game: how much of the positive attribution of an image lies on an object."""

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np
from numpy.typing import NDArray

from .common import ROWS, check_map, check_objects, describe, require_marked

_CITATION = """\
@inproceedings{wang-etal-2020-score-cam,
    title = {{Score-CAM}: Score-Weighted Visual Explanations for Convolutional Neural Networks},
    author = {Wang, Haofan and Wang, Zifan and Du, Mengnan and Yang, Fan and Zhang, Zijian and
              Ding, Sirui and Mardziel, Piotr and Hu, Xia},
    booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops},
    year = {2020},
}
"""

_INPUTS = """\
Args:
    predictions: For each image its map: rows of finite floats, one per pixel, higher = more
        evidence for the explained class; negative values count as 0.
    references: For each image the boxes that humans drew: `[x0, y0, x1, y1]`, half-open, in
        pixels of the map. A pixel is inside if its centre is in one of the boxes.

Returns:
    `energy_pointing_game`: Mean over images of the share of the positive values inside the boxes,
        in [0, 1], higher is better; 0 for a map without a positive value.
    `box_area`: Mean over images of the share of the pixels inside: the score of a uniform map.
    `num_images`: Number of images in the means.
    `num_skipped`: Number of images left out because they have no human box.

Raises:
    ValueError: A map is not rows of equal length with finite values, a box is not four finite
        numbers with x0 < x1 and y0 < y1 inside the map, or no image has a human box.
"""


class EnergyPointingGame(evaluate.Metric):
    """Share of the positive attribution inside the human boxes; images have equal weight.

    Wang et al. (2020). Their maps are positive by construction; others are clipped at 0.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, _CITATION, _INPUTS, ROWS, ROWS)

    def _compute(
        self, predictions: list[list[list[float]]], references: list[list[list[float]]]
    ) -> dict[str, float]:
        shares = []
        for index, (values, boxes) in enumerate(zip(predictions, references, strict=True)):
            scores = check_map(index, values)
            check_objects(index, boxes, scores.shape[::-1])
            if boxes:
                shares.append(share_inside(scores, boxes))
        require_marked(bool(shares), references, "human box", "image")
        energy, area = np.mean(shares, axis=0).tolist()
        return {
            "energy_pointing_game": energy,
            "box_area": area,
            "num_images": len(shares),
            "num_skipped": len(references) - len(shares),
        }


def share_inside(
    scores: NDArray[np.floating[Any]], boxes: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """Share of the positive values of a map inside the boxes, and share of its pixels.

    Args:
        scores: (rows, columns), finite.
        boxes: Each `(x0, y0, x1, y1)` in pixels of the map.
    """
    rows, columns = (np.arange(size) + 0.5 for size in scores.shape)
    inside = np.zeros(scores.shape, dtype=bool)
    for x0, y0, x1, y1 in boxes:
        inside |= ((rows >= y0) & (rows < y1))[:, None] & (columns >= x0) & (columns < x1)
    positive = scores.clip(min=0)
    total = float(positive.sum())
    return float(positive[inside].sum()) / total if total else 0.0, float(inside.mean())
