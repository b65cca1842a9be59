"""From evidence to the boxes of an image: attribution of pixels, ranked boxes, controls."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .geometry_anchornet import Window, spread_over_pixels
from .selection_anchornet import list_windows, select_top_patches


class RankedBoxes(NamedTuple):
    """Boxes of each image, best first.

    Attributes:
        boxes: (batch, top_k, 4), int64, `(x0, y0, x1, y1)` in pixels of the model's input.
        evidence: (batch, top_k), float64, what all windows put on the pixels of the box.
        scales: (batch, top_k), int64, side of the box in pixels.
        filled: (batch, top_k), bool, whether there was a box left for this rank.
    """

    boxes: Tensor
    evidence: Tensor
    scales: Tensor
    filled: Tensor


def attribute_pixels(
    evidence: Sequence[Tensor], windows: Sequence[Window], sizes: Tensor, labels: Tensor
) -> Tensor:
    """Attribution of each pixel to one label, summed over branches: (batch, height, width).

    Args:
        evidence: One tensor a branch: (batch, rows, columns, labels).
        windows: One window a branch.
        sizes: (batch, 2), int64, height and width of each image.
        labels: (batch,), int64, the label of each image to explain.
    """
    spread = []
    for branch, window in zip(evidence, windows, strict=True):
        pick = labels.view(-1, 1, 1, 1).expand(*branch.shape[:3], 1)
        spread.append(spread_over_pixels(branch.gather(3, pick)[..., 0], window, sizes))
    return torch.stack(spread).sum(dim=0)


def select_top_boxes(
    attribution: Tensor,
    evidence: Sequence[Tensor],
    masks: Sequence[Tensor],
    windows: Sequence[Window],
    top_k: int,
    iou_threshold: float | Sequence[float] = 0.0,
) -> RankedBoxes:
    """The windows that hold the most evidence beyond their share of the area, greedily.

    A window alone says little about where in it the evidence lies; all windows over a place
    together do. So a box counts with the attribution of its pixels, less what a box of its area
    would hold if the image's attribution were even: without this the largest windows always win.

    Args:
        attribution: (batch, height, width), from `attribute_pixels`.
        evidence: One tensor a branch: (batch, rows, columns, labels); only its shape counts.
        masks: One tensor a branch: (batch, rows, columns), bool, windows inside the image.
        windows: One window a branch, square.
        top_k: Number of boxes.
        iou_threshold: See `select_top_patches`.
    """
    corners, sides = list_windows(windows, evidence)  # (patches, 2) row and column, (patches,)
    inside = sum_inside(attribution, corners, sides)  # (batch, patches)
    area = torch.cat([mask.flatten(1) for mask in masks], dim=1)
    even = attribution.clamp(min=0).flatten(1).mean(dim=1, keepdim=True) * sides**2
    scores = (inside - even).masked_fill(~area | (inside <= 0), -torch.inf)
    lows, highs = corners[None], (corners + sides[:, None])[None]
    index, filled = select_top_patches(scores, lows, highs, top_k, iou_threshold)
    low, side = corners[index], sides[index]  # (batch, top_k, 2), (batch, top_k)
    boxes = torch.cat([low.flip(-1), low.flip(-1) + side[..., None]], dim=-1)
    return RankedBoxes(boxes, inside.gather(1, index), side, filled)


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
