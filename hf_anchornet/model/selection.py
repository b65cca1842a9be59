"""Greedy selection of the best patches, of any number of axes, with limited overlap."""

import functools
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .geometry import Window, window_starts
from .limits import check_at_most

MOST_COUNT = 2**24
"""Most ranks, tokens or words that an option may ask for; memory grows with it."""


def list_windows(windows: Sequence[Window], evidence: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Every window of every branch, in the order of `join_branches`.

    Args:
        windows: One window a branch.
        evidence: One tensor a branch: (batch, positions, labels), or with rows and columns in
            place of positions.

    Returns:
        First unit of each window along each axis, (patches, axes), and its size along every axis,
        (patches,), both int64.
    """
    lows, sizes = [], []
    for window, branch in zip(windows, evidence, strict=True):
        axes = [window_starts(window, count, branch.device) for count in branch.shape[1:-1]]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        lows.append(grid.flatten(0, -2))  # (positions of all axes, axes)
        sizes.append(lows[-1].new_full((len(lows[-1]),), window.size))
    return torch.cat(lows), torch.cat(sizes)


def join_branches(evidence: Sequence[Tensor]) -> Tensor:
    """Evidence of every window of every branch: (batch, patches, labels)."""
    return torch.cat([branch.flatten(1, -2) for branch in evidence], dim=1)


def select_top_patches(
    scores: Tensor,
    lows: Tensor,
    highs: Tensor,
    top_k: int,
    iou_threshold: float | Sequence[float] = 0.0,
) -> tuple[Tensor, Tensor]:
    """The best patches, greedily, each overlapping the better ones no more than allowed.

    Rank `j` goes to the best-scored patch whose IoU with every better-ranked patch is at most
    the limit of rank `j` (2206.03367, section 3.2, where the limit is one number).

    Args:
        scores: (batch, patches), at least one patch; `-inf` is never selected. Of equal ones the
            first is the better; see `round_scores`.
        lows: (batch or 1, patches, axes), first unit of each patch along each axis.
        highs: (batch or 1, patches, axes), one past its last unit.
        top_k: Number of patches to select; 0: none.
        iou_threshold: Largest IoU allowed, in [0, 1]; a sequence gives one for each rank.

    Returns:
        Indices of the patches, best first, (batch, top_k), int64, and whether each rank was
        filled, (batch, top_k), bool.

    Raises:
        ValueError: if `top_k` or `iou_threshold` is out of range or a score is NaN.
    """
    limits = check_iou_threshold(iou_threshold, check_count("top_k", top_k, least=0))
    if scores.isnan().any():
        raise ValueError(
            "`scores` must be numbers or -inf, got NaN; the model's weights or its input hold one."
        )
    same = len(set(limits)) == 1  # then a patch that is excluded stays excluded
    measure_overlap = _prepare_overlap(lows, highs, scores, limits[0] if same else None)
    free = scores.clone()
    overlap = torch.zeros_like(scores, dtype=torch.float64)  # largest IoU with a selected patch
    indices = torch.zeros(len(scores), len(limits), dtype=torch.long, device=scores.device)
    filled = torch.zeros_like(indices, dtype=torch.bool)
    for rank, limit in enumerate(limits):
        allowed = free if same else free.masked_fill(overlap > limit, -torch.inf)
        best, index = allowed.max(dim=1)  # (batch,)
        found = best > -torch.inf
        if not found.any() and limit >= max(limits[rank:]):
            break
        indices[:, rank], filled[:, rank] = index, found
        # A row without a patch for this rank keeps all: a later rank may allow more overlap.
        free[found, index[found]] = -torch.inf
        if rank + 1 == len(limits):
            break
        if same:
            free = torch.minimum(free, measure_overlap(index))
        else:
            overlap = torch.maximum(overlap, measure_overlap(index) * found[:, None])
    return indices, filled


def round_scores(scores: Tensor) -> Tensor:
    """Scores rounded to 16 bits, 1.5e-5 relative, so that the first of equal patches is the best.

    Windows with the same content have the same score up to float32 rounding, which depends on how
    an input was cut and batched. The choice among them must not: scores of a network are rounded
    before they go to `select_top_patches`.
    """
    mantissa, exponent = torch.frexp(scores)
    return torch.ldexp((mantissa * 2**16).round() / 2**16, exponent)


class PatchPool:
    """The best patches of a stream, enough of them to select the best `top_k` exactly.

    A selected patch excludes only patches that overlap it, and few windows on a grid overlap one
    place. So it suffices to keep that many patches for each rank: `select` then returns what
    `select_top_patches` returns for all patches together.

    Args:
        windows: One window a branch.
        axes: Axes of a patch: 1 in a text, 2 in an image.
        top_k: Number of patches to select.

    Attributes:
        scores: (patches,), float64, falling; patches of one score stand in the order of
            `join_branches`.
        starts: (patches, axes), int64, first unit along each axis.
        sizes: (patches,), int64, size along every axis.
        evidence: (patches,), float64.
    """

    def __init__(self, windows: Sequence[Window], axes: int, top_k: int) -> None:
        self.top_k = top_k
        largest = max(window.size for window in windows)
        near = sum(((largest + w.size - 2) // w.stride + 1) ** axes for w in windows)
        self.room = top_k + (top_k - 1) * near
        self.scores = self.evidence = torch.zeros(0, dtype=torch.float64)
        self.starts = torch.zeros(0, axes, dtype=torch.long)
        self.sizes = self._branches = torch.zeros(0, dtype=torch.long)
        self._known = [window.size for window in windows]

    def add(self, branch: int, scores: Tensor, starts: Tensor, evidence: Tensor) -> None:
        """See more patches, of one branch.

        Args:
            branch: Which.
            scores: (patches,); `-inf` is never selected.
            starts: (patches, axes), int64, first unit along each axis.
            evidence: (patches,).
        """
        scores, full = round_scores(scores), len(self.scores) == self.room
        good = (scores >= self.scores[-1].to(scores) if full else scores > -torch.inf).cpu()
        new = scores.cpu()[good].double()
        if not len(new):
            return
        joined = torch.cat([self.scores, new])
        places = torch.cat([self.starts, starts.cpu()[good]])
        branches = torch.cat([self._branches, torch.full((len(new),), branch)])
        keys = [axis.numpy() for axis in places.unbind(-1)[::-1]]
        order = torch.from_numpy(np.lexsort([*keys, branches.numpy(), -joined.numpy()]))
        order = order[: self.room]
        self.scores, self.starts = joined[order], places[order]
        self._branches = branches[order]
        self.sizes = torch.tensor(self._known)[self._branches]
        self.evidence = torch.cat([self.evidence, evidence.cpu()[good].double()])[order]

    def select(
        self, iou_threshold: float | Sequence[float], lengths: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The best patches as `select_top_patches` gives them: two times (top_k,).

        Args:
            iou_threshold: See `select_top_patches`.
            lengths: Units of the input along each axis; patches are clipped to it.
        """
        if not len(self.scores):
            nothing = torch.zeros(self.top_k, dtype=torch.long)
            return nothing, nothing.bool()
        highs = torch.minimum(self.starts + self.sizes[:, None], torch.tensor(lengths))
        index, filled = select_top_patches(
            self.scores[None], self.starts[None], highs[None], self.top_k, iou_threshold
        )
        return index[0], filled[0]


def check_count(name: str, count: Any, least: int = 1) -> int:
    """The value of the option `name`, checked to be a whole number from `least` to `MOST_COUNT`.

    Raises:
        ValueError: if it is not.
    """
    if isinstance(count, bool) or not isinstance(count, Integral) or count < least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}, got {count!r}; give such a "
            "number or leave it out."
        )
    check_at_most(name, MOST_COUNT, int(count))
    return int(count)


def check_iou_threshold(iou_threshold: float | Sequence[float], top_k: int) -> list[float]:
    """One limit for each of the `top_k` ranks, each in [0, 1].

    Raises:
        ValueError: if a limit is not a number in [0, 1] or their number is not `top_k`.
    """
    limits: list[Any] = [iou_threshold] * top_k
    if isinstance(iou_threshold, Sequence):
        limits = list(iou_threshold)
    if len(limits) != top_k or not all(isinstance(x, float | int) and 0 <= x <= 1 for x in limits):
        raise ValueError(
            f"`iou_threshold` must be a number in [0, 1] or one for each of the {top_k} ranks, "
            f"got {iou_threshold!r}; 0 allows no overlap, 1 any."
        )
    return [float(limit) for limit in limits]


def _prepare_overlap(
    lows: Tensor, highs: Tensor, scores: Tensor, limit: float | None
) -> Callable[[Tensor], Tensor]:
    """A function from indices, (batch,), to the overlap of all patches with those.

    The overlap is (batch, patches): the IoU, float64. With one limit for all ranks it is instead a
    bound on the score of a patch: -inf if its IoU exceeds the limit, else inf.
    """
    lows, highs = lows.double(), highs.double()  # exact below 2**53, and faster than integers
    bounds = scores.new_tensor([-torch.inf, torch.inf])

    def measure(low: Tensor, high: Tensor) -> Tensor:
        iou = _pairwise_iou(lows, highs, low, high)
        return iou if limit is None else torch.where(iou > limit, bounds[0], bounds[1])

    if len(lows) == len(highs) == 1 and lows.shape[1] <= 4 * len(scores):
        # All rows have the same patches: each pair is measured at most once.
        table = functools.cache(lambda: measure(lows.transpose(0, 1), highs.transpose(0, 1)))
        return lambda index: table()[index]
    lows, highs = (one.expand(len(scores), -1, -1) for one in (lows, highs))

    def measure_picked(index: Tensor) -> Tensor:
        pick = index[:, None, None].expand(-1, 1, lows.shape[-1])
        return measure(lows.gather(1, pick), highs.gather(1, pick))

    return measure_picked


def _pairwise_iou(lows: Tensor, highs: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """IoU of patches with others, without the last axis of the broadcast shapes; float64."""
    # Axis by axis: several times faster than a product along the last axis.
    area = _measure(lows.unbind(-1), highs.unbind(-1))
    other = _measure(low.unbind(-1), high.unbind(-1))
    shared = _measure(
        [torch.maximum(*pair) for pair in zip(lows.unbind(-1), low.unbind(-1), strict=True)],
        [torch.minimum(*pair) for pair in zip(highs.unbind(-1), high.unbind(-1), strict=True)],
    )
    return shared / (area + other - shared).clamp_(min=1)


def _measure(lows: Sequence[Tensor], highs: Sequence[Tensor]) -> Tensor:
    """Length or area of patches, given the first unit and one past the last of each axis."""
    sides = [(high - low).clamp_(min=0) for low, high in zip(lows, highs, strict=True)]
    return functools.reduce(torch.mul, sides)
