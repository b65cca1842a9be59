"""The patches of an image that a classifier read, as parts of an explanation."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .cascade_rule import FULL, LOCALIZER
from .explanation import Explanation, InputParts, explain_localizer
from .image_localizer import LocalizedImages
from .image_processing_anchornet import Box
from .image_reader import ReadableImage
from .shapley import Coalitions

BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")


class ImageParts(InputParts):
    """Patches of an image, each read or not; or the whole image, as one part.

    Args:
        view: The image.
        pieces: Boxes in pixels of the original, or ["full"].
        batch: The localized image alone, for what the localizer says of it; `None` if a plain
            classifier answers.
    """

    def __init__(
        self, view: ReadableImage, pieces: Sequence[Any], batch: LocalizedImages | None = None
    ) -> None:
        self.view, self.pieces, self._batch = view, list(pieces), batch
        whole: Box = (0, 0, *view.image.size)
        self.boxes: list[Box] = [whole if piece == FULL else piece for piece in self.pieces]
        self.places = [describe_box(box) for box in self.boxes]

    def cut(self, present: NDArray[np.bool_]) -> list[Any]:
        """The patches that are present."""
        return [piece for piece, here in zip(self.pieces, present, strict=True) if here]

    def cut_nothing(self) -> list[Any]:
        """Nothing: a classifier of images reads at least one."""
        return []

    def lose(self, coalitions: Coalitions) -> Tensor:
        """The localizer's evidence on pixels of absent patches that no present patch holds.

        Returns:
            (coalitions, labels), float64.
        """
        masks, lost = self.masks, []
        for present in coalitions:
            gone = masks[~present].any(axis=0) & ~masks[present].any(axis=0)
            lost.append(self.maps[:, torch.from_numpy(gone)].sum(dim=1))
        return torch.stack(lost)

    @cached_property
    def maps(self) -> Tensor:
        """Attribution of each pixel of the model's input: (labels, height, width), on the CPU."""
        assert self._batch is not None
        labels = self._batch.logits.new_tensor(range(self._batch.logits.shape[1])).long()
        maps = [self._batch.evidence.attribute(label[None])[0] for label in labels]
        return torch.stack(maps).double().cpu()

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """The pixels of the model's input in each box: (parts, height, width)."""
        height, width = self.maps.shape[1:]
        return mask_boxes(self.boxes, self.view.image.size, (width, height))


def mask_boxes(
    boxes: Sequence[Box], size: tuple[int, int], target: tuple[int, int]
) -> NDArray[np.bool_]:
    """The pixels in each box of an image that is resized: (boxes, height, width), bool.

    Args:
        boxes: In pixels of the image.
        size: Its width and height.
        target: Width and height that it is resized to.
    """
    across, down = target[0] / size[0], target[1] / size[1]
    masks = np.zeros((len(boxes), target[1], target[0]), dtype=np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        rows, columns = slice(round(y0 * down), round(y1 * down)), (x0 * across, x1 * across)
        mask[rows, slice(*map(round, columns))] = True
    return masks


class LocatedParts(ImageParts):
    """Patches that a localizer found, and that no classifier read."""

    def cut(self, present: NDArray[np.bool_]) -> list[Any]:
        """Nothing is read."""
        return []


def describe_box(box: Box) -> dict[str, Any]:
    """Where a patch is, in pixels of the original image."""
    return {"box": dict(zip(BOX_SIDES, box, strict=True))}


def explain_boxes(
    model: PreTrainedModel, logits: Tensor, boxes: Sequence[Box], evidence: Sequence[float]
) -> Explanation:
    """The explanation of a localizer's own answer by disjoint patches; see `explain_localizer`.

    Args:
        model: The localizer.
        logits: (labels,), of one image.
        boxes: The patches.
        evidence: Of each, for the answered label.
    """
    valued = zip(boxes, evidence, strict=True)
    parts = [describe_box(box) | {"value": value} for box, value in valued]
    return explain_localizer(model, LOCALIZER, logits, parts)


def explain_images(
    batch: LocalizedImages, top_k: int, scales: Sequence[int] | None
) -> list[Explanation]:
    """The explanation of a localizer's own answer to each image of a batch.

    Args:
        batch: The images.
        top_k: See `select_disjoint`, as for the next.
        scales: Window sizes.
    """
    chosen = select_disjoint(batch, top_k, scales)
    return [
        explain_boxes(batch.localizer.model, logits, *places)
        for logits, places in zip(batch.logits, chosen, strict=True)
    ]


def select_disjoint(
    batch: LocalizedImages, top_k: int, scales: Sequence[int] | None
) -> list[tuple[list[Box], list[float]]]:
    """The best patches of each image that do not overlap, and their evidence.

    Args:
        batch: The images.
        top_k: Most patches of each; 0: none.
        scales: Window sizes to choose from; `None`: all.
    """
    ranked = batch.select(top_k, 0.0, scales)
    rows = zip(ranked.evidence, ranked.filled, strict=True)
    evidence = (row[kept].tolist() for row, kept in rows)
    return list(zip(batch.restore(ranked.boxes, ranked.filled), evidence, strict=True))
