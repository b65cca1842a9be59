"""Plausibility of word scores: comparison with the spans that people marked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.metrics.character_f1 import CharacterF1
from hf_anchornet.metrics.common import compute_in_memory
from hf_anchornet.metrics.pointing_game import PointingGame
from hf_anchornet.metrics.span_iou_f1 import SpanIoUF1
from hf_anchornet.metrics.span_jaccard import SpanJaccard
from hf_anchornet.metrics.token_auprc import TokenAUPRC
from hf_anchornet.metrics.token_f1 import TokenF1
from hf_anchornet.model.text_budget import merge_spans
from hf_anchornet.model.text_words import Span, Words

MASSES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the positive scores at which hard rationales are reported."""


@dataclass(frozen=True)
class ScoredText:
    """A text, a score per word for one label, and the spans that people marked.

    Attributes:
        words: The words of the text.
        scores: (words,), float64, finite.
        spans: `[start, end)` in characters, in reading order, disjoint.
    """

    words: Words
    scores: NDArray[np.float64]
    spans: Sequence[Span]

    @cached_property
    def marks(self) -> NDArray[np.bool_]:
        """Whether each word overlaps a human span: (words,)."""
        marked = np.zeros(len(self.words), dtype=bool)
        for start, end in self.spans:
            marked |= (self.words.starts < end) & (self.words.ends > start)
        return marked


def check_spans(spans: Sequence[Sequence[int]], text: str, name: str) -> list[Span]:
    """Human spans in reading order, merged where they touch or overlap.

    Args:
        spans: `[start, end)` in characters of the text.
        text: The text.
        name: Name of the spans in an error: a column and a row.

    Raises:
        ValueError: if a span is not two whole numbers with 0 <= start < end <= characters.
    """
    if not isinstance(spans, Sequence) or isinstance(spans, str):
        raise ValueError(f"{name} must hold a list of spans [start, end), got {spans!r}; nest it.")
    for span in spans:
        pair = isinstance(span, Sequence) and not isinstance(span, str) and len(span) == 2
        whole = pair and all(isinstance(edge, Integral) for edge in span)
        if not whole or not 0 <= span[0] < span[1] <= len(text):
            raise ValueError(
                f"{name} must hold spans [start, end) with 0 <= start < end <= {len(text)}, the "
                f"characters of its text, got {span}; repair or drop that row."
            )
    return merge_spans([(int(start), int(end)) for start, end in spans])


def smooth_scores(scores: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Scores smoothed by a Gaussian over neighbouring words: (words,); zeros beyond the ends.

    People mark phrases and sentences, models often a single word of them.

    Args:
        scores: (words,).
        width: Standard deviation of the Gaussian in words, truncated at four; 0: no smoothing.

    Raises:
        ImportError: SciPy is not installed.
    """
    if width == 0 or not len(scores):
        return scores
    try:
        from scipy.ndimage import gaussian_filter1d
    except ImportError as error:
        raise ImportError(
            "`smoothing` needs SciPy; run `pip install 'hf-anchornet[eval]'`."
        ) from error
    smooth: NDArray[np.float64] = gaussian_filter1d(scores, width, mode="constant")
    return smooth


def choose_rationale(scores: NDArray[np.float64], mass: float) -> NDArray[np.bool_]:
    """The fewest words that hold a share of the positive scores: (words,), a hard rationale.

    A word without a positive score is never chosen; ties are broken in reading order.

    Args:
        scores: (words,).
        mass: The share, in (0, 1].
    """
    positive = scores.clip(min=0)
    order = np.argsort(-positive, kind="stable")
    reached = positive[order].cumsum()
    chosen = np.zeros(len(scores), dtype=bool)
    if len(scores) and reached[-1] > 0:
        # Slightly less than the share: sums of floats may fall just short of it.
        count = int(np.searchsorted(reached, mass * reached[-1] * (1 - 1e-9))) + 1
        chosen[order[:count]] = True
    return chosen & (scores > 0)


def list_runs(chosen: NDArray[np.bool_]) -> list[Span]:
    """Ranges `[first, last)` of consecutive chosen words, in reading order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [(first, last) for first, last in edges.reshape(-1, 2).tolist()]


def score_text_plausibility(
    texts: Sequence[ScoredText], smoothing: float, mass: float
) -> dict[str, Any]:
    """Agreement of word scores with human spans, over the texts in which a word is marked.

    Args:
        texts: At least one has a marked word.
        smoothing: See `smooth_scores`.
        mass: See `choose_rationale`.

    Returns:
        For the smoothed scores `pointing` and `token_auprc`, for the raw ones `raw_pointing` and
        `raw_token_auprc`. For the hard rationale of the smoothed scores `token_f1`,
        `token_precision`, `token_recall`, `span_iou_f1` (runs of words), `character_f1` and
        `span_jaccard` (widened to white space), and `by_mass`, the same at each of `MASSES`. All in
        [0, 1], higher is better. Also the shares of words `marked_share` and `chosen_share`, and
        `num_documents`.

    Raises:
        ImportError: scikit-learn or SciPy is not installed.
        ValueError: if a score is not finite or no text has a marked word.
    """
    texts = [text for text in texts if text.marks.any()]
    smooth = [smooth_scores(text.scores, smoothing) for text in texts]
    marks = [text.marks.astype(np.float64) for text in texts]
    scores: dict[str, Any] = {"num_documents": len(texts)}
    for prefix, values in (("", smooth), ("raw_", [text.scores for text in texts])):
        pointing = compute_in_memory(PointingGame, values, marks)
        auprc = compute_in_memory(TokenAUPRC, values, marks)
        scores[f"{prefix}pointing"] = pointing["pointing_game"]
        scores[f"{prefix}token_auprc"] = auprc["token_auprc"]
    chosen = [choose_rationale(values, mass) for values in smooth]
    return {
        **scores,
        **_score_rationales(texts, chosen),
        "by_mass": {
            str(share): _score_rationales(texts, [choose_rationale(s, share) for s in smooth])
            for share in MASSES
        },
        "marked_share": float(np.mean([text.marks.mean() for text in texts])),
        "chosen_share": float(np.mean([each.mean() for each in chosen])),
    }


def _score_rationales(
    texts: Sequence[ScoredText], chosen: Sequence[NDArray[np.bool_]]
) -> dict[str, float]:
    """Scores of hard rationales, see `score_text_plausibility`."""
    masks = [each.astype(np.float64) for each in chosen]
    runs = [list_runs(each) for each in chosen]
    spans = [
        [text.words.span(*run) for run in each] for text, each in zip(texts, runs, strict=True)
    ]
    tokens = compute_in_memory(TokenF1, masks, [text.marks.astype(np.float64) for text in texts])
    iou = compute_in_memory(SpanIoUF1, runs, [list_runs(text.marks) for text in texts])
    characters = compute_in_memory(CharacterF1, spans, [text.spans for text in texts])
    jaccard = compute_in_memory(
        SpanJaccard,
        [
            _cut_out(text.words.text, _widen(text.words.text, each))
            for text, each in zip(texts, spans, strict=True)
        ],
        [_cut_out(text.words.text, text.spans) for text in texts],
    )
    return {
        "token_f1": tokens["token_f1"],
        "token_precision": tokens["precision"],
        "token_recall": tokens["recall"],
        "span_iou_f1": iou["span_iou_f1"],
        "character_f1": characters["character_f1"],
        "span_jaccard": jaccard["span_jaccard"],
    }


def _widen(text: str, spans: Sequence[Span]) -> list[Span]:
    """Spans widened to white space, where the Jaccard index splits words."""
    whole = [match.span() for match in re.finditer(r"\S+", text)]
    return [
        (first, last)
        for first, last in whole
        if any(start < last and end > first for start, end in spans)
    ]


def _cut_out(text: str, spans: Sequence[Span]) -> str:
    """Text of the spans, joined by spaces."""
    return " ".join(text[start:end] for start, end in spans)
