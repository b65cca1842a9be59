"""From evidence to patches: attribution, ranked patches, the spans to show."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .budget_anchornet import select_best_spans
from .geometry_anchornet import (
    LocatedText,
    Span,
    Window,
    count_tokens,
    spread_evidence,
    window_starts,
)


def attribute_tokens(
    evidence: Sequence[Tensor], windows: Sequence[Window], lengths: Tensor, length: int
) -> Tensor:
    """Attribution of each token, summed over branches: (batch, tokens, labels), float64.

    Args:
        evidence: One tensor a branch: (batch, positions, labels).
        windows: One window a branch.
        lengths: (batch,), int64, tokens of each text.
        length: Tokens to return, at least the largest of `lengths`.
    """
    spread = [
        spread_evidence(branch, window, lengths, length)
        for branch, window in zip(evidence, windows, strict=True)
    ]
    return torch.stack(spread).sum(dim=0)


def locate_texts(
    texts: Sequence[str],
    offsets: Sequence[Sequence[tuple[int, int]]],
    evidence: Sequence[Tensor],
    windows: Sequence[Window],
) -> list[LocatedText]:
    """Each text with what all windows put on each of its words.

    Args:
        texts: The original texts.
        offsets: Characters `[start, end)` of each token of each text.
        evidence: One tensor a branch: (batch, positions, labels).
        windows: One window a branch.
    """
    lengths = torch.tensor([len(tokens) for tokens in offsets], device=evidence[0].device)
    attribution = attribute_tokens(evidence, windows, lengths, int(lengths.max()))
    return [
        LocatedText.build(*item)
        for item in zip(texts, offsets, attribution.cpu().numpy(), strict=True)
    ]


class ShownSpan(NamedTuple):
    """Words `[first, last)` that speak for a label, and the window size they come from."""

    first: int
    last: int
    label: int
    scale: int


def show_top_spans(
    located: Sequence[LocatedText],
    evidence: Sequence[Tensor],
    windows: Sequence[Window],
    labels: Tensor,
    top_k: int,
    iou_threshold: float | Sequence[float] = 0.0,
) -> list[list[ShownSpan]]:
    """The windows with the most evidence for each label, best first, as whole words.

    Where no overlap is allowed, a span leaves a word that it shares with a better one to it. A
    window whose words speak against the label, all windows over them counted, is left out.

    Args:
        located: The texts.
        evidence: One tensor a branch: (batch, positions, labels).
        windows: One window a branch.
        labels: (batch, explained), int64, indices of the labels to explain.
        top_k: Number of spans for each label.
        iou_threshold: See `select_top_patches`.
    """
    lengths = torch.tensor([len(text.starts) for text in located], device=labels.device)
    bounds, scales = select_top_windows(evidence, windows, lengths, labels, top_k, iou_threshold)
    apart = not np.any(iou_threshold)
    shown: list[list[ShownSpan]] = [[] for _ in located]
    for row, rank in np.ndindex(*labels.shape):
        filled = (bounds[row, rank, :, 0] >= 0).nonzero()[:, 0]
        spans = located[row].snap(*bounds[row, rank, filled].cpu().numpy().T)
        kept = keep_apart(spans, len(located[row].words)) if apart else spans
        label = int(labels[row, rank])
        for span, scale in zip(kept, scales[row, rank, filled].tolist(), strict=True):
            if span is not None and located[row].attribution[slice(*span), label].sum() > 0:
                shown[row].append(ShownSpan(*span, label, scale))
    return shown


def show_best_spans(
    located: LocatedText, labels: Sequence[int], max_tokens: int, scales: Sequence[int]
) -> list[ShownSpan]:
    """The best set of spans for each label under a budget of the localizer's tokens, in order.

    Args:
        located: The text.
        labels: Indices of the labels to explain.
        max_tokens: The budget, in the localizer's own tokens.
        scales: Sizes of the candidate spans, in tokens.
    """
    costs = count_tokens(located.words, located.ends)
    candidates = located.spans(scales)
    return [
        ShownSpan(first, last, label, int(costs[first:last].sum()))
        for label in labels
        for first, last in select_best_spans(
            candidates, located.attribution[:, label], costs, max_tokens
        )
    ]


def select_top_windows(
    evidence: Sequence[Tensor],
    windows: Sequence[Window],
    lengths: Tensor,
    labels: Tensor,
    top_k: int,
    iou_threshold: float | Sequence[float] = 0.0,
) -> tuple[Tensor, Tensor]:
    """The windows with the most evidence for each label to explain, across branches.

    Windows with no evidence for the label, or evidence against it, are never selected.

    Args:
        evidence: One tensor a branch: (batch, positions, labels).
        windows: One window a branch.
        lengths: (batch,), int64, tokens of each text.
        labels: (batch, explained), int64, indices of the labels to explain.
        top_k: Number of windows for each label.
        iou_threshold: See `select_top_patches`.

    Returns:
        Token bounds `[start, end)`, clipped to the text, (batch, explained, top_k, 2), int64, -1
        where a rank is empty, and the size of the windows, (batch, explained, top_k), int64.
    """
    starts = [
        window_starts(w, e.shape[1], e.device) for w, e in zip(windows, evidence, strict=True)
    ]
    sizes = torch.cat([s.new_full(s.shape, w.size) for w, s in zip(windows, starts, strict=True)])
    low = torch.cat(starts)  # (patches,)
    high = torch.minimum(low + sizes, lengths[:, None])  # (batch, patches)
    batch, explained = labels.shape
    scores = torch.cat(tuple(evidence), dim=1).transpose(1, 2)  # (batch, labels, patches)
    scores = scores.gather(1, labels[..., None].expand(-1, -1, scores.shape[-1])).flatten(0, 1)
    high = high.repeat_interleave(explained, dim=0)  # (batch * explained, patches)
    index, filled = select_top_patches(
        scores.masked_fill(scores <= 0, -torch.inf),
        low[None, :, None],
        high[..., None],
        top_k,
        iou_threshold,
    )
    bounds = torch.stack([low[index], high.gather(1, index)], dim=-1)
    bounds = bounds.masked_fill(~filled[..., None], -1)
    return bounds.view(batch, explained, top_k, 2), sizes[index].view(batch, explained, top_k)


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
        scores: (batch, patches), at least one patch; `-inf` is never selected.
        lows: (batch or 1, patches, axes), first unit of each patch along each axis.
        highs: (batch or 1, patches, axes), one past its last unit.
        top_k: Number of patches to select, at least 1.
        iou_threshold: Largest IoU allowed, in [0, 1]; a sequence gives one for each rank.

    Returns:
        Indices of the patches, best first, (batch, top_k), int64, and whether each rank was
        filled, (batch, top_k), bool.

    Raises:
        ValueError: if `top_k` or `iou_threshold` is out of range.
    """
    limits = check_iou_threshold(iou_threshold, check_count("top_k", top_k))
    lows = lows.expand(len(scores), -1, -1)
    highs = highs.expand(len(scores), -1, -1)
    free = scores.clone()
    overlap = torch.zeros_like(scores, dtype=torch.float64)  # largest IoU with a selected patch
    indices = torch.zeros(len(scores), len(limits), dtype=torch.long, device=scores.device)
    filled = torch.zeros_like(indices, dtype=torch.bool)
    for rank, limit in enumerate(limits):
        best, index = free.masked_fill(overlap > limit, -torch.inf).max(dim=1)  # (batch,)
        found = best > -torch.inf
        if not found.any() and limit >= max(limits[rank:]):
            break
        indices[:, rank], filled[:, rank] = index, found
        # A row without a find keeps all its patches: a later rank may allow more overlap.
        free[found, index[found]] = -torch.inf
        overlap = torch.maximum(overlap, _iou_with(lows, highs, index) * found[:, None])
    return indices, filled


def check_count(name: str, count: Any) -> int:
    """The value of the option `name`, if it is a whole number of at least 1.

    Raises:
        ValueError: if it is not.
    """
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise ValueError(
            f"`{name}` must be a whole number of at least 1, got {count!r}; give such a number or "
            "leave it out."
        )
    return int(count)


def check_iou_threshold(iou_threshold: float | Sequence[float], top_k: int) -> list[float]:
    """One limit for each of the `top_k` ranks, each in [0, 1].

    Raises:
        ValueError: if a limit is no number in [0, 1] or their number is not `top_k`.
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


def _iou_with(lows: Tensor, highs: Tensor, index: Tensor) -> Tensor:
    """IoU of each patch with the one at `index` (batch,): (batch, patches), float64."""
    pick = index[:, None, None].expand(-1, 1, lows.shape[-1])
    low, high = lows.gather(1, pick), highs.gather(1, pick)  # (batch, 1, axes)
    shared = (torch.minimum(highs, high) - torch.maximum(lows, low)).clamp(min=0).prod(dim=-1)
    sizes = (highs - lows).prod(dim=-1) + (high - low).prod(dim=-1)
    return shared.double() / (sizes - shared).clamp(min=1)


def keep_apart(spans: Sequence[Span], num_words: int) -> list[Span | None]:
    """Each span's longest run of words that no earlier one has kept; `None` if there is none."""
    taken = np.zeros(num_words, dtype=bool)
    kept: list[Span | None] = []
    for first, last in spans:
        borders = np.flatnonzero(np.diff(taken[first:last], prepend=True, append=True))
        runs = first + borders.reshape(-1, 2)
        if len(runs):
            low, high = runs[np.argmax(runs[:, 1] - runs[:, 0])].tolist()
            taken[low:high] = True
        kept.append((low, high) if len(runs) else None)
    return kept
