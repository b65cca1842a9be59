"""Span IoU F1: how many selected spans overlap enough with a span that humans marked."""

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np
from numpy.typing import NDArray

from .common import ERASER, ROWS, check_disjoint_spans, describe, require_marked

_INPUTS = """\
Args:
    predictions: For each document its selected spans `[start, end)`, in any order, in words (as in
        ERASER), characters or another unit: whole numbers from 0.
    references: For each document the spans that humans marked, in the same unit.
    iou_threshold: Minimum intersection over union of a match, in (0, 1] (default 0.5).

Returns:
    `span_iou_f1`: F1 of the following two means, in [0, 1], higher is better.
    `precision`: Mean over documents with selected spans of the share of them that match a human
        span, in [0, 1].
    `recall`: Mean over documents with human spans of matching selected spans per human span, at
        most 1 per document, in [0, 1].
    `micro_f1`, `micro_precision`, `micro_recall`: The same over the pooled spans of all documents.
    `num_documents`: Number of documents with a selected or a human span.
    `num_skipped`: Number of documents without either, which change nothing.

Raises:
    ValueError: A span is not two whole numbers with 0 <= start < end, spans of one side of a
        document overlap, no document has a human span, or `iou_threshold` is out of range.
"""


class SpanIoUF1(evaluate.Metric):
    """F1 of selected spans, where a span counts if it overlaps enough with a human span.

    The IOU F1 of ERASER (DeYoung et al. 2020, section 4.1) as in `partial_match_score` of the
    authors' code: `span_iou_f1` is its "macro", which papers that use the benchmark report as IOU
    F1: the F1 of mean precision and mean recall, not the mean of F1s. `micro_f1` is its "micro".
    As in that code, precision and recall both count matching selected spans, except that a
    document's recall is at most 1: at thresholds up to 0.5, two selected halves of one human span
    would make it 2 there. All other cases agree with that code.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, ERASER, _INPUTS, ROWS, ROWS)

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[list[float]]],
        iou_threshold: float = 0.5,
    ) -> dict[str, float]:
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"`iou_threshold` must be in (0, 1], got {iou_threshold}; try 0.5.")
        counts = []
        for index, (selected, marked) in enumerate(zip(predictions, references, strict=True)):
            check_disjoint_spans("predictions", index, selected)
            check_disjoint_spans("references", index, marked)
            best = [max((_iou(span, other) for other in marked), default=0.0) for span in selected]
            counts.append([sum(iou >= iou_threshold for iou in best), len(selected), len(marked)])
        table = np.array(counts, dtype=np.float64).reshape(-1, 3)
        require_marked(bool(table[:, 2].any()), references, "human span", "document")
        used = int((table[:, 1:].sum(axis=1) > 0).sum())
        return {
            **_summarize(table),
            "num_documents": used,
            "num_skipped": len(references) - used,
        }


def _summarize(table: NDArray[np.float64]) -> dict[str, Any]:
    """Scores from matching, selected and human spans of each document, (documents, 3)."""
    matching, selected, marked = table.T
    found = np.minimum(matching, marked)
    precision = (
        float((matching / np.maximum(selected, 1))[selected > 0].mean()) if selected.any() else 0.0
    )
    recall = float((found / np.maximum(marked, 1))[marked > 0].mean())
    micro_precision = float(matching.sum() / max(selected.sum(), 1))
    micro_recall = float(found.sum() / marked.sum())
    return {
        "span_iou_f1": _f1(precision, recall),
        "precision": precision,
        "recall": recall,
        "micro_f1": _f1(micro_precision, micro_recall),
        "micro_precision": micro_precision,
        "micro_recall": micro_recall,
    }


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision and recall else 0.0


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two spans, in [0, 1]."""
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)
