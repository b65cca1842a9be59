"""Bootstrap intervals of the scores of explainers: how much a difference means."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.metrics.pointing_game import PointingGame
from hf_anchornet.metrics.span_iou_f1 import SpanIoUF1
from hf_anchornet.metrics.token_auprc import TokenAUPRC
from hf_anchornet.metrics.token_f1 import TokenF1

from .image_plausibility import ScoredImage, score_image_plausibility
from .records import Record
from .text_plausibility import ScoredText, choose_rationale, list_runs, smooth_scores

CONFIDENCE = 0.95
"""Share of the resamples inside an interval."""

Interval = list[float]
"""The lower and the upper end."""


def import_bootstrap() -> Callable[..., Any]:
    """SciPy's bootstrap.

    Raises:
        ImportError: SciPy is not installed.
    """
    try:
        from scipy.stats import bootstrap
    except ImportError as error:
        raise ImportError(
            "`resamples` needs SciPy; run `pip install 'hf-anchornet[eval]'`, or give 0 for scores "
            "without intervals."
        ) from error
    return bootstrap  # type: ignore[no-any-return]


def estimate_interval(
    values: NDArray[np.float64], resamples: int, statistic: Callable[..., Any] = np.mean
) -> Interval | None:
    """The percentile interval of a statistic over resampled documents; the same at each call.

    Args:
        values: (columns, documents), what the statistic takes of each document.
        resamples: Number of resamples (Efron 1979).
        statistic: Of the columns, each (..., documents), along `axis`.

    Returns:
        The interval; `None` for fewer than two documents.

    Raises:
        ImportError: SciPy is not installed.
    """
    if values.shape[1] < 2:
        return None
    found = import_bootstrap()(
        tuple(values),
        statistic,
        paired=len(values) > 1,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        batch=256,
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return [float(found.low), float(found.high)]


def list_text_intervals(
    texts: Sequence[ScoredText], smoothing: float, mass: float, resamples: int
) -> dict[str, Interval | None]:
    """Intervals of the scores of texts, by the names of `score_text_plausibility`.

    Args:
        texts: At least one has a marked word.
        smoothing: See `smooth_scores`.
        mass: See `choose_rationale`.
        resamples: Number of resamples.
    """
    each = [_score_text(text, smoothing, mass) for text in texts if text.marks.any()]
    columns = {name: np.array([[one[name] for one in each]]) for name in each[0]}
    matching = np.concatenate([columns.pop("iou_precision"), columns.pop("iou_recall")])
    return {
        **{name: estimate_interval(values, resamples) for name, values in columns.items()},
        "span_iou_f1": estimate_interval(matching, resamples, _combine_means),
    }


def list_image_intervals(
    images: Sequence[ScoredImage], resamples: int
) -> dict[str, Interval | None]:
    """Intervals of the mean scores of images, by the names of `score_image_plausibility`."""
    each = [score_image_plausibility([image]) for image in images if image.boxes]
    return {
        name: estimate_interval(np.array([[one[name] for one in each]]), resamples)
        for name in ("pointing", "energy")
    }


def list_faithfulness_intervals(
    records: Sequence[Record], resamples: int
) -> dict[str, dict[str, Interval | None]]:
    """Intervals of comprehensiveness and sufficiency, by what replaces words or cells."""
    whole = np.array([record["probs"][record["explained"]] for record in records])
    found: dict[str, dict[str, Interval | None]] = {}
    for fill in records[0]["degrees"]:
        found[fill] = {}
        for name, side in (("comprehensiveness", "without"), ("sufficiency", "only")):
            probs = np.array([record["degrees"][fill][side] for record in records])
            drops = (whole[:, None] - probs).mean(axis=1)  # (documents,)
            found[fill][name] = estimate_interval(drops[None], resamples)
    return found


def _score_text(text: ScoredText, smoothing: float, mass: float) -> dict[str, float]:
    """Scores of one text with a marked word; each mean over texts is a score of the split."""
    smooth = smooth_scores(text.scores, smoothing)
    marks = text.marks.astype(float).tolist()
    chosen = choose_rationale(smooth, mass)
    iou = _compute(SpanIoUF1, list_runs(chosen), list_runs(text.marks))
    scores = {
        "token_f1": _compute(TokenF1, chosen.astype(float).tolist(), marks)["token_f1"],
        # The mean precision leaves out texts without a chosen word.
        "iou_precision": iou["precision"] if chosen.any() else np.nan,
        "iou_recall": iou["recall"],
    }
    for prefix, values in (("", smooth), ("raw_", text.scores)):
        pointing = _compute(PointingGame, values.tolist(), marks)
        auprc = _compute(TokenAUPRC, values.tolist(), marks)
        scores[f"{prefix}pointing"] = pointing["pointing_game"]
        scores[f"{prefix}token_auprc"] = auprc["token_auprc"]
    return scores


def _compute(metric: Any, prediction: Any, reference: Any) -> dict[str, Any]:
    """Scores of one text, without the tables of `evaluate`, which take longer than the metric."""
    scores: dict[str, Any] = _make_metric(metric)._compute([prediction], [reference])
    return scores


@cache
def _make_metric(metric: Any) -> Any:
    return metric(keep_in_memory=True)


def _combine_means(
    precision: NDArray[np.float64], recall: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    """F1 of the mean precision, NaN left out, and the mean recall, as in `SpanIoUF1`."""
    known = ~np.isnan(precision)
    precise = np.nan_to_num(precision).sum(axis=axis) / np.maximum(known.sum(axis=axis), 1)
    found = recall.mean(axis=axis)
    combined: NDArray[np.float64] = 2 * precise * found / np.maximum(precise + found, 1e-300)
    return combined
