"""From evidence to the boxes of an image: attribution of pixels and ranked boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .geometry import Window, spread_over_pixels, window_overlaps
from .image_processing_anchornet import Box
from .selection import list_windows, round_scores, select_top_patches

DEFAULT_OVERLAP = 0.3
"""Largest IoU of a box with better ones; the value of 2206.03367."""


class ChosenBox(NamedTuple):
    """A window of one picture.

    Attributes:
        box: In pixels of the picture.
        evidence: What its pixels add to the logit.
        scale: Side of the window in pixels of the picture.
        place: For a picture of several readings: the step, the place in it, and the sides of the
            box there.
    """

    box: Box
    evidence: float
    scale: int
    place: tuple[int, int, list[int]] | None = None


class RankedBoxes(NamedTuple):
    """Boxes of each image, best first.

    Attributes:
        boxes: (batch, ranks, 4), int64, `(x0, y0, x1, y1)` in pixels of the model's input.
        evidence: (batch, ranks), float64, the attribution of the box.
        scales: (batch, ranks), int64, side of the box in pixels.
        filled: (batch, ranks), bool, whether there was a box for this rank; these come first
            unless later ranks allow more overlap.
    """

    boxes: Tensor
    evidence: Tensor
    scales: Tensor
    filled: Tensor


@dataclass(frozen=True)
class ImageEvidence:
    """The evidence of a batch of images, on the grids of its branches.

    Attributes:
        branches: Evidence, one tensor a branch: (batch, rows, columns, labels).
        masks: One tensor a branch: (batch, rows, columns), bool, windows inside the image.
        windows: One window a branch, square.
        sizes: (batch, 2), int64, height and width of each image in the model's input.
    """

    branches: Sequence[Tensor]
    masks: Sequence[Tensor]
    windows: Sequence[Window]
    sizes: Tensor

    def attribute(self, labels: Tensor) -> Tensor:
        """Attribution of each pixel to one label, summed over branches: (batch, height, width).

        Args:
            labels: (batch,), int64, the label of each image to explain.
        """
        spread = [
            spread_over_pixels(branch, window, self.sizes)
            for branch, window in zip(self._pick(labels), self.windows, strict=True)
        ]
        return torch.stack(spread).sum(dim=0)

    def select(
        self,
        top_k: int,
        iou_threshold: float | Sequence[float],
        scales: Sequence[int] | None,
        labels: Tensor,
    ) -> RankedBoxes:
        """The boxes with the most outstanding evidence relative to their side, best first.

        One window does not tell where in it the evidence lies; all windows over a place together
        do. So the score of a box is the outstanding evidence on its pixels divided by its side:
        undivided, the largest windows would always win; divided by the area, the smallest. The
        outstanding part of a window's evidence is what exceeds the mean over the windows of its
        scale by more than one standard deviation; evidence that is everywhere is context. Chosen
        on the validation split of fod_a. Boxes without positive evidence are never selected.

        Args:
            top_k: Number of boxes.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from; `None`: all.
            labels: (batch,), int64, the label of each image to explain.
        """
        corners, sides = list_windows(self.windows, self.branches)  # (patches, 2), (patches,)
        usable = torch.cat([mask.flatten(1) for mask in self.masks], dim=1)  # (batch, patches)
        if scales is not None:
            usable = usable & torch.isin(sides, sides.new_tensor(scales))
        picked = self._pick(labels)
        both = zip(picked, self._stand_out(picked), strict=True)
        evidence, outstanding = self.sum_inside([torch.stack(pair) for pair in both])
        scores = outstanding / sides  # (batch, patches)
        scores = scores.masked_fill(~usable | (evidence <= 0), -torch.inf)
        lows, highs = corners[None], (corners + sides[:, None])[None]
        ranks = round_scores(scores)
        index, filled = select_top_patches(ranks, lows, highs, top_k, iou_threshold)
        low, side = corners[index].flip(-1), sides[index]  # (batch, ranks, 2) x and y
        boxes = torch.cat([low, low + side[..., None]], dim=-1)
        return RankedBoxes(boxes, evidence.gather(1, index), side, filled)

    def _pick(self, labels: Tensor) -> list[Tensor]:
        """Evidence for one label of each image, one tensor a branch: (batch, rows, columns)."""
        picks = labels.view(-1, 1, 1, 1)
        return [
            branch.gather(3, picks.expand(*branch.shape[:3], 1))[..., 0] for branch in self.branches
        ]

    def _stand_out(self, picked: Sequence[Tensor]) -> list[Tensor]:
        """The outstanding part of each window's evidence for one label, >= 0, as `picked`."""
        outstanding = []
        for branch, mask in zip(picked, self.masks, strict=True):
            count = mask.sum(dim=(1, 2), keepdim=True)
            mean = branch.sum(dim=(1, 2), keepdim=True) / count
            spread = (((branch - mean) * mask) ** 2).sum(dim=(1, 2), keepdim=True) / count
            outstanding.append((branch - mean - spread.sqrt()).clamp(min=0) * mask)
        return outstanding

    def sum_inside(self, picked: Sequence[Tensor]) -> Tensor:
        """The attribution summed over the pixels of each window: (..., batch, patches), float64.

        The sum of `attribute` over the pixels of each box, without a map of pixels: windows and
        boxes are squares, so the part of one that lies in another is a product of overlaps along
        the two axes.

        Args:
            picked: One tensor a branch: (..., batch, rows, columns); 0 where a window does not
                count.
        """
        rows, columns = ([branch.shape[axis] for branch in picked] for axis in (-2, -1))
        down = window_overlaps(self.windows, rows, self.sizes[:, 0])
        across = window_overlaps(self.windows, columns, self.sizes[:, 1])
        # On rows of any branch times columns of any: (..., batch, all rows, all columns)
        sums = torch.stack(
            [
                vertical.mT @ branch.double() @ horizontal
                for vertical, branch, horizontal in zip(
                    torch.split(down, rows, dim=1),
                    picked,
                    torch.split(across, columns, dim=1),
                    strict=True,
                )
            ]
        ).sum(dim=0)
        # Boxes are where both are of the same branch.
        boxes = [
            torch.split(part, columns, dim=-1)[branch].flatten(-2)
            for branch, part in enumerate(torch.split(sums, rows, dim=-2))
        ]
        return torch.cat(boxes, dim=-1)


def sum_union(attribution: Tensor, boxes: Tensor) -> float:
    """Attribution on all pixels that lie in at least one of the boxes, each counted once.

    Args:
        attribution: (height, width).
        boxes: (boxes, 4), int64, `(x0, y0, x1, y1)`.
    """
    inside = torch.zeros_like(attribution, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes.tolist():
        inside[y0:y1, x0:x1] = True
    return float(attribution[inside].sum())


def pool_cells(attribution: Tensor, side: int) -> Tensor:
    """Attribution of square cells of `side` pixels: (rows, columns); the last ones may be cut."""
    height, width = attribution.shape
    rows, columns = -(-height // side), -(-width // side)
    room = (0, columns * side - width, 0, rows * side - height)
    padded = torch.nn.functional.pad(attribution, room)
    return padded.view(rows, side, columns, side).sum(dim=(1, 3))


def cover_share(size: tuple[int, int], boxes: Sequence[Sequence[int]]) -> float:
    """Share of an image that lies in one of the boxes, in [0, 1].

    Args:
        size: Width and height.
        boxes: `(x0, y0, x1, y1)`, in pixels of the image.
    """
    # Between the sides of the boxes nothing changes: a grid of these is enough.
    x, y = (np.unique([box[side] for box in boxes for side in (low, low + 2)]) for low in (0, 1))
    covered = np.zeros((max(0, len(y) - 1), max(0, len(x) - 1)), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        top, bottom = np.searchsorted(y, [y0, y1])
        left, right = np.searchsorted(x, [x0, x1])
        covered[top:bottom, left:right] = True
    return float(np.diff(y) @ covered @ np.diff(x)) / (size[0] * size[1])
