"""Texts of any length at constant memory, read block by block with the result of one piece."""

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .classifier import is_multi_label
from .geometry import Window, show_evidence
from .selection import PatchPool
from .text_cuts import cut_text
from .text_localizer import TextLocalizer
from .text_spans import ShownText, attribute_tokens, show_windows, sum_passages
from .text_words import LocatedText

LONG_TEXT_CHARACTERS = 2**16
"""Texts with more characters are read block by block."""

BLOCK_CHARACTERS = 2**14
"""Fewest characters of a block, except the last."""

LENGTH_STEP = 512


class Block(NamedTuple):
    """A part of a text that cuts no word and no token: characters and tokens, half-open."""

    start: int
    end: int
    first: int
    last: int


class LongText:
    """A localized text of any length, never all at once in memory.

    The evidence of a window depends on its tokens alone. So a block that is read together with
    the tokens around it (one fewer than the largest window holds, on either side) has the evidence
    that it has in the whole text. Kept in memory: the text, 2 or 4 bytes a token and 4 numbers a
    block.

    Args:
        text: The text.
        localizer: The localizer that reads it.
        block_characters: Fewest characters of a block, except the last.

    Attributes:
        text: The text.
        ids: (tokens,), integers of 2 bytes, or 4 for a vocabulary above 65,536.
        blocks: Its blocks, in reading order; empty if the text has no token.
        logits: (1, labels).
    """

    def __init__(
        self, text: str, localizer: TextLocalizer, block_characters: int = BLOCK_CHARACTERS
    ) -> None:
        self.text = text
        self.localizer = localizer
        self.windows: tuple[Window, ...] = localizer.windows
        self.ids, self.blocks = self._tokenize(block_characters)
        self.logits = self._sum_up()

    def _tokenize(self, size: int) -> tuple[NDArray[Any], list[Block]]:
        def tokenize(texts: list[str]) -> list[list[int]]:
            ids: list[list[int]] = self.localizer.tokenize(texts)["input_ids"]
            return ids

        bounds = cut_text(self.text, size, tokenize)
        # Two bytes a token if they suffice, and no second copy.
        known, blocks = array("H" if len(self.localizer.tokenizer) <= 2**16 else "i"), []
        for start, end in pairwise(bounds):
            (ids,) = tokenize([self.text[start:end]])
            if ids:
                blocks.append(Block(start, end, len(known), len(known) + len(ids)))
                known.extend(ids)
        return np.array(known), blocks

    def _sum_up(self) -> Tensor:
        """Bias and all evidence: (1, labels)."""
        device = self.localizer.model.device
        nothing = torch.zeros(1, 1, dtype=torch.long, device=device)
        with torch.no_grad():
            empty: Tensor = self.localizer.network(nothing, nothing).logits
        total = empty.double()
        for block in self.blocks:
            evidence, low = self.weigh(block, 0)
            for branch, window in zip(evidence, self.windows, strict=True):
                owned = _own(block.first, block.last, low, window.stride)
                total = total + branch[:, owned].double().sum(dim=1)
        return total.to(empty.dtype)

    @torch.no_grad()
    def weigh(self, block: Block, beyond: int) -> tuple[list[Tensor], int]:
        """Evidence of every window that touches a block or the `beyond` tokens after it.

        Returns:
            One tensor a branch, (1, positions, labels), and the token where position 0 starts.
        """
        largest = max(window.size for window in self.windows)
        stride = math.lcm(*(window.stride for window in self.windows))
        low = max(0, block.first - largest + 1) // stride * stride
        ids = self.ids[low : block.last + beyond + largest - 1]
        # Padded to few lengths: oneDNN caches up to 100 kB for each.
        given = np.zeros((2, 1, -(-len(ids) // LENGTH_STEP) * LENGTH_STEP), dtype=np.int64)
        given[0, 0, : len(ids)], given[1, 0, : len(ids)] = ids, 1
        tokens, mask = torch.from_numpy(given).to(self.localizer.model.device)
        output = self.localizer.network(tokens, mask, output_evidence=True)
        # The network takes the block for a whole text and divides by its number of positions.
        evidence = [
            branch * (int(counted.sum()) / max(1, window.num_positions(len(self.ids))))
            for branch, counted, window in zip(
                output.evidence, output.masks, self.windows, strict=True
            )
        ]
        return evidence, low

    def _attribute(self, block: Block, beyond: int) -> tuple[list[Tensor], int, Tensor]:
        """Shown evidence as `weigh`, and the attribution of the tokens from the block's first.

        The last is (tokens, labels), float64, and complete for the `beyond` tokens after the block.
        """
        evidence, low = self.weigh(block, beyond)
        evidence = show_evidence(evidence, is_multi_label(self.localizer.model))
        count = min(len(self.ids), block.last + beyond) - low
        length = len(self.ids[low : block.last + beyond + max(w.size for w in self.windows) - 1])
        lengths = torch.tensor([length], device=evidence[0].device)
        (tokens,) = attribute_tokens(evidence, self.windows, lengths, length)
        return evidence, low, tokens[block.first - low : count]

    def locate(self, block: Block) -> LocatedText:
        """A block with the attribution of its words; offsets are those of the whole text."""
        return self._place(block, self._attribute(block, 0)[2])

    def _place(self, block: Block, attribution: Tensor) -> LocatedText:
        part = self.text[block.start : block.end]
        (bounds,) = self.localizer.tokenize([part])["offset_mapping"]
        found = LocatedText.build(part, bounds, attribution.cpu().numpy())
        return found.within(self.text, block.start)

    def choose(
        self, labels: Sequence[int], scales: Sequence[int], top_k: int
    ) -> tuple[list[PatchPool], NDArray[np.float64]]:
        """Enough windows to hold the best `top_k` for each label, and the absolute attribution.

        Args:
            labels: Indices of the labels to explain.
            scales: Sizes of the spans, in tokens; if one is not a window of the model, of passages.
            top_k: Number of spans for each label.

        Returns:
            One pool a label, and the absolute attribution of all words, (labels of the model,).
        """
        sizes = {window.size for window in self.windows}
        passages = [] if sizes.issuperset(scales) else [Window(n, 1) for n in sorted(set(scales))]
        branches = [i for i, window in enumerate(self.windows) if window.size in scales]
        windows = passages or [self.windows[i] for i in branches]
        pools = [PatchPool(windows, 1, top_k) for _ in labels]
        whole = np.zeros(self.logits.shape[-1])
        beyond = max((window.size - 1 for window in passages), default=0)
        for block in self.blocks:
            evidence, low, tokens = self._attribute(block, beyond)
            count = block.last - block.first
            whole += np.abs(self._place(block, tokens[:count]).attribution).sum(axis=0)
            candidates = (
                _list_passages(tokens, passages, count, block.first)
                if passages
                else _list_windows([evidence[i][0] for i in branches], windows, low, block)
            )
            for branch, (scores, starts) in enumerate(candidates):
                for pool, label in zip(pools, labels, strict=True):
                    wanted = scores[:, label]
                    for_it = wanted.masked_fill(wanted <= 0, -torch.inf)
                    pool.add(branch, for_it, starts[:, None], wanted)
        return pools, whole

    def show(
        self,
        labels: Sequence[int],
        scales: Sequence[int],
        top_k: int,
        iou_threshold: float | Sequence[float],
    ) -> ShownText:
        """The spans with the most evidence for each label; see `show_top_spans`.

        Args:
            labels: Indices of the labels to explain.
            scales: Sizes of the spans; see `choose`.
            top_k: Number of spans for each label.
            iou_threshold: See `select_top_patches`.
        """
        pools, whole = self.choose(labels, scales, top_k)
        bounds, sizes = [], []
        for pool in pools:
            index, filled = pool.select(iou_threshold, (len(self.ids),))
            low, size = pool.starts[index[filled], 0], pool.sizes[index[filled]]
            bounds.append(torch.stack([low, (low + size).clamp(max=len(self.ids))], dim=-1))
            sizes.append(size)
        if not any(map(len, bounds)):
            nothing = LocatedText.build("", [], np.zeros((0, len(whole)))).within(self.text, 0)
            return ShownText(nothing, [], whole, len(self.ids))
        located, bounds = self._gather(bounds)
        limit = float(np.max(iou_threshold))
        passages = bool(set(scales) - {window.size for window in self.windows})
        spans = [
            span
            for label, places, size in zip(labels, bounds, sizes, strict=True)
            for span in show_windows(located, places, size, label, limit, passages)
        ]
        return ShownText(located, spans, whole, len(self.ids))

    def _gather(self, bounds: Sequence[Tensor]) -> tuple[LocatedText, list[Tensor]]:
        """The blocks that hold these spans, joined, and the spans in tokens of the joined blocks.

        Args:
            bounds: For each label (spans, 2), int64, tokens `[start, end)` of the text.
        """
        firsts = torch.tensor([block.first for block in self.blocks])
        needed: set[int] = set()
        for spans in bounds:
            ends = torch.searchsorted(firsts, spans - torch.tensor([0, 1]), right=True) - 1
            needed.update(index for low, high in ends.tolist() for index in range(low, high + 1))
        kept = [self.blocks[index] for index in sorted(needed)]
        located = LocatedText.join(self.text, [self.locate(block) for block in kept])
        starts = torch.tensor([block.first for block in kept])
        counts = torch.tensor([block.last - block.first for block in kept])
        skipped = starts - (counts.cumsum(dim=0) - counts)  # tokens left out before each block
        return located, [
            spans - skipped[torch.searchsorted(starts, spans[:, :1].contiguous(), right=True) - 1]
            for spans in bounds
        ]


def _own(first: int, last: int, low: int, stride: int) -> slice:
    """Positions, counted from token `low`, whose windows start in `[first, last)`."""
    return slice(-(-(first - low) // stride), -(-(last - low) // stride))


def _list_windows(
    evidence: Sequence[Tensor], windows: Sequence[Window], low: int, block: Block
) -> Iterator[tuple[Tensor, Tensor]]:
    """Evidence, (windows, labels), and first token of the windows that start in a block."""
    for branch, window in zip(evidence, windows, strict=True):
        owned = _own(block.first, block.last, low, window.stride)
        starts = torch.arange(len(branch), device=branch.device) * window.stride + low
        yield branch[owned], starts[owned]


def _list_passages(
    tokens: Tensor, passages: Sequence[Window], count: int, first: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """As `_list_windows`, for passages of any size that start in the first `count` tokens."""
    lengths = torch.tensor([len(tokens)], device=tokens.device)
    sums, _ = sum_passages(tokens[None], lengths, [passage.size for passage in passages])
    for branch, passage in zip(sums, passages, strict=True):
        inside = min(count, max(int(first == 0), len(tokens) - passage.size + 1))
        yield branch[0, :inside], torch.arange(inside, device=tokens.device) + first
