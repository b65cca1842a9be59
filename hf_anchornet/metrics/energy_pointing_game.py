"""Energy pointing game: how much of the positive attribution of an image lies on an object."""

import math
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

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
    predictions: For every image its map: rows of finite floats, one a pixel, higher = more
        evidence for the explained class; what is below 0 counts as 0.
    references: For every image the boxes that humans drew: `[x0, y0, x1, y1]`, half-open, in
        pixels of the map. A pixel is inside if its centre is in one of the boxes.

Returns:
    `energy_pointing_game`: Mean over images of the share of the positive values inside the boxes,
        in [0, 1], higher is better; 0 for a map without a positive value.
    `box_area`: Mean over images of the share of the pixels inside: what an even map would reach.
    `num_images`: Number of images in the means.
    `num_skipped`: Number of images left out, because they have no human box.

Raises:
    ValueError: A map is not rows of equal length with finite values, a box is not four finite
        numbers with x0 < x1 and y0 < y1, or no image has a human box.
"""


class EnergyPointingGame(evaluate.Metric):
    """Positive attribution inside the human boxes over all of it, images counting alike.

    Wang et al. (2020). Their maps are positive by construction; others are cut at 0.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.List(datasets.Value("float64"))),
                    "references": datasets.List(datasets.List(datasets.Value("float64"))),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[list[float]]], references: list[list[list[float]]]
    ) -> dict[str, float]:
        shares = []
        for index, (values, boxes) in enumerate(zip(predictions, references, strict=True)):
            scores = _check_map(index, values)
            _check_boxes("references", index, boxes)
            if boxes:
                shares.append(share_inside(scores, boxes))
        if not shares:
            raise ValueError(
                "`references` must hold a box for at least one image, "
                f"got {len(references)} images without any; check the boxes column."
            )
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


def _check_map(index: int, values: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    if not values or not values[0] or len({len(row) for row in values}) > 1:
        raise ValueError(
            "`predictions` must hold rows of one length, got rows of "
            f"{sorted({len(row) for row in values})} values for image {index}; give a value for "
            "each pixel."
        )
    scores = np.array(values, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"`predictions` must be finite, got {scores[~np.isfinite(scores)][0]} for image "
            f"{index}; give pixels without a score a 0."
        )
    return scores


def _check_boxes(name: str, index: int, boxes: Sequence[Sequence[float]]) -> None:
    for box in boxes:
        finite = len(box) == 4 and all(x is not None and math.isfinite(x) for x in box)
        if not finite or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(
                f"`{name}` must hold boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {box} "
                f"for image {index}; give corners, not width and height."
            )
