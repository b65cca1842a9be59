"""From evidence to the spans of a text that an answer shows: attribution, ranking, whole words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .geometry import Window, spread_evidence
from .selection import join_branches, list_windows, round_scores, select_top_patches
from .text_budget import select_best_spans
from .text_overlap import keep_apart, merge_near
from .text_words import UNITS, LocatedText, count_tokens


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
    offsets: Sequence[Sequence[tuple[int, int]] | NDArray[np.int64]],
    evidence: Sequence[Tensor],
    windows: Sequence[Window],
) -> list[LocatedText]:
    """Each text with the attribution of its words.

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
    """Words `[first, last)` with evidence for a label, and the window size they come from."""

    first: int
    last: int
    label: int
    scale: int


class ShownText(NamedTuple):
    """The spans to show of a text.

    Attributes:
        located: The text or, of a long one, the joined blocks that hold the spans.
        spans: Ranges of its words.
        whole: (labels,), float64, sum of the absolute attribution of all words of the text; above
            0 for a label with spans.
        num_tokens: Tokens of the whole text.
    """

    located: LocatedText
    spans: Sequence[ShownSpan]
    whole: NDArray[np.float64]
    num_tokens: int

    @classmethod
    def of(cls, located: LocatedText, spans: Sequence[ShownSpan]) -> "ShownText":
        """For a text that is in memory as a whole."""
        return cls(located, spans, np.abs(located.attribution).sum(axis=0), len(located.starts))


def show_top_spans(
    located: Sequence[LocatedText],
    evidence: Sequence[Tensor],
    windows: Sequence[Window],
    labels: Tensor,
    top_k: int,
    iou_threshold: float | Sequence[float] = 0.0,
    passages: bool = False,
) -> list[list[ShownSpan]]:
    """The windows with the most evidence for each label, best first, as whole words.

    If no overlap is allowed, a word shared by two spans stays with the better one. Otherwise spans
    that overlap more than allowed as whole words are merged with the better one. Of a span that a
    blank line cuts, the part with more evidence is shown, without punctuation that belongs to what
    is around it. A window is left out if the attribution
    of its words is against the label.

    Args:
        located: The texts.
        evidence: One tensor a branch: (batch, positions, labels).
        windows: One window a branch.
        labels: (batch, explained), int64, indices of the labels to explain.
        top_k: Number of spans for each label.
        iou_threshold: See `select_top_patches`.
        passages: See `show_windows`.
    """
    lengths = torch.tensor([len(text.starts) for text in located], device=labels.device)
    bounds, scales = select_top_windows(evidence, windows, lengths, labels, top_k, iou_threshold)
    limit = float(np.max(iou_threshold))
    shown: list[list[ShownSpan]] = [[] for _ in located]
    for row, rank in np.ndindex(*labels.shape):
        if not len(located[row].words):  # blanks may be tokens, but cannot be shown
            continue
        filled = (bounds[row, rank, :, 0] >= 0).nonzero()[:, 0]
        chosen, sizes = bounds[row, rank, filled], scales[row, rank, filled]
        label = int(labels[row, rank])
        shown[row].extend(show_windows(located[row], chosen, sizes, label, limit, passages))
    return shown


def show_windows(
    located: LocatedText,
    bounds: Tensor,
    scales: Tensor,
    label: int,
    limit: float,
    passages: bool = False,
) -> list[ShownSpan]:
    """Selected windows of a text as whole words; see `show_top_spans`.

    Args:
        located: The text.
        bounds: (windows, 2), int64, tokens `[start, end)`, best first.
        scales: (windows,), int64.
        label: Index of the label to explain.
        limit: Largest IoU allowed.
        passages: Whether the spans may hold several paragraphs.
    """
    spans = located.snap(*bounds.cpu().numpy().T)
    kept = merge_near(spans, limit) if limit else keep_apart(spans, len(located.words))
    shown = []
    for span, scale in zip(kept, scales.tolist(), strict=True):
        if span is not None:
            parts = [span] if passages else located.words.split_paragraphs(*span)
            values = [located.attribution[slice(*part), label].sum() for part in parts]
            best = parts[int(np.argmax(values))]
            trimmed = located.words.trim(*best)
            if located.attribution[slice(*trimmed), label].sum() > 0:
                best = trimmed
            if max(values) > 0:
                shown.append(ShownSpan(*best, label, scale))
    return shown


def show_units(
    located: LocatedText, labels: Sequence[int], unit: str, top_k: int
) -> list[ShownSpan]:
    """The clauses or sentences with the most evidence for each label, best first.

    Their evidence is the attribution of all their words; that of all units adds up to that of the
    text.

    Args:
        located: The text.
        labels: Indices of the labels to explain.
        unit: A key of `UNITS`.
        top_k: Number of units for each label.
    """
    costs = count_tokens(located.words, located.ends)
    units, shown = located.words.cut(UNITS[unit]), list[ShownSpan]()
    for label in labels:
        values = [located.attribution[slice(*span), label].sum() for span in units]
        best = sorted(range(len(units)), key=lambda number: -values[number])[:top_k]
        shown += [
            ShownSpan(*units[number], label, int(costs[slice(*units[number])].sum()))
            for number in best
            if values[number] > 0
        ]
    return shown


def sum_passages(
    attribution: Tensor, lengths: Tensor, sizes: Sequence[int]
) -> tuple[list[Tensor], list[Window]]:
    """Passages of any size as if they were windows; their evidence is the attribution in them.

    Args:
        attribution: (batch, tokens, labels), float64, from `attribute_tokens`.
        lengths: (batch,), int64, tokens of each text.
        sizes: Sizes of the passages, in tokens; a shorter text is one passage.

    Returns:
        Evidence and windows as `show_top_spans` takes them, one a size: (batch, positions,
        labels), float64; 0 where a passage would extend beyond the end of its text.
    """
    sums = torch.nn.functional.pad(attribution.cumsum(dim=1), (0, 0, 1, 0))  # one more than tokens
    tokens, evidence = attribution.shape[1], []
    for size in sizes:
        low = torch.arange(max(1, tokens - size + 1), device=attribution.device)
        inside = low <= (lengths[:, None] - size).clamp(min=0)  # (batch, positions)
        high = (low + size).clamp(max=tokens)
        evidence.append((sums[:, high] - sums[:, low]) * inside[..., None])
    return evidence, [Window(size, 1) for size in sizes]


def show_best_spans(
    located: LocatedText,
    labels: Sequence[int],
    max_tokens: int,
    scales: Sequence[int],
    unit: str | None = None,
) -> list[ShownSpan]:
    """The best set of spans for each label under a budget of the localizer's tokens, in order.

    Args:
        located: The text.
        labels: Indices of the labels to explain.
        max_tokens: The budget, in the localizer's own tokens.
        scales: Sizes of the candidate spans, in tokens.
        unit: A key of `UNITS`, whose parts of the text are the candidates instead.
    """
    words, costs = located.words, count_tokens(located.words, located.ends)
    windows = located.spans(scales) if unit is None else words.cut(UNITS[unit])
    candidates = sorted({part for span in windows for part in words.split_paragraphs(*span)})
    return [
        ShownSpan(*part, label, int(costs[slice(*part)].sum()))
        for label in labels
        for span in select_best_spans(candidates, located.attribution[:, label], costs, max_tokens)
        for part in words.split_paragraphs(*span)
    ]


def share_evidence(shown: "ShownText", label: int) -> float:
    """The share of the evidence for a label that its shown spans carry, each word counted once."""
    carried = np.zeros(len(shown.located.words), dtype=bool)
    for span in shown.spans:
        if span.label == label:
            carried[span.first : span.last] = True
    evidence = float(shown.located.attribution[carried, label].sum())
    return evidence / float(shown.whole[label]) if carried.any() else 0.0


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
    lows, sizes = list_windows(windows, evidence)
    low = lows[:, 0]  # (patches,)
    high = torch.minimum(low + sizes, lengths[:, None])  # (batch, patches)
    batch, explained = labels.shape
    scores = join_branches(evidence).transpose(1, 2)  # (batch, labels, patches)
    scores = scores.gather(1, labels[..., None].expand(-1, -1, scores.shape[-1])).flatten(0, 1)
    high = high.repeat_interleave(explained, dim=0)  # (batch * explained, patches)
    index, filled = select_top_patches(
        round_scores(scores.masked_fill(scores <= 0, -torch.inf)),
        low[None, :, None],
        high[..., None],
        top_k,
        iou_threshold,
    )
    bounds = torch.stack([low[index], high.gather(1, index)], dim=-1)
    bounds = bounds.masked_fill(~filled[..., None], -1)
    return bounds.view(batch, explained, top_k, 2), sizes[index].view(batch, explained, top_k)
