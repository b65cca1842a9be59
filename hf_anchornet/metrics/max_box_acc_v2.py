"""MaxBoxAccV2: how well boxes around the high-scoring regions of a map fit an object."""

from collections.abc import Sequence
from typing import Any, Literal

import evaluate
import numpy as np
from numpy.typing import NDArray

from .common import MAX_BOX_ACC, ROWS, check_map, check_objects, describe, pair_ious, require_marked

_INPUTS = """\
Args:
    predictions: For each image its map: rows of finite floats, one per pixel, higher = more
        evidence. Each map is scaled to [0, 1] by its minimum and maximum.
    references: For each image the boxes that humans drew: `[x0, y0, x1, y1]`, half-open, in
        pixels of the map.
    iou_thresholds: Minimum intersections over union of a match, each in (0, 1] (default 0.3, 0.5
        and 0.7).
    num_thresholds: Number of thresholds applied to the maps, evenly in [0, 1) (default 100).
    components: "all": the best of the boxes around all connected components above the
        threshold, as published for V2; "largest": the box around the largest component only, as
        in MaxBoxAcc.

Returns:
    `max_box_acc_v2`: Mean of the following, in [0, 1], higher is better.
    `max_box_acc`: For each of `iou_thresholds` the share of images with a match, at the threshold
        that is best for all images together.
    `best_levels`: These thresholds, in [0, 1).
    `num_images`: Number of images in the shares.
    `num_skipped`: Number of images left out because they have no human box.

Raises:
    ImportError: SciPy is not installed.
    ValueError: A map is not rows of equal length with finite values, a box is not four finite
        numbers with x0 < x1 and y0 < y1 inside the map, no image has a human box, or an
        option is out of range.
"""

Components = Literal["all", "largest"]


class MaxBoxAccV2(evaluate.Metric):
    """Box accuracy at the best threshold of the map, averaged over three overlaps.

    Choe et al. (2020) and the "V2" of the authors' code, except: 100 thresholds rather than 1,000,
    no rounding of maps to 8 bits, and half-open boxes. A constant map has no component above any
    threshold.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, MAX_BOX_ACC, _INPUTS, ROWS, ROWS)

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[list[float]]],
        iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        num_thresholds: int = 100,
        components: Components = "all",
    ) -> dict[str, Any]:
        _check_options(iou_thresholds, num_thresholds, components)
        ious = []
        for index, (values, boxes) in enumerate(zip(predictions, references, strict=True)):
            scores = check_map(index, values)
            check_objects(index, boxes, scores.shape[::-1])
            if boxes:
                ious.append(fit_levels(scores, boxes, num_thresholds, components))
        require_marked(bool(ious), references, "human box", "image")
        return {
            **summarize_fits(np.stack(ious), iou_thresholds),
            "num_images": len(ious),
            "num_skipped": len(references) - len(ious),
        }


def fit_levels(
    scores: NDArray[np.floating[Any]],
    boxes: Sequence[Sequence[float]],
    num_thresholds: int = 100,
    components: Components = "all",
) -> NDArray[np.float64]:
    """Best IoU of a box around a component above each threshold with a human box: (levels,).

    Args:
        scores: (rows, columns), finite.
        boxes: Each `(x0, y0, x1, y1)` in pixels of the map, at least one.
        num_thresholds: See `MaxBoxAccV2`.
        components: See `MaxBoxAccV2`.

    Raises:
        ImportError: if SciPy is not installed.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        raise ImportError(
            "`MaxBoxAccV2` needs SciPy; run `pip install 'hf-anchornet[eval]'`."
        ) from error
    ious = np.zeros(num_thresholds)
    low, high = float(scores.min()), float(scores.max())
    objects = np.array(boxes, dtype=np.float64)
    for index in range(num_thresholds if high > low else 0):
        level = low + (high - low) * index / num_thresholds
        parts, _ = ndimage.label(scores > level, structure=np.ones((3, 3)))  # 8-connected
        places = ndimage.find_objects(parts)
        if components == "largest":
            sizes = np.bincount(parts.ravel())[1:]
            places = [places[int(sizes.argmax())]]
        found = np.array([[x.start, y.start, x.stop, y.stop] for y, x in places])
        ious[index] = pair_ious(found, objects).max()
    return ious


def summarize_fits(
    ious: NDArray[np.float64], iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7)
) -> dict[str, Any]:
    """`max_box_acc_v2`, `max_box_acc` and `best_levels` from IoUs, (images, levels)."""
    shares = np.stack([(ious >= limit).mean(axis=0) for limit in iou_thresholds])
    return {  # shares: (limits, levels)
        "max_box_acc_v2": float(shares.max(axis=1).mean()),
        "max_box_acc": shares.max(axis=1).tolist(),
        "best_levels": (shares.argmax(axis=1) / shares.shape[1]).tolist(),
    }


def _check_options(
    iou_thresholds: Sequence[float], num_thresholds: int, components: Components
) -> None:
    if not iou_thresholds or not all(0 < limit <= 1 for limit in iou_thresholds):
        raise ValueError(
            f"`iou_thresholds` must be one or more numbers in (0, 1], got {iou_thresholds}; try "
            "the published ones, 0.3, 0.5 and 0.7."
        )
    if num_thresholds < 1:
        raise ValueError(f"`num_thresholds` must be at least 1, got {num_thresholds}; try 100.")
    if components not in ("all", "largest"):
        raise ValueError(f'`components` must be "all" or "largest", got {components!r}.')
