"""Parts of an input that a localizer proposes for the explanation of a classifier."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hf_anchornet.model.text_explanation import weigh_span
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_long import LONG_TEXT_CHARACTERS, LongText
from hf_anchornet.model.text_reader import join_spans, select_readable_spans
from hf_anchornet.model.text_words import LocatedText, Span, Words, count_tokens

SPANS, SENTENCES, PASSAGES, PATCHES = "spans", "sentences", "passages", "patches"
UNITS = (SPANS, SENTENCES, PASSAGES, PATCHES)
"""What a part may be; patches are of images, all others of texts."""


@dataclass(frozen=True)
class SpanLimits:
    """Which parts of a text are proposed.

    Attributes:
        units: "spans", "sentences" or "passages".
        max_parts: Most parts.
        max_tokens: Most tokens of the localizer in all spans.
        passage_tokens: Size of passages, in tokens of the localizer.
        fits: Whether the classifier can read a text as a whole.
        whole: Whether the words of the whole text are needed, not only those near the parts.
    """

    units: str
    max_parts: int
    max_tokens: int
    passage_tokens: int
    fits: Callable[[str], bool]
    whole: bool = False


def propose_spans(
    localizer: TextLocalizer, text: str, limits: SpanLimits
) -> tuple[LocatedText, list[Span]]:
    """The spans, sentences or passages with the most evidence, as much as fits, in reading order.

    They are ranked by their largest absolute evidence for any label. A long text is read block by
    block, at the memory of one; a sentence or passage across two blocks is then two.

    Args:
        localizer: The localizer.
        text: The text.
        limits: How many of which.

    Returns:
        The text or, of a long one, the joined blocks that hold the parts; and ranges of its words.
    """
    long = len(text) > LONG_TEXT_CHARACTERS
    found: list[tuple[float, int, Span]] = []
    blocks: dict[int, LocatedText] = {}
    for number, located in enumerate(_locate(localizer, text, long)):
        spans = _list_candidates(located, localizer, limits)
        weighed = [(-weigh_span(located, span), number, span) for span in spans]
        found = sorted([*found, *weighed])[: limits.max_parts]
        kept = {block for _, block, _ in found}
        blocks[number] = located
        if not limits.whole:
            blocks = {block: one for block, one in blocks.items() if block in kept}
    if not blocks:
        nothing = np.zeros((0, int(localizer.model.config.num_labels or 0)))
        return LocatedText.build(text, [], nothing), []
    order = sorted(blocks)
    sizes = [len(blocks[block].words) for block in order]
    starts = dict(zip(order, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    joined = LocatedText.join(text, [blocks[block] for block in order])
    ranked = [(first + starts[block], last + starts[block]) for _, block, (first, last) in found]
    return joined, _take_fitting(joined, ranked, limits)


def _locate(localizer: TextLocalizer, text: str, long: bool) -> Iterator[LocatedText]:
    if not long:
        yield from localizer.read([text]).locate()
        return
    read = LongText(text, localizer)
    for block in read.blocks:
        yield read.locate(block)


def _list_candidates(
    located: LocatedText, localizer: TextLocalizer, limits: SpanLimits
) -> Sequence[Span]:
    words = located.words
    if not len(words):
        return []
    if limits.units == SPANS:
        costs = count_tokens(words, located.ends)
        scales = localizer.reading_scales
        return select_readable_spans(located, costs, limits.max_tokens, scales)
    if limits.units == SENTENCES:
        start, end = words.span(0, len(words))
        part = Words(words.text[start:end], words.starts - start, words.ends - start)
        return part.sentences()
    return _cut_passages(located, limits.passage_tokens)


def _cut_passages(located: LocatedText, size: int) -> list[Span]:
    """Neighbouring passages of about `size` tokens that cover all words."""
    count = len(located.starts)
    firsts = np.arange(0, count, size)
    edges = sorted({first for first, _ in located.snap(firsts, np.minimum(firsts + size, count))})
    ends = [*edges[1:], len(located.words)]
    return list(zip([0, *edges[1:]], ends, strict=True))


def _take_fitting(located: LocatedText, ranked: Sequence[Span], limits: SpanLimits) -> list[Span]:
    """The best parts, in order, that the classifier can read together.

    If it can read none of them, as each is too long, the best one is cut at its end.
    """
    costs = count_tokens(located.words, located.ends)
    taken: list[Span] = []
    for span in ranked:
        together = sorted([*taken, span])
        spent = sum(int(costs[first:last].sum()) for first, last in together)
        if limits.units == SPANS and spent > limits.max_tokens:  # a budget for each block
            continue
        if limits.fits(join_spans(located.words, together)):
            taken = together
    if not taken and ranked:
        taken = _cut_fitting(located, ranked[0], limits)
    return taken


def _cut_fitting(located: LocatedText, span: Span, limits: SpanLimits) -> list[Span]:
    """As many of the first words of a part as the classifier can read; [] if it reads no word."""
    first, last = span

    def is_too_long(count: int) -> bool:
        return not limits.fits(join_spans(located.words, [(first, first + count)]))

    count = bisect_left(range(1, last - first + 1), True, key=is_too_long)
    return [(first, first + count)] if count else []
