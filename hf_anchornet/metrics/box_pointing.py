"""Pointing game for boxes: how often the centre of the best box lies on an object."""

from collections.abc import Sequence

import evaluate

from .common import POINTING, ROWS, average, check_boxes, check_objects, describe

_INPUTS = """\
Args:
    predictions: For each image its boxes, best first: `[x0, y0, x1, y1]` in pixels, half-open.
        Only the first one counts.
    references: For each image the boxes that humans drew, in the same pixels.

Returns:
    `box_pointing`: Share of images whose best box has its centre in a human box, in [0, 1],
        higher is better; an image without a predicted box is a miss.
    `num_images`: Number of images in the share.
    `num_skipped`: Number of images left out because they have no human box.

Raises:
    ValueError: A box is not four finite numbers with x0 < x1 and y0 < y1, a human box is negative
        or in fractions, or no image has one.
"""


class BoxPointing(evaluate.Metric):
    """Hits / (hits + misses) of the centre of the best box; every image has the same weight.

    The pointing accuracy of Zhang et al. (2018), with the centre of a box in place of the maximum
    of a map, without their tolerance of 15 pixels, and averaged over images rather than classes.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, POINTING, _INPUTS, ROWS, ROWS)

    def _compute(
        self, predictions: list[list[list[float]]], references: list[list[list[float]]]
    ) -> dict[str, float]:
        hits = []
        for index, (boxes, objects) in enumerate(zip(predictions, references, strict=True)):
            check_boxes("predictions", index, boxes)
            check_objects(index, objects)
            if objects:
                hits.append(bool(boxes) and any(_holds(box, boxes[0]) for box in objects))
        return average("box_pointing", hits, references, "human box", "image")


def _holds(outer: Sequence[float], box: Sequence[float]) -> bool:
    """Whether the centre of `box` lies in `outer`."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]
