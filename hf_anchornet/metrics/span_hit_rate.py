"""Span hit rate: how often one of the best spans overlaps a span that humans marked."""

from collections.abc import Sequence

import evaluate

from .common import ROWS, average, check_spans, describe

_CITATION = """\
@book{manning-etal-2008-introduction,
    title = {Introduction to Information Retrieval},
    author = {Manning, Christopher D. and Raghavan, Prabhakar and Sch{\\"u}tze, Hinrich},
    publisher = {Cambridge University Press},
    year = {2008},
}
"""

_INPUTS = """\
Args:
    predictions: For each document its spans `[start, end)`, best first, in characters or another
        unit: whole numbers from 0.
    references: For each document the spans that humans marked, in the same unit.
    top_k: Number of spans of each document that count (default 3).
    min_share: Minimum share of a human span that one predicted span must cover, in [0, 1]
        (default 0: one character is enough).

Returns:
    `span_hit_rate`: Share of documents in which one of the first `top_k` spans hits a human span,
        in [0, 1], higher is better; a document without a predicted span is a miss.
    `num_documents`: Number of documents in the share.
    `num_skipped`: Number of documents left out because they have no human span.

Raises:
    ValueError: A span is not two whole numbers with 0 <= start < end, no document has a human span,
        or `top_k` or `min_share` is out of range.
"""


class SpanHitRate(evaluate.Metric):
    """Share of documents in which one of the best spans overlaps a human span: success at k.

    Precision at k (Manning et al. 2008, section 8.4) is the share of k results that are relevant;
    success at k asks whether any of them is.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, _CITATION, _INPUTS, ROWS, ROWS)

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[list[float]]],
        top_k: int = 3,
        min_share: float = 0.0,
    ) -> dict[str, float]:
        if top_k < 1:
            raise ValueError(f"`top_k` must be at least 1, got {top_k}; 1 takes the best only.")
        if not 0 <= min_share <= 1:
            raise ValueError(f"`min_share` must be in [0, 1], got {min_share}; try 0.")
        hits = []
        for index, (spans, marked) in enumerate(zip(predictions, references, strict=True)):
            check_spans("predictions", index, spans)
            check_spans("references", index, marked)
            if marked:
                shares = [_share(span, human) for span in spans[:top_k] for human in marked]
                best = max(shares, default=0.0)
                hits.append(best > 0 and best >= min_share)
        return average("span_hit_rate", hits, references, "human span", "document")


def _share(span: Sequence[float], human: Sequence[float]) -> float:
    """Share of a human span that `span` covers, in [0, 1]."""
    shared = max(0.0, min(span[1], human[1]) - max(span[0], human[0]))
    return shared / (human[1] - human[0])
