"""Pointing game for boxes: how often the centre of the best box lies on an object."""

import math
from collections.abc import Sequence

import datasets
import evaluate

_CITATION = """\
@article{zhang-etal-2018-excitation,
    title = {Top-Down Neural Attention by Excitation Backprop},
    author = {Zhang, Jianming and Bargal, Sarah Adel and Lin, Zhe and Brandt, Jonathan and
              Shen, Xiaohui and Sclaroff, Stan},
    journal = {International Journal of Computer Vision},
    volume = {126},
    year = {2018},
}
"""

_INPUTS = """\
Args:
    predictions: For every image its boxes, best first: `[x0, y0, x1, y1]` in pixels, half-open.
        Only the first one counts.
    references: For every image the boxes that humans drew, in the same pixels.

Returns:
    `box_pointing`: Share of images whose best box has its centre in a human box, in [0, 1],
        higher is better; an image without a predicted box is a miss.
    `num_images`: Number of images in the share.
    `num_skipped`: Number of images left out, because they have no human box.

Raises:
    ValueError: A box is not four finite numbers with x0 < x1 and y0 < y1, or no image has a human
        box.
"""


class BoxPointing(evaluate.Metric):
    """Hits / (hits + misses) of the centre of the best box, images counting alike.

    The pointing accuracy of Zhang et al. (2018), with the centre of a box in place of the maximum
    of a map, without their tolerance of 15 pixels, and with images rather than classes counting
    alike.
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
        hits = []
        for index, (boxes, objects) in enumerate(zip(predictions, references, strict=True)):
            _check_boxes("predictions", index, boxes)
            _check_boxes("references", index, objects)
            if objects:
                hits.append(bool(boxes) and any(_holds(box, boxes[0]) for box in objects))
        if not hits:
            raise ValueError(
                "`references` must hold a box for at least one image, "
                f"got {len(references)} images without any; check the boxes column."
            )
        return {
            "box_pointing": sum(hits) / len(hits),
            "num_images": len(hits),
            "num_skipped": len(references) - len(hits),
        }


def _holds(outer: Sequence[float], box: Sequence[float]) -> bool:
    """Whether the centre of `box` lies in `outer`."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]


def _check_boxes(name: str, index: int, boxes: Sequence[Sequence[float]]) -> None:
    for box in boxes:
        finite = len(box) == 4 and all(x is not None and math.isfinite(x) for x in box)
        if not finite or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(
                f"`{name}` must hold boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {box} "
                f"for image {index}; give corners, not width and height."
            )
