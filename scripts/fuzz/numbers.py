"""Checks of geometry, selection and boxes on random cases, against slow arithmetic.

A check takes bytes, which seed its random numbers, and returns the number of cases that it tried.
A fault raises an `AssertionError`.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hf_anchornet.model.geometry import (
    Window,
    receptive_windows,
    spread_evidence,
    spread_over_pixels,
    valid_positions,
)
from hf_anchornet.model.image_boxes import ImageEvidence
from hf_anchornet.model.image_processing_anchornet import restore_boxes
from hf_anchornet.model.selection import select_top_patches
from hf_anchornet.model.text_budget import select_best_spans

ROWS = 256
"""Cases in one batch of tensors."""
BUDGET_CASES = 8
TOLERANCE = 1e-9


def check_geometry(data: bytes) -> int:
    """Windows against a walk down the layers; valid windows and attribution against sums."""
    rng = np.random.default_rng(list(data))
    layers = _draw_layers(rng, int(rng.integers(0, 5)))
    windows = receptive_windows(*([layer[i] for layer in layers] for i in range(3)))
    _check_windows(rng, layers, windows)
    window = windows[-1]
    lengths = rng.integers(0, window.size + 48, ROWS)
    _check_spread(rng, window, lengths)
    return len(windows) + ROWS + (_check_pixels(rng, window) if window.size <= 24 else 0)


def _draw_layers(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """Kernel size, stride and dilation of each layer."""
    drawn = rng.integers(1, (6, 4, 4), (count, 3)).tolist()
    return [(kernel, stride, dilation) for kernel, stride, dilation in drawn]


def _check_windows(
    rng: np.random.Generator, layers: list[tuple[int, int, int]], windows: tuple[Window, ...]
) -> None:
    """Each window is the receptive field of a position, and convolutions give as many."""
    for depth, window in enumerate(windows):
        low = high = position = int(rng.integers(0, 100))
        for kernel, stride, dilation in layers[:depth][::-1]:
            low, high = low * stride, high * stride + (kernel - 1) * dilation
        assert (low, high + 1) == (position * window.stride, low + window.size)
        length = count = int(rng.integers(window.size, window.size + 200))
        for kernel, stride, dilation in layers[:depth]:
            count = (count - (kernel - 1) * dilation - 1) // stride + 1
        assert window.num_positions(length) == count
        assert window.length(count) <= length < window.length(count + 1)
        assert window.num_positions(window.size - 1) == 0


def _cover(window: Window, positions: int, lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each unit in each window, (rows, positions, units); 0 in invalid windows."""
    first = np.arange(positions)[:, None] * window.stride
    unit = np.arange(max(int(lengths.max()), 1))
    ends = np.minimum(first + window.size, lengths[:, None, None])
    inside = (unit >= first) & (unit < ends)
    whole = first + window.size <= lengths[:, None, None]
    clipped = (first == 0) & (lengths[:, None, None] < window.size)
    counted: NDArray[np.float64] = inside * (whole | clipped)
    return counted / np.clip(lengths, 1, window.size)[:, None, None]


def _check_spread(rng: np.random.Generator, window: Window, lengths: NDArray[np.int64]) -> None:
    length = int(max(lengths.max(), window.size))
    positions = window.num_positions(length)
    cover = _cover(window, positions, lengths)
    mask = torch.from_numpy(np.arange(length) < lengths[:, None])
    valid = valid_positions(mask, window).numpy()
    assert (valid == (cover.sum(axis=2) > 0)).all()
    evidence = rng.normal(size=(len(lengths), positions, 1)) * valid[..., None]
    spread = spread_evidence(
        torch.from_numpy(evidence), window, torch.from_numpy(lengths), cover.shape[2]
    )
    expected = np.einsum("bp,bpu->bu", evidence[..., 0], cover)
    assert np.allclose(spread[..., 0].numpy(), expected, rtol=0, atol=TOLERANCE)


def _check_pixels(rng: np.random.Generator, window: Window) -> int:
    sizes = rng.integers(window.size, window.size + 12, (8, 2))
    rows, columns = (window.num_positions(int(most)) for most in sizes.max(axis=0))
    down, across = _cover(window, rows, sizes[:, 0]), _cover(window, columns, sizes[:, 1])
    valid = (down.sum(axis=2) > 0)[:, :, None] & (across.sum(axis=2) > 0)[:, None]
    evidence = rng.normal(size=(len(sizes), rows, columns)) * valid
    spread = spread_over_pixels(torch.from_numpy(evidence), window, torch.from_numpy(sizes))
    expected = np.einsum("brc,brh,bcw->bhw", evidence, down, across)
    assert np.allclose(spread.numpy(), expected, rtol=0, atol=TOLERANCE)
    return len(sizes)


def check_selection(data: bytes) -> int:
    """Ranked patches against a greedy search, sets of spans against all subsets."""
    rng = np.random.default_rng(list(data))
    _check_top_patches(rng)
    for _ in range(BUDGET_CASES):
        _check_budget(rng)
    return ROWS + BUDGET_CASES


def _check_top_patches(rng: np.random.Generator) -> None:
    patches, axes, top_k = (int(number) for number in rng.integers(1, (17, 3, 6)))
    lows = rng.integers(0, 12, (int(rng.choice([1, ROWS])), patches, axes))
    highs = lows + rng.integers(1, 9, lows.shape)
    # Few values: many ties.
    scores = rng.integers(-3, 4, (ROWS, patches)).astype(np.float64)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    limits = rng.choice([0, 0.25, 1 / 3, 0.5, 1], top_k)
    if rng.random() < 0.5:
        limits[:] = limits[0]
    limit = float(limits[0]) if (limits == limits[0]).all() else limits.tolist()
    tensors = [torch.from_numpy(array) for array in (scores, lows, highs)]
    ranked = select_top_patches(tensors[0], tensors[1], tensors[2], top_k, limit)
    index, filled = (found.numpy() for found in ranked)
    shape = (ROWS, patches, axes)
    follow_ranks(scores, np.broadcast_to(lows, shape), np.broadcast_to(highs, shape), limits)(
        index, filled
    )


def follow_ranks(
    scores: NDArray[np.float64],
    lows: NDArray[np.int64],
    highs: NDArray[np.int64],
    limits: NDArray[np.float64],
) -> Callable[[NDArray[np.int64], NDArray[np.bool_]], None]:
    """A check that each rank is the best patch that its limit allows.

    Args:
        scores: (rows, patches), `-inf` for one that must not be chosen.
        lows: (rows, patches, axes), first unit of each patch along each axis.
        highs: As `lows`, one past the last unit.
        limits: (ranks,), the largest IoU allowed with a better rank.

    Returns:
        A function of the chosen indices and of the mask of filled ranks, both (rows, ranks).
    """

    def follow(index: NDArray[np.int64], filled: NDArray[np.bool_]) -> None:
        rows, overlap, free = np.arange(len(scores)), np.zeros(scores.shape), scores.copy()
        area = (highs - lows).prod(axis=2)
        for rank, limit in enumerate(limits):
            allowed = np.where(overlap > limit, -np.inf, free)
            chosen, found = index[:, rank], filled[:, rank]
            best = allowed.max(axis=1)
            assert (found == (best > -np.inf)).all(), "a rank is empty while a patch is free"
            assert (allowed[rows, chosen] == best)[found].all(), "a better patch was left out"
            free[rows[found], chosen[found]] = -np.inf
            sides = np.minimum(highs, highs[rows, chosen][:, None]) - np.maximum(
                lows, lows[rows, chosen][:, None]
            )
            shared = sides.clip(min=0).prod(axis=2)
            iou = shared / (area + area[rows, chosen][:, None] - shared)
            overlap = np.where(found[:, None], np.maximum(overlap, iou), overlap)

    return follow


def _check_budget(rng: np.random.Generator) -> None:
    words, count, budget = (int(number) for number in rng.integers(0, (9, 7, 16)))
    values = rng.integers(-4, 9, words + 1).astype(np.float64)
    costs = rng.integers(0, 5, words + 1)
    firsts = rng.integers(0, words + 1, count)
    spans = [(int(low), int(rng.integers(low, words + 1)) + 1) for low in firsts]
    chosen = select_best_spans(spans, values, costs, budget)
    edges = [edge for span in chosen for edge in span]
    assert edges == sorted(set(edges)), "spans must rise without touching"
    got = sum(values[low:high].sum() for low, high in chosen)
    assert sum(max(1, costs[low:high].sum()) for low, high in chosen) <= max(budget, 0)
    best = 0.0
    for size in range(1, count + 1):
        for subset in itertools.combinations(sorted(spans), size):
            apart = all(one[1] <= other[0] for one, other in itertools.pairwise(subset))
            price = sum(max(1, costs[low:high].sum()) for low, high in subset)
            if apart and price <= budget:
                worth = [values[low:high].sum() for low, high in subset]
                best = max(best, sum(worth) if min(worth) > 0 else 0.0)
    assert got == best, f"spans worth {got}, {best} is possible"


class _Images(NamedTuple):
    """A batch of random evidence and its labels."""

    evidence: ImageEvidence
    labels: torch.Tensor


def check_boxes(data: bytes) -> int:
    """Boxes of random evidence against attribution maps, and their mapping to the picture."""
    rng = np.random.default_rng(list(data))
    images = _draw_images(rng)
    sizes = images.evidence.sizes
    top_k, limit = int(rng.integers(1, 6)), float(rng.choice([0, 0.3, 1]))
    ranked = images.evidence.select(top_k, limit, None, images.labels)
    boxes, filled = ranked.boxes.numpy(), ranked.filled.numpy()
    maps = images.evidence.attribute(images.labels).numpy()
    for row, rank in np.argwhere(filled):
        x0, y0, x1, y1 = boxes[row, rank]
        assert 0 <= x0 < x1 <= sizes[row, 1]
        assert 0 <= y0 < y1 <= sizes[row, 0]
        assert x1 - x0 == y1 - y0 == ranked.scales[row, rank]
        evidence = float(ranked.evidence[row, rank])
        assert evidence > 0
        assert abs(maps[row, y0:y1, x0:x1].sum() - evidence) < TOLERANCE
    for row in np.flatnonzero(filled.sum(axis=1) > 1):
        _check_apart(boxes[row][filled[row]], limit)
    return len(boxes) + _check_restored(rng)


def _check_apart(boxes: NDArray[np.int64], limit: float) -> None:
    for one, other in itertools.combinations(boxes.tolist(), 2):
        sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
        shared = max(0, sides[0]) * max(0, sides[1])
        whole = sum((box[2] - box[0]) ** 2 for box in (one, other)) - shared
        assert shared <= limit * whole + TOLERANCE
        assert one != other


def _draw_images(rng: np.random.Generator) -> _Images:
    stride, count = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    windows = [Window(int(size), stride) for size in np.sort(rng.choice(11, count, False) + 1)]
    largest = windows[-1].size
    sizes = torch.from_numpy(rng.integers(largest, largest + 16, (16, 2)))
    evidence, masks = [], []
    height, width = sizes.amax(dim=0).tolist()
    for window in windows:
        rows, columns = window.num_positions(height), window.num_positions(width)
        down = torch.arange(rows) * stride + window.size <= sizes[:, :1]
        across = torch.arange(columns) * stride + window.size <= sizes[:, 1:]
        mask = down[:, :, None] & across[:, None]
        branch = torch.from_numpy(rng.normal(size=(len(sizes), rows, columns, 2)))
        evidence.append(branch * mask[..., None])
        masks.append(mask)
    labels = torch.from_numpy(rng.integers(0, 2, len(sizes)))
    return _Images(ImageEvidence(evidence, masks, windows, sizes), labels)


def _check_restored(rng: np.random.Generator) -> int:
    """Boxes are widened to whole pixels of the original picture and stay inside it."""
    model_size = rng.integers(1, 4096, 2)  # height, width
    size = rng.integers(1, 60000, 2)  # width, height
    ends = np.tile(model_size[::-1], (ROWS, 1))
    low = rng.integers(0, ends)
    high = rng.integers(low, ends) + 1
    boxes = np.concatenate([low, high], axis=1)
    height, width = model_size.tolist()
    restored = np.array(restore_boxes(boxes, (height, width), (int(size[0]), int(size[1]))))
    assert (restored[:, :2] == low * size // ends).all()
    assert (restored[:, 2:] == -(-high * size // ends)).all()
    return ROWS
