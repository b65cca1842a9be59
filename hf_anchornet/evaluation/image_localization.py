"""Accuracy of an image localizer, and comparison of its boxes with those that people drew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from hf_anchornet.data.boxes import read_boxes
from hf_anchornet.data.splits import DataOptions, check_column, number_labels
from hf_anchornet.metrics.box_iou_recall import BoxIoURecall
from hf_anchornet.metrics.box_pointing import BoxPointing
from hf_anchornet.metrics.common import compute_in_memory
from hf_anchornet.metrics.max_box_acc_v2 import fit_levels, summarize_fits
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_localizer import ImageLocalizer, LocalizedImages

from .accuracy import score_labels
from .image_controls import select_centre_box, select_random_boxes
from .image_plausibility import IOU_THRESHOLDS, compare_map_with_boxes
from .localization import localize_images

TOP_K = 3
"""Number of patches per image of which one may match the object."""


def evaluate_image_localizer(
    model: PreTrainedModel,
    processor: Any,
    rows: Dataset,
    data: DataOptions,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Accuracy of an image localizer, and agreement of its patches with human boxes.

    The explained label is the predicted one, right or wrong. Images without a box count for
    accuracy only.

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: Its image processor.
        rows: The split.
        data: Its columns of images, labels and boxes.
        batch_size: Images per batch.

    Returns:
        `num_images`, `accuracy`, `macro_f1`, and the results of `summarize_localization`.

    Raises:
        ValueError: if a column is missing, a label unknown, a box invalid or there is no box.
    """
    for column in (data.image_column, data.label_column):
        check_column(rows.column_names, column)
    boxes = read_boxes(rows, data.boxes_column, data.image_column)
    targets = number_labels(rows, data.label_column, label_names(model))
    logits: list[Tensor] = []
    comparisons: list[BoxComparison] = []
    localizer = ImageLocalizer(model, processor)
    batches = localize_images(localizer, rows[data.image_column], batch_size)
    total = -(-len(rows) // batch_size)
    for batch in tqdm(batches, total=total, desc="localizing", mininterval=5, disable=None):
        start = len(logits)
        logits.extend(batch.logits.float().cpu())
        comparisons.extend(_compare(batch, boxes[start : len(logits)], start))
    return {
        "num_images": len(rows),
        **score_labels(torch.stack(logits), torch.tensor(targets)),
        **summarize_localization(comparisons),
    }


def measure_pointing(
    model: PreTrainedModel, processor: Any, rows: Dataset, data: DataOptions
) -> float:
    """Share of the images with human boxes whose best patch has its centre in one, in [0, 1].

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: Its image processor.
        rows: The split.
        data: Its columns of images and boxes.

    Raises:
        ValueError: see `read_boxes`.
    """
    boxes = read_boxes(rows, data.boxes_column, data.image_column)
    best: list[list[Any]] = []
    for batch in localize_images(ImageLocalizer(model, processor), rows[data.image_column]):
        ranked = batch.select(1)
        best += batch.restore(ranked.boxes, ranked.filled)
    boxed = [row for row, found in enumerate(boxes) if found]
    return _point([best[row] for row in boxed], [boxes[row] for row in boxed])


@dataclass(frozen=True)
class BoxComparison:
    """One image: its human boxes and everything that is compared with them.

    Attributes:
        objects: The human boxes, in pixels of the original, as all boxes here.
        boxes: Ranked boxes by name, see `summarize_localization`.
        energy: Share of the positive attribution in the human boxes, and share of the area.
        fits: (levels,), see `fit_levels`, of the attribution.
        centre_fits: (levels,), the same of centred boxes of many sizes.
    """

    objects: list[list[float]]
    boxes: dict[str, Sequence[Any]]
    energy: tuple[float, float]
    fits: NDArray[np.float64]
    centre_fits: NDArray[np.float64]


def _compare(
    batch: LocalizedImages, objects: Sequence[list[list[float]]], first_row: int
) -> list[BoxComparison]:
    """Comparisons of the images of a batch that have human boxes."""
    best, sizes = batch.select(TOP_K), batch.evidence.sizes
    sides = sorted({window.size for window in batch.evidence.windows})
    sources = {
        "localizer": batch.restore(best.boxes, best.filled),
        "centre_box": batch.restore(_place_centre_boxes(sizes, sides)),
        "random_boxes": batch.restore(_draw_random_boxes(sizes, best.scales, first_row)),
        "whole_image": [[(0, 0, *image.size)] for image in batch.images],
    }
    for side in sides:
        ranked = batch.select(1, scales=[side])
        sources[f"{side}_px"] = batch.restore(ranked.boxes, ranked.filled)
    comparisons = []
    for row, scores in enumerate(batch.maps()):
        if not objects[row]:
            continue
        found = compare_map_with_boxes(scores, batch.images[row].size, objects[row])
        comparisons.append(
            BoxComparison(
                objects=objects[row],
                boxes={"peak": [found.peak], **{name: each[row] for name, each in sources.items()}},
                energy=found.energy,
                fits=found.fits,
                centre_fits=fit_levels(_draw_pyramid(scores.shape), found.places),
            )
        )
    return comparisons


def _place_centre_boxes(sizes: Tensor, sides: Sequence[int]) -> Tensor:
    """Control: one square per size in the middle of each image, largest first."""
    squares = [select_centre_box(sizes, side) for side in sorted(sides, reverse=True)]
    return torch.cat(squares, dim=1)  # (batch, sides, 4)


def _draw_random_boxes(sizes: Tensor, sides: Tensor, first_row: int) -> Tensor:
    """Control: random squares of the sizes of the patches: (batch, ranks, 4).

    Args:
        sizes: (batch, 2), int64, height and width of each image.
        sides: (batch, ranks), int64.
        first_row: Number of the first image; row numbers seed the squares.
    """
    drawn = [
        select_random_boxes(size[None], side, 1, 1000 * (first_row + row) + rank)[0]
        for row, size in enumerate(sizes)
        for rank, side in enumerate(sides[row].tolist())
    ]
    return torch.cat(drawn).view(*sides.shape, 4)


def _draw_pyramid(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Control: a map, of `shape`, whose regions above each level are centred boxes."""
    rows, columns = (1 - np.abs(np.linspace(-1, 1, size)) for size in shape)
    pyramid: NDArray[np.float64] = np.minimum(rows[:, None], columns)
    return pyramid


def summarize_localization(comparisons: Sequence[BoxComparison]) -> dict[str, Any]:
    """Scores of a split, in [0, 1].

    Args:
        comparisons: Of the images that have a human box, at least one.

    Returns:
        `num_located`, number of these images. `pointing`: the centre of the best box lies in a
        human box; of "localizer", its best box of each size alone ("31_px", ...), the "peak" of
        its attribution, and the controls "centre_box", "random_boxes" (of the sizes of the
        patches) and "whole_image". `box_iou_recall`: one of the best `TOP_K` boxes has an IoU of
        at least 0.5 with a human box. `max_box_acc_v2`, of the localizer's attribution map, of
        centred boxes at the size that is best over the split, and of the other controls' first
        box. `max_box_acc`, of the localizer at each of `IOU_THRESHOLDS`. `energy`, share of the
        positive attribution in the human boxes, and `box_area`, their share of the image.
    """
    objects = [comparison.objects for comparison in comparisons]
    boxes = {name: [c.boxes[name] for c in comparisons] for name in comparisons[0].boxes}
    fits = summarize_fits(np.stack([c.fits for c in comparisons]), IOU_THRESHOLDS)
    centre_fits = summarize_fits(np.stack([c.centre_fits for c in comparisons]), IOU_THRESHOLDS)
    energy, area = np.mean([c.energy for c in comparisons], axis=0).tolist()
    controls = ("random_boxes", "whole_image")
    return {
        "num_located": len(comparisons),
        "pointing": {name: _point(found, objects) for name, found in boxes.items()},
        "box_iou_recall": {
            name: _recall(boxes[name], objects, TOP_K, 0.5)
            for name in ("localizer", "centre_box", *controls)
        },
        "max_box_acc_v2": {
            "localizer": fits["max_box_acc_v2"],
            "centre_box": centre_fits["max_box_acc_v2"],
            **{
                name: float(np.mean([_recall(boxes[name], objects, 1, x) for x in IOU_THRESHOLDS]))
                for name in controls
            },
        },
        "max_box_acc": dict(zip(map(str, IOU_THRESHOLDS), fits["max_box_acc"], strict=True)),
        "energy": energy,
        "box_area": area,
    }


def _point(boxes: Sequence[Any], objects: Sequence[Any]) -> float:
    scores = compute_in_memory(BoxPointing, _to_lists(boxes), objects)
    return float(scores["box_pointing"])


def _recall(boxes: Sequence[Any], objects: Sequence[Any], top_k: int, threshold: float) -> float:
    scores = compute_in_memory(
        BoxIoURecall, _to_lists(boxes), objects, top_k=top_k, iou_threshold=threshold
    )
    return float(scores["box_iou_recall"])


def _to_lists(boxes: Sequence[Any]) -> list[list[list[float]]]:
    return [list(map(list, each)) for each in boxes]
