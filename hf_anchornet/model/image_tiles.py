"""The evidence of a large picture for one label: its best boxes and sums, tile by tile."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from .geometry import Runs, Window, list_runs, window_starts
from .image_boxes import ChosenBox, ImageEvidence
from .selection import PatchPool


class Tile(NamedTuple):
    """The windows that start in rows `[top, bottom)` and columns `[left, right)`, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def list_tiles(windows: Sequence[Window], size: tuple[int, int], tile_px: int) -> Iterator[Tile]:
    """The tiles that hold a window, row by row.

    Args:
        windows: One window a branch.
        size: Height and width of the picture.
        tile_px: Side of a tile, a multiple of all strides.
    """
    smallest = min(window.size for window in windows)
    height, width = size
    for top in range(0, height - smallest + 1, tile_px):
        for left in range(0, width - smallest + 1, tile_px):
            yield Tile(top, top + tile_px, left, left + tile_px)


class EvidenceMap:
    """The evidence of a picture of any size for one label.

    Only overlapping windows can change each other's rank. So boxes are ranked tile by tile, each
    with all windows around it, without a map of pixels.

    Args:
        evidence: As it is shown, one tensor a branch: (rows, columns).
        windows: One window a branch.
        size: Height and width of the picture.
        tile_px: Side of a tile, a multiple of all strides.
    """

    def __init__(
        self,
        evidence: Sequence[Tensor],
        windows: Sequence[Window],
        size: tuple[int, int],
        tile_px: int,
    ) -> None:
        self.evidence = evidence
        self.windows = windows
        self.size = size
        self.tile_px = tile_px
        self._reach = max(window.size for window in windows)
        self._stride = math.lcm(*(window.stride for window in windows))

    def select(
        self,
        top_k: int,
        iou_threshold: float | Sequence[float],
        scales: Sequence[int] | None = None,
    ) -> list[ChosenBox]:
        """The best boxes, best first: those of `ImageEvidence.select`.

        Args:
            top_k: Number of boxes; 0: none.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from; default: all.
        """
        if not top_k:
            return []
        pool = PatchPool(self.windows, 2, top_k)
        levels = [_outstanding_level(branch) for branch in self.evidence]
        for tile in list_tiles(self.windows, self.size, self.tile_px):
            part, first = self._cut_out(tile)
            picked = [branch[..., 0] for branch in part.branches]
            above = [
                (branch - level).clamp(min=0) for branch, level in zip(picked, levels, strict=True)
            ]
            sums = part.sum_inside([torch.stack(pair) for pair in zip(picked, above, strict=True)])
            counts = [branch[0].numel() for branch in picked]
            for branch, (both, window) in enumerate(
                zip(torch.split(sums[:, 0], counts, dim=-1), self.windows, strict=True)
            ):
                if scales is None or window.size in scales:
                    shape = picked[branch].shape[1:]
                    self._add(pool, branch, both.view(2, *shape), first, tile)
        index, filled = pool.select(iou_threshold, self.size)
        chosen = index[filled]
        return [
            ChosenBox((x, y, x + side, y + side), evidence, side)
            for (y, x), side, evidence in zip(
                pool.starts[chosen].tolist(),
                pool.sizes[chosen].tolist(),
                pool.evidence[chosen].tolist(),
                strict=True,
            )
        ]

    def _add(
        self, pool: PatchPool, branch: int, sums: Tensor, first: tuple[int, int], tile: Tile
    ) -> None:
        """Show a pool the windows of one branch that start in a tile.

        Args:
            pool: The best so far.
            branch: Which.
            sums: (2, rows, columns), evidence on each window and what of it stands out.
            first: Pixel where row and column 0 start.
            tile: The tile.
        """
        window = self.windows[branch]
        y, x = (
            window_starts(window, count, sums.device) + low
            for count, low in zip(sums.shape[1:], first, strict=True)
        )
        rows, columns = (y >= tile.top) & (y < tile.bottom), (x >= tile.left) & (x < tile.right)
        evidence, outstanding = sums[:, rows][:, :, columns].flatten(1)
        scores = (outstanding / window.size).masked_fill(evidence <= 0, -torch.inf)
        starts = torch.cartesian_prod(y[rows], x[columns])
        pool.add(branch, scores, starts.view(-1, 2), evidence)

    def _cut_out(self, tile: Tile) -> tuple[ImageEvidence, tuple[int, int]]:
        """All windows that overlap those of a tile, as a picture of one label.

        Returns:
            That picture and the pixel of the whole where it starts.
        """
        height, width = self.size
        top, bottom = self._around(tile.top, tile.bottom, height)
        left, right = self._around(tile.left, tile.right, width)
        evidence = []
        for branch, window in zip(self.evidence, self.windows, strict=True):
            part = branch[top // window.stride :, left // window.stride :]
            rows, columns = (window.num_positions(n) for n in (bottom - top, right - left))
            evidence.append(part[None, :rows, :columns, None])
        masks = [torch.ones_like(branch[..., 0], dtype=torch.bool) for branch in evidence]
        sizes = torch.tensor([[bottom - top, right - left]], device=evidence[0].device)
        return ImageEvidence(evidence, masks, self.windows, sizes), (top, left)

    def _around(self, low: int, high: int, length: int) -> tuple[int, int]:
        """Pixels along one axis of all windows that overlap windows that start in the range."""
        first = max(0, low - self._reach) // self._stride * self._stride
        return first, min(length, high + 2 * self._reach)

    def sum_absolute(self) -> float:
        """Sum of the absolute attribution of all pixels to one label."""
        parts = self._attribute()
        return sum(float(down.sizes @ each.abs() @ across.sizes) for each, down, across in parts)

    def sum_union(self, boxes: Sequence[tuple[int, int, int, int]]) -> float:
        """Attribution on all pixels that lie in at least one of the boxes, each counted once.

        Args:
            boxes: Windows of this picture: between their sides all pixels have the same windows.
        """
        total = 0.0
        for each, down, across in self._attribute():
            y, x = down.starts.cpu(), across.starts.cpu()
            inside = torch.zeros(len(y), len(x), dtype=torch.bool)
            for x0, y0, x1, y1 in boxes:
                inside |= ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
            total += float(down.sizes @ (each * inside.to(each)) @ across.sizes)
        return total

    def map_cells(self) -> Tensor:
        """Attribution of square cells as wide as the stride: (rows, columns), see `pool_cells`."""
        side = self.windows[0].stride
        height, width = self.size
        cells = torch.zeros(-(-height // side), -(-width // side), dtype=torch.float64)
        for each, down, across in self._attribute():
            sums = (down.sizes[:, None] * each * across.sizes).cpu()
            rows, columns = (runs.starts.cpu() // side for runs in (down, across))
            cells.index_put_((rows[:, None], columns[None]), sums, accumulate=True)
        return cells

    def _attribute(self) -> Iterator[tuple[Tensor, Runs, Runs]]:
        """Attribution of each pixel to one label, part by part of the picture.

        Pixels that the same windows cover have the same: they are one run of rows and columns.

        Yields:
            (runs of rows, runs of columns), float64, and these runs, in pixels of the picture.
        """
        height, width = self.size
        side = self.tile_px
        for top, left in product(range(0, height, side), range(0, width, side)):
            tile = Tile(top, min(top + side, height), left, min(left + side, width))
            part, first = self._cut_out(tile)
            picked = [branch[0, ..., 0].double() for branch in part.branches]
            down, across = (
                list_runs(
                    self.windows, [len(b) if axis == 0 else b.shape[1] for b in picked], *ends
                )
                for axis, ends in enumerate(
                    [
                        (first[0], tile.top, tile.bottom),
                        (first[1], tile.left, tile.right),
                    ]
                )
            )
            yield (
                torch.stack(
                    [
                        vertical @ branch @ horizontal.mT
                        for vertical, branch, horizontal in zip(
                            down.shares, picked, across.shares, strict=True
                        )
                    ]
                ).sum(dim=0),
                down,
                across,
            )


def _outstanding_level(evidence: Tensor) -> Tensor:
    """The level above which evidence is outstanding, see `ImageEvidence.select`: ()."""
    variance, mean = torch.var_mean(evidence, correction=0)
    return mean + variance.sqrt()
