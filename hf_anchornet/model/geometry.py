"""Receptive-field arithmetic: from layers to windows, from windows to tokens and pixels.

Conventions, stated here once: positions, tokens and pixels count from 0; every interval is
half-open, `[start, end)`; a trunk has no padding, so position `p` of a branch with stride `s`
and window size `r` sees exactly `[p * s, p * s + r)` of its input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """The window of one branch: `size` input units (tokens or pixels) every `stride` units."""

    size: int
    stride: int

    def num_positions(self, length: int) -> int:
        """Number of whole windows in an input of `length` units (0 if it is shorter)."""
        return max(0, (length - self.size) // self.stride + 1)

    def length(self, num_positions: int) -> int:
        """Number of input units that `num_positions` (>= 1) consecutive windows cover."""
        return (num_positions - 1) * self.stride + self.size


def receptive_windows(
    kernel_sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Window, ...]:
    """Windows after 0, 1, 2, ... layers of an unpadded convolution stack.

    With `r = j = 1` before the first layer, a layer of kernel `k`, stride `s` and dilation `d`
    gives `r += (k - 1) * d * j` and then `j *= s` (Dumoulin and Visin 2016, "A guide to
    convolution arithmetic for deep learning", relationships 6 and 13, without padding).

    Args:
        kernel_sizes: Kernel size of each layer.
        strides: Stride of each layer.
        dilations: Dilation of each layer.

    Returns:
        One more window than there are layers; the first is a single input unit.
    """
    size = stride = 1
    windows = [Window(size, stride)]
    for kernel, step, dilation in zip(kernel_sizes, strides, dilations, strict=True):
        size += (kernel - 1) * dilation * stride
        stride *= step
        windows.append(Window(size, stride))
    return tuple(windows)


def window_starts(window: Window, num_positions: int, device: torch.device) -> Tensor:
    """First input unit of each window: (positions,), int64."""
    return torch.arange(num_positions, device=device) * window.stride


def valid_positions(mask: Tensor, window: Window, num_positions: int | None = None) -> Tensor:
    """Which windows count: (batch, positions), bool.

    A window counts if all its units are real. An input shorter than the window has one window,
    at position 0, clipped to the input; an empty input has none.

    Args:
        mask: (batch, length), bool, True = real; real units stand first in every row.
        window: The branch's window; `length >= window.size`.
        num_positions: Positions of the branch, by default computed from the length. For
            `torch.export`, which cannot prove that the trunk has as many.
    """
    if num_positions is None:
        num_positions = window.num_positions(mask.shape[1])
    counts = torch.nn.functional.pad(mask.long().cumsum(dim=1), (1, 0))  # (batch, length + 1)
    starts = window_starts(window, num_positions, mask.device)
    in_window = counts[:, starts + window.size] - counts[:, starts]  # (batch, positions)
    return in_window == counts[:, -1:].clamp(min=1, max=window.size)


def center_evidence(evidence: Tensor) -> Tensor:
    """Evidence minus its mean over the classes (last axis): the part that softmax depends on."""
    return evidence - evidence.mean(dim=-1, keepdim=True)


def show_evidence(evidence: Sequence[Tensor], multi_label: bool) -> list[Tensor]:
    """Evidence as it is shown, one tensor a branch: centred unless the model is multi-label.

    A sigmoid depends on all of the evidence, a softmax on its differences only.
    """
    return list(evidence) if multi_label else [center_evidence(branch) for branch in evidence]


def spread_evidence(evidence: Tensor, window: Window, lengths: Tensor, length: int) -> Tensor:
    """Attribution of each input unit: (batch, length, labels), float64.

    Each window's evidence is shared out evenly over its units (those of the input, where the
    window is clipped), so that the sum over units equals the sum over windows.

    Args:
        evidence: (batch, positions, labels); zero at positions that do not count.
        window: The branch's window.
        lengths: (batch,), int64, number of real units of each row.
        length: Number of units to return, at least the largest of `lengths`.
    """
    batch, positions, labels = evidence.shape
    share = evidence.double() / lengths.clamp(min=1, max=window.size)[:, None, None]
    # +share where a window starts, -share where it ends; the running sum is the attribution.
    covered = window.length(positions)
    steps = share.new_zeros(batch, max(length, covered) + 1, labels)
    steps[:, : covered - window.size + 1 : window.stride] += share
    steps[:, window.size : covered + 1 : window.stride] -= share
    attribution = steps.cumsum(dim=1)[:, :length]
    real = torch.arange(length, device=evidence.device) < lengths[:, None]  # (batch, length)
    return attribution * real[..., None]


def spread_over_pixels(evidence: Tensor, window: Window, sizes: Tensor) -> Tensor:
    """Attribution of each pixel: (batch, height, width), float64.

    As `spread_evidence`, along rows and then along columns.

    Args:
        evidence: (batch, rows, columns), for one label; zero at positions that do not count.
        window: The branch's window, square.
        sizes: (batch, 2), int64, height and width of each image; the largest are returned.
    """
    height, width = sizes.amax(dim=0).tolist()
    down = spread_evidence(evidence, window, sizes[:, 0], height)  # (batch, height, columns)
    across = spread_evidence(down.transpose(1, 2), window, sizes[:, 1], width)
    return across.transpose(1, 2)


def window_overlaps(
    windows: Sequence[Window], num_positions: Sequence[int], lengths: Tensor
) -> Tensor:
    """The part of each window that lies in each other one: (batch, windows, windows), float64.

    Windows are those of all branches along one axis, branch by branch. Entry `(i, j)` is the part
    of window `i`, clipped to the input, that window `j` covers, in [0, 1]. So evidence times this
    matrix is the sum of `spread_evidence` over the units of each window.

    Args:
        windows: One window a branch.
        num_positions: Positions of each branch.
        lengths: (batch,), int64, number of real units of each row.
    """
    starts = torch.cat(
        [
            window_starts(window, positions, lengths.device)
            for window, positions in zip(windows, num_positions, strict=True)
        ]
    )
    sizes = torch.tensor([window.size for window in windows], device=lengths.device)
    sizes = sizes.repeat_interleave(torch.tensor(num_positions, device=lengths.device))
    ends = torch.minimum(starts + sizes, lengths[:, None])  # (batch, windows)
    shared = torch.minimum(ends[:, :, None], ends[:, None]) - torch.maximum(starts[:, None], starts)
    return (
        shared.clamp_(min=0).double()
        / torch.minimum(sizes, lengths[:, None].clamp(min=1))[..., None]
    )


class Runs(NamedTuple):
    """Runs of units along one axis that are covered by the same windows.

    Attributes:
        starts: (runs,), int64, first unit of each run.
        sizes: (runs,), float64, units of each.
        shares: One tensor a branch: (runs, positions), float64, the share of each window that
            one unit of the run gets; 0 outside the window.
    """

    starts: Tensor
    sizes: Tensor
    shares: list[Tensor]


def list_runs(
    windows: Sequence[Window], num_positions: Sequence[int], first: int, low: int, high: int
) -> Runs:
    """The runs of the units `[low, high)`, cut at every multiple of the first stride.

    Args:
        windows: One window a branch.
        num_positions: Positions of each branch.
        first: Unit where position 0 of every branch starts.
        low: First unit.
        high: One past the last unit.
    """
    starts = [
        first + window_starts(window, count, torch.device("cpu"))
        for window, count in zip(windows, num_positions, strict=True)
    ]
    ends = [start + window.size for start, window in zip(starts, windows, strict=True)]
    grid = torch.arange(low, high + 1, windows[0].stride)
    places = torch.cat([*starts, *ends, grid, torch.tensor([low, high])])
    edges: Tensor = places.unique()  # type: ignore[no-untyped-call]
    edges = edges[(edges >= low) & (edges <= high)]
    shares = [
        ((start <= edges[:-1, None]) & (edges[:-1, None] < end)).double() / window.size
        for start, end, window in zip(starts, ends, windows, strict=True)
    ]
    return Runs(edges[:-1], edges.diff().double(), shares)
