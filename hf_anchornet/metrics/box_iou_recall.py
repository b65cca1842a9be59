"""Box recall: how often one of the best boxes overlaps enough with an object."""

import evaluate
import numpy as np

from .common import MAX_BOX_ACC, ROWS, average, check_boxes, check_objects, describe, pair_ious

_INPUTS = """\
Args:
    predictions: For each image its boxes, best first: `[x0, y0, x1, y1]` in pixels, half-open.
    references: For each image the boxes that humans drew, in the same pixels.
    top_k: Number of boxes of each image that count (default 3).
    iou_threshold: Minimum intersection over union of a match, in (0, 1] (default 0.5).

Returns:
    `box_iou_recall`: Share of images in which one of the first `top_k` boxes matches a human box,
        in [0, 1], higher is better; an image without a predicted box is a miss.
    `num_images`: Number of images in the share.
    `num_skipped`: Number of images left out because they have no human box.

Raises:
    ValueError: A box is not four finite numbers with x0 < x1 and y0 < y1, a human box is negative
        or in fractions, no image has one, or `top_k` or `iou_threshold` is out of range.
"""


class BoxIoURecall(evaluate.Metric):
    """Share of images in which one of the best boxes reaches an IoU with an object.

    BoxAcc of Choe et al. (2020) with `top_k` given boxes in place of the box around a thresholded
    map.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, MAX_BOX_ACC, _INPUTS, ROWS, ROWS)

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[list[float]]],
        top_k: int = 3,
        iou_threshold: float = 0.5,
    ) -> dict[str, float]:
        if top_k < 1:
            raise ValueError(f"`top_k` must be at least 1, got {top_k}; 1 takes the best box only.")
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"`iou_threshold` must be in (0, 1], got {iou_threshold}; try 0.5.")
        hits = []
        for index, (boxes, objects) in enumerate(zip(predictions, references, strict=True)):
            check_boxes("predictions", index, boxes)
            check_objects(index, objects)
            if objects:
                best = np.array(boxes[:top_k]).reshape(-1, 4)
                hits.append(bool((pair_ious(best, np.array(objects)) >= iou_threshold).any()))
        return average("box_iou_recall", hits, references, "human box", "image")
