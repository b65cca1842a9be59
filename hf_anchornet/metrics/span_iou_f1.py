"""Span IoU F1: how many chosen spans lie about where humans marked one."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

_CITATION = """\
@inproceedings{deyoung-etal-2020-eraser,
    title = {{ERASER}: A Benchmark to Evaluate Rationalized {NLP} Models},
    author = {DeYoung, Jay and Jain, Sarthak and Rajani, Nazneen Fatema and Lehman, Eric and
              Xiong, Caiming and Socher, Richard and Wallace, Byron C.},
    booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
                 Linguistics},
    year = {2020},
}
"""

_INPUTS = """\
Args:
    predictions: For every document its chosen spans `[start, end)`, in any order, in words (as in
        ERASER), characters or another unit: whole numbers from 0.
    references: For every document the spans that humans marked, in the same unit.
    iou_threshold: Least intersection over union of a match, in (0, 1] (default 0.5).

Returns:
    `span_iou_f1`: F1 of the two means that follow, in [0, 1], higher is better.
    `precision`: Mean over documents with chosen spans of the share of these that match a human
        span, in [0, 1].
    `recall`: Mean over documents with human spans of matching chosen spans per human span, at most
        1 a document, in [0, 1].
    `micro_f1`, `micro_precision`, `micro_recall`: The same of all spans of all documents together.
    `num_documents`: Number of documents with a chosen or a human span.
    `num_skipped`: Number of documents without either, which change nothing.

Raises:
    ValueError: A span is not two whole numbers with 0 <= start < end, spans of one side of a
        document overlap, no document has a human span, or `iou_threshold` is out of range.
"""


class SpanIoUF1(evaluate.Metric):
    """F1 of chosen spans, of which those count that overlap enough with a human span.

    The IOU F1 of ERASER (DeYoung et al. 2020, section 4.1) as in `partial_match_score` of the
    authors' code: `span_iou_f1` is its "macro", which papers that use the benchmark print as IOU
    F1: the F1 of mean precision and mean recall, not the mean of F1s. `micro_f1` is its "micro".
    Precision and recall both count chosen spans that match, as there, except that a document's
    recall is at most 1: at thresholds up to 0.5, two chosen halves of one human span would make it
    2 there. Other cases give what that code gives.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    # An integer type would silently cut an offset of 0.5 down to 0.
                    "predictions": datasets.List(datasets.List(datasets.Value("float64"))),
                    "references": datasets.List(datasets.List(datasets.Value("float64"))),
                }
            ),
        )

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[list[float]]],
        iou_threshold: float = 0.5,
    ) -> dict[str, float]:
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"`iou_threshold` must be in (0, 1], got {iou_threshold}; try 0.5.")
        counts = []
        for index, (chosen, marked) in enumerate(zip(predictions, references, strict=True)):
            _check_spans("predictions", index, chosen)
            _check_spans("references", index, marked)
            best = [max((_iou(span, other) for other in marked), default=0.0) for span in chosen]
            counts.append([sum(iou >= iou_threshold for iou in best), len(chosen), len(marked)])
        table = np.array(counts, dtype=np.float64).reshape(-1, 3)
        if not table[:, 2].any():
            raise ValueError(
                "`references` must hold a span for at least one document, "
                f"got {len(references)} documents without any; check the spans column."
            )
        used = int((table[:, 1:].sum(axis=1) > 0).sum())
        return {
            **_summarize(table),
            "num_documents": used,
            "num_skipped": len(references) - used,
        }


def _summarize(table: NDArray[np.float64]) -> dict[str, Any]:
    """The numbers from matching, chosen and human spans of each document, (documents, 3)."""
    matching, chosen, marked = table.T
    found = np.minimum(matching, marked)
    precision = (
        float((matching / np.maximum(chosen, 1))[chosen > 0].mean()) if chosen.any() else 0.0
    )
    recall = float((found / np.maximum(marked, 1))[marked > 0].mean())
    micro_precision = float(matching.sum() / max(chosen.sum(), 1))
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


def _check_spans(name: str, index: int, spans: Sequence[Sequence[float]]) -> None:
    for span in spans:
        whole = len(span) == 2 and all(x is not None and float(x).is_integer() for x in span)
        if not whole or not 0 <= span[0] < span[1]:
            raise ValueError(
                f"`{name}` must hold spans [start, end) of whole numbers with 0 <= start < end, "
                f"got {span} in document {index}; leave empty spans out."
            )
    for first, second in pairwise(sorted(spans, key=lambda span: span[0])):
        if first[1] > second[0]:
            raise ValueError(
                f"`{name}` must not overlap within a document, got {first} and {second} in "
                f"document {index}; merge them."
            )
