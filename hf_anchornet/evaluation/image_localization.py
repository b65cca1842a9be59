"""How good an image localizer is: accuracy on labels, agreement of its boxes with people."""

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

from hf_anchornet.data.images import read_boxes
from hf_anchornet.data.splits import DataOptions, check_column, number_labels
from hf_anchornet.metrics.box_iou_recall import BoxIoURecall
from hf_anchornet.metrics.box_pointing import BoxPointing
from hf_anchornet.metrics.max_box_acc_v2 import fit_levels, summarize_fits
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_localizer import LocalizedImages

from .image_controls import select_centre_box, select_random_boxes
from .localization import localize_images
from .map_scores import IOU_THRESHOLDS, compare_map

TOP_K = 3
"""Patches of an image of which one may fit the object."""


def evaluate_image_localizer(
    model: PreTrainedModel,
    processor: Any,
    rows: Dataset,
    data: DataOptions,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Accuracy of an image localizer, and agreement of what it points at with human boxes.

    The explained label is the predicted one, right or wrong. Images without a box count for
    accuracy only.

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: Its image processor.
        rows: The split.
        data: Its columns of images, labels and boxes.
        batch_size: Images in a batch.

    Returns:
        `num_images`, `accuracy`, `macro_f1`, and what `summarize_localization` returns.

    Raises:
        ValueError: if a column is missing, a label unknown, a box is none or there is no box.
    """
    for column in (data.image_column, data.label_column):
        check_column(rows.column_names, column)
    boxes = read_boxes(rows, data.boxes_column)
    targets = number_labels(rows, data.label_column, label_names(model))
    logits: list[Tensor] = []
    comparisons: list[Comparison] = []
    views = localize_images(model, processor, rows[data.image_column], batch_size)
    total = -(-len(rows) // batch_size)
    for view in tqdm(views, total=total, desc="localizing", mininterval=5, disable=None):
        start = len(logits)
        logits.extend(view.logits.float().cpu())
        comparisons.extend(_compare(view, boxes[start : len(logits)], start))
    return {
        "num_images": len(rows),
        **score_labels(torch.stack(logits), torch.tensor(targets)),
        **summarize_localization(comparisons),
    }


def measure_pointing(
    model: PreTrainedModel, processor: Any, rows: Dataset, data: DataOptions
) -> float:
    """Share of the images with human boxes whose best patch has its centre in one: in [0, 1].

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: Its image processor.
        rows: The split.
        data: Its columns of images and boxes.

    Raises:
        ValueError: see `read_boxes`.
    """
    boxes = read_boxes(rows, data.boxes_column)
    best: list[list[Any]] = []
    for view in localize_images(model, processor, rows[data.image_column]):
        ranked = view.select(1)
        best += view.restore(ranked.boxes, ranked.filled)
    located = [row for row, found in enumerate(boxes) if found]
    return _point([best[row] for row in located], [boxes[row] for row in located])


def score_labels(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """`accuracy` and `macro_f1`, in [0, 1].

    Accuracy is the share of rows with every label right; F1 is averaged over the labels that occur
    among targets or predictions.

    Args:
        logits: (rows, labels).
        targets: (rows,), int64, or, of a multi-label model, (rows, labels), 0 or 1.
    """
    if targets.ndim == 1:
        num_labels = logits.shape[1]
        found = torch.nn.functional.one_hot(logits.argmax(dim=1), num_labels).bool()
        wanted = torch.nn.functional.one_hot(targets, num_labels).bool()
    else:
        found, wanted = logits > 0, targets > 0.5
    both = (found & wanted).sum(dim=0)  # (labels,)
    either = found.sum(dim=0) + wanted.sum(dim=0)
    f1 = (2 * both / either)[either > 0]
    return {
        "accuracy": float((found == wanted).all(dim=1).double().mean()),
        "macro_f1": float(f1.double().mean()),
    }


@dataclass(frozen=True)
class Comparison:
    """One image: its human boxes and all that is compared with them.

    Attributes:
        objects: The human boxes, in pixels of the original, as are all boxes here.
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
    view: LocalizedImages, objects: Sequence[list[list[float]]], first_row: int
) -> list[Comparison]:
    """What there is to compare with the boxes of each image that has some."""
    best, sizes = view.select(TOP_K), view.evidence.sizes
    sides = sorted({window.size for window in view.evidence.windows})
    sources = {
        "localizer": view.restore(best.boxes, best.filled),
        "centre_box": view.restore(_place_centre_boxes(sizes, sides)),
        "random_boxes": view.restore(_draw_random_boxes(sizes, best.scales, first_row)),
        "whole_image": [[(0, 0, *image.size)] for image in view.images],
    }
    for side in sides:
        ranked = view.select(1, scales=[side])
        sources[f"{side}_px"] = view.restore(ranked.boxes, ranked.filled)
    comparisons = []
    for row, scores in enumerate(view.maps()):
        boxes: dict[str, Sequence[Any]] = {name: each[row] for name, each in sources.items()}
        if not objects[row]:
            continue
        found = compare_map(scores, view.images[row].size, objects[row])
        comparisons.append(
            Comparison(
                objects=objects[row],
                boxes={"peak": [found.peak], **boxes},
                energy=found.energy,
                fits=found.fits,
                centre_fits=fit_levels(_draw_pyramid(scores.shape), found.places),
            )
        )
    return comparisons


def _place_centre_boxes(sizes: Tensor, sides: Sequence[int]) -> Tensor:
    """Control: one square of each size in the middle of each image, the largest first."""
    squares = [select_centre_box(sizes, side) for side in sorted(sides, reverse=True)]
    return torch.cat(squares, dim=1)  # (batch, sides, 4)


def _draw_random_boxes(sizes: Tensor, sides: Tensor, first_row: int) -> Tensor:
    """Control: squares of the sizes of the patches, anywhere in the image.

    Args:
        sizes: (batch, 2), int64, height and width of each image.
        sides: (batch, ranks), int64.
        first_row: Number of the first image, the seed of its squares.
    """
    drawn = [
        select_random_boxes(size[None], side, 1, 1000 * (first_row + row) + rank)[0]
        for row, size in enumerate(sizes)
        for rank, side in enumerate(sides[row].tolist())
    ]
    return torch.cat(drawn).view(*sides.shape, 4)


def _draw_pyramid(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Control: a map whose parts above a level are centred boxes, of every size: `shape`."""
    rows, columns = (1 - np.abs(np.linspace(-1, 1, size)) for size in shape)
    pyramid: NDArray[np.float64] = np.minimum(rows[:, None], columns)
    return pyramid


def summarize_localization(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """All that is said of a split, in [0, 1].

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
    fits, centre_fits = (
        summarize_fits(np.stack(levels), IOU_THRESHOLDS)
        for levels in ([c.fits for c in comparisons], [c.centre_fits for c in comparisons])
    )
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
    metric = BoxPointing(keep_in_memory=True)
    found = metric.compute(
        predictions=[list(map(list, each)) for each in boxes], references=objects
    )
    return float(found["box_pointing"])


def _recall(
    boxes: Sequence[Any], objects: Sequence[Any], top_k: int, iou_threshold: float
) -> float:
    metric = BoxIoURecall(keep_in_memory=True)
    found = metric.compute(
        predictions=[list(map(list, each)) for each in boxes],
        references=objects,
        top_k=top_k,
        iou_threshold=iou_threshold,
    )
    return float(found["box_iou_recall"])
