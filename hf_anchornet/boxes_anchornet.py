"""From evidence to the boxes of an image: attribution of pixels, ranked boxes, controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .geometry_anchornet import Window, spread_over_pixels
from .selection_anchornet import list_windows, select_top_patches

DEFAULT_OVERLAP = 0.3
"""How much a box may overlap better ones: the IoU of 2206.03367."""


class RankedBoxes(NamedTuple):
    """Boxes of each image, best first.

    Attributes:
        boxes: (batch, ranks, 4), int64, `(x0, y0, x1, y1)` in pixels of the model's input.
        evidence: (batch, ranks), float64, what all windows put on the pixels of the box.
        scales: (batch, ranks), int64, side of the box in pixels.
        filled: (batch, ranks), bool, whether there was a box for this rank; these come first
            unless later ranks allow more overlap.
    """

    boxes: Tensor
    evidence: Tensor
    scales: Tensor
    filled: Tensor


@dataclass(frozen=True)
class LocatedImages:
    """A batch of images and what a localizer says about them.

    Attributes:
        evidence: One tensor a branch: (batch, rows, columns, labels).
        masks: One tensor a branch: (batch, rows, columns), bool, windows inside the image.
        windows: One window a branch, square.
        sizes: (batch, 2), int64, height and width of each image in the model's input.
    """

    evidence: Sequence[Tensor]
    masks: Sequence[Tensor]
    windows: Sequence[Window]
    sizes: Tensor

    def attribute(self, labels: Tensor) -> Tensor:
        """Attribution of each pixel to one label, summed over branches: (batch, height, width).

        Args:
            labels: (batch,), int64, the label of each image to explain.
        """
        return self._spread(self._pick(labels))

    def stand_out(self, labels: Tensor) -> Tensor:
        """What of the attribution stands out, >= 0: (batch, height, width).

        Of each window's evidence, what exceeds the mean over the windows of its scale by more than
        one standard deviation. What is everywhere is context: it says little about the place.

        Args:
            labels: (batch,), int64, the label of each image to explain.
        """
        outstanding = []
        for branch, mask in zip(self._pick(labels), self.masks, strict=True):
            count = mask.sum(dim=(1, 2), keepdim=True)
            mean = branch.sum(dim=(1, 2), keepdim=True) / count
            spread = (((branch - mean) * mask) ** 2).sum(dim=(1, 2), keepdim=True) / count
            outstanding.append((branch - mean - spread.sqrt()).clamp(min=0) * mask)
        return self._spread(outstanding)

    def select(
        self,
        labels: Tensor,
        attribution: Tensor,
        top_k: int,
        iou_threshold: float | Sequence[float] = 0.0,
        scales: Sequence[int] | None = None,
    ) -> RankedBoxes:
        """The windows that hold the most outstanding evidence for their side, best first.

        A window alone says little about where in it the evidence lies; all windows over a place
        together do. So a box counts with what `stand_out` puts on its pixels, over its side:
        without this the largest windows would always win, over its area the smallest. Chosen on
        the validation split of fod_a. Boxes of no positive evidence are never selected.

        Args:
            labels: (batch,), int64, the label of each image to explain.
            attribution: (batch, height, width), of the same labels, from `attribute`.
            top_k: Number of boxes.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from; default: all.
        """
        corners, sides = list_windows(self.windows, self.evidence)  # (patches, 2), (patches,)
        usable = torch.cat([mask.flatten(1) for mask in self.masks], dim=1)  # (batch, patches)
        if scales is not None:
            usable = usable & torch.isin(sides, sides.new_tensor(scales))
        evidence = sum_inside(attribution, corners, sides)  # (batch, patches)
        scores = sum_inside(self.stand_out(labels), corners, sides) / sides
        scores = scores.masked_fill(~usable | (evidence <= 0), -torch.inf)
        lows, highs = corners[None], (corners + sides[:, None])[None]
        index, filled = select_top_patches(scores, lows, highs, top_k, iou_threshold)
        low, side = corners[index].flip(-1), sides[index]  # (batch, ranks, 2) x and y
        boxes = torch.cat([low, low + side[..., None]], dim=-1)
        return RankedBoxes(boxes, evidence.gather(1, index), side, filled)

    def _pick(self, labels: Tensor) -> list[Tensor]:
        """Evidence for one label of each image, one tensor a branch: (batch, rows, columns)."""
        picks = labels.view(-1, 1, 1, 1)
        return [
            branch.gather(3, picks.expand(*branch.shape[:3], 1))[..., 0] for branch in self.evidence
        ]

    def _spread(self, by_window: Sequence[Tensor]) -> Tensor:
        """Sum over branches, each window's part spread over its pixels: (batch, height, width)."""
        spread = [
            spread_over_pixels(branch, window, self.sizes)
            for branch, window in zip(by_window, self.windows, strict=True)
        ]
        return torch.stack(spread).sum(dim=0)


def sum_inside(attribution: Tensor, corners: Tensor, sides: Tensor) -> Tensor:
    """Attribution of the pixels of each square: (batch, patches), float64.

    By differences of a summed-area table (Crow 1984).

    Args:
        attribution: (batch, height, width).
        corners: (patches, 2), int64, first row and column of each square.
        sides: (patches,), int64.
    """
    height, width = attribution.shape[1:]
    table = torch.nn.functional.pad(attribution.double().cumsum(1).cumsum(2), (1, 0, 1, 0))
    # Windows beyond a smaller image of the batch may end outside; they never count.
    top, left = corners.unbind(dim=1)
    bottom, right = (top + sides).clamp(max=height), (left + sides).clamp(max=width)
    return (
        table[:, bottom, right]
        - table[:, top, right]
        - table[:, bottom, left]
        + table[:, top, left]
    )


def select_random_boxes(sizes: Tensor, side: int, count: int, seed: int) -> Tensor:
    """Control: `count` squares anywhere in each image: (batch, count, 4), as in `RankedBoxes`.

    Args:
        sizes: (batch, 2), int64, height and width of each image, at least `side`.
        side: Side of the squares, in pixels.
        count: Squares of each image.
        seed: The same seed gives the same squares.
    """
    room = sizes.flip(-1)[:, None] - side + 1  # (batch, 1, 2), places along x and y
    draws = torch.rand(len(sizes), count, 2, generator=torch.Generator().manual_seed(seed))
    low = (draws * room.cpu()).long().to(sizes.device)
    return torch.cat([low, low + side], dim=-1)


def select_centre_box(sizes: Tensor, side: int) -> Tensor:
    """Control: the square in the middle of each image: (batch, 1, 4), as in `RankedBoxes`."""
    low = (sizes.flip(-1)[:, None] - side) // 2
    return torch.cat([low, low + side], dim=-1)


def pool_cells(attribution: Tensor, side: int) -> Tensor:
    """Attribution of square cells of `side` pixels: (rows, columns); the last ones may be cut."""
    height, width = attribution.shape
    rows, columns = -(-height // side), -(-width // side)
    room = (0, columns * side - width, 0, rows * side - height)
    padded = torch.nn.functional.pad(attribution, room)
    return padded.view(rows, side, columns, side).sum(dim=(1, 3))
