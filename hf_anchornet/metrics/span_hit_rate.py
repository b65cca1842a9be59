"""Span hit rate: how often one of the best spans meets a span that humans marked."""

import math
from collections.abc import Sequence

import datasets
import evaluate

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
    predictions: For every document its spans `[start, end)`, best first, in characters or another
        unit: whole numbers from 0.
    references: For every document the spans that humans marked, in the same unit.
    top_k: Number of spans of each document that count (default 3).
    min_share: Least share of a human span that one predicted span holds to meet it, in [0, 1]
        (default 0: one character is enough).

Returns:
    `span_hit_rate`: Share of documents in which one of the first `top_k` spans meets a human span,
        in [0, 1], higher is better; a document without a predicted span is a miss.
    `num_documents`: Number of documents in the share.
    `num_skipped`: Number of documents left out, because they have no human span.

Raises:
    ValueError: A span is not two whole numbers with 0 <= start < end, no document has a human span,
        or `top_k` or `min_share` is out of range.
"""


class SpanHitRate(evaluate.Metric):
    """Share of documents in which one of the best spans meets a human span.

    Precision at k (Manning et al. 2008, section 8.4) asks how many of k results are relevant; this
    asks whether any is: success at k.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.List(datasets.Value("float64"))),
                    "references": datasets.List(datasets.List(datasets.Value("float64"))),
                }
            ),
        )

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
            _check_spans("predictions", index, spans)
            _check_spans("references", index, marked)
            if marked:
                pairs = [(span, human) for span in spans[:top_k] for human in marked]
                shares = [_share(span, human) for span, human in pairs]
                best = max(shares, default=0.0)
                hits.append(best > 0 and best >= min_share)
        if not hits:
            raise ValueError(
                "`references` must hold a span for at least one document, "
                f"got {len(references)} documents without any; check the spans column."
            )
        return {
            "span_hit_rate": sum(hits) / len(hits),
            "num_documents": len(hits),
            "num_skipped": len(references) - len(hits),
        }


def _share(span: Sequence[float], human: Sequence[float]) -> float:
    """Share of a human span that lies in `span`, in [0, 1]."""
    shared = max(0.0, min(span[1], human[1]) - max(span[0], human[0]))
    return shared / (human[1] - human[0])


def _check_spans(name: str, index: int, spans: Sequence[Sequence[float]]) -> None:
    for span in spans:
        whole = len(span) == 2 and all(
            edge is not None and math.isfinite(edge) and edge == int(edge) for edge in span
        )
        if not whole or not 0 <= span[0] < span[1]:
            raise ValueError(
                f"`{name}` must hold spans [start, end) of whole numbers with 0 <= start < end, "
                f"got {span} for document {index}; give starts and ends, not lengths."
            )
