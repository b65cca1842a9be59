"""Report on explainers from their records: plausibility, faithfulness and cost of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.metrics.common import compute_in_memory
from hf_anchornet.metrics.expected_calibration_error import ExpectedCalibrationError
from hf_anchornet.metrics.faithfulness import Faithfulness
from hf_anchornet.model.text_words import Words

from .image_plausibility import ScoredImage, score_image_plausibility
from .intervals import list_faithfulness_intervals, list_image_intervals, list_text_intervals
from .records import Record
from .text_plausibility import ScoredText, score_text_plausibility


class ExplanationSummary:
    """Records of one split, collected as they come.

    Args:
        smoothing: Of word scores, see `smooth_scores`.
        mass: Of hard rationales, see `choose_rationale`.
        resamples: Of the examples, for intervals of the scores; 0: no intervals.
    """

    def __init__(self, smoothing: float = 0.0, mass: float = 0.5, resamples: int = 0) -> None:
        self.smoothing, self.mass, self.resamples = smoothing, mass, resamples
        self.records: dict[str, list[Record]] = {}
        self.answers: dict[int, Record] = {}

    def add(self, record: Record) -> None:
        """Add one record."""
        self.records.setdefault(record["explainer"], []).append(record)
        self.answers[record["row"]] = record

    def report(self) -> dict[str, Any]:
        """Scores of the split, ready for JSON.

        Returns:
            `num_explained`; `accuracy` and `expected_calibration_error` of these examples, `None`
            if they have several labels; and by explainer, in `explainers`, `plausibility` (`None`
            where nobody marked anything, see `score_text_plausibility` and
            `score_image_plausibility`), `faithfulness` by what replaces words or cells ({} if it
            was not measured), `milliseconds` and `peak_mib` of an explanation, medians, and
            `times_slower` than "evidence", median over the examples; with `resamples` also
            `intervals`, of 95 %, of the scores by the same names.

        Raises:
            ValueError: if there are no records or a score is not finite.
        """
        if not self.answers:
            raise ValueError(
                "`records` must hold at least one example, got none; explain a split that has some."
            )
        answers = list(self.answers.values())
        calibration: dict[str, Any] = {"accuracy": None, "expected_calibration_error": None}
        if all(answer["label"] is not None for answer in answers):
            calibration = compute_in_memory(
                ExpectedCalibrationError,
                [answer["probs"] for answer in answers],
                [answer["label"] for answer in answers],
            )
        own = {record["row"]: record["seconds"] for record in self.records.get("evidence", [])}
        return {
            "num_explained": len(answers),
            "accuracy": calibration["accuracy"],
            "expected_calibration_error": calibration["expected_calibration_error"],
            "explainers": {
                name: {
                    "plausibility": self._score_plausibility(records),
                    "faithfulness": _score_faithfulness(records),
                    **_summarize_costs(records, own),
                    **self._estimate_intervals(records),
                }
                for name, records in self.records.items()
            },
        }

    def _score_plausibility(self, records: Sequence[Record]) -> dict[str, Any] | None:
        if any(map(_marks_words, records)):
            return score_text_plausibility(_list_texts(records), self.smoothing, self.mass)
        images = _list_images(records)
        return score_image_plausibility(images) if images else None

    def _estimate_intervals(self, records: Sequence[Record]) -> dict[str, Any]:
        if not self.resamples:
            return {}
        plausibility: dict[str, Any] | None = None
        if any(map(_marks_words, records)):
            limits = self.smoothing, self.mass, self.resamples
            plausibility = list_text_intervals(_list_texts(records), *limits)
        elif images := _list_images(records):
            plausibility = list_image_intervals(images, self.resamples)
        faithfulness = list_faithfulness_intervals(records, self.resamples)
        return {"intervals": {"plausibility": plausibility, "faithfulness": faithfulness}}


def _marks_words(record: Record) -> bool:
    """Whether people marked more than white space in the text of a record."""
    return any(record["text"][start:end].strip() for start, end in record.get("spans") or ())


def _list_texts(records: Sequence[Record]) -> list[ScoredText]:
    return [
        ScoredText(
            Words.split(record["text"]),
            _check_scores(record),
            [(start, end) for start, end in record["spans"]],
        )
        for record in records
    ]


def _list_images(records: Sequence[Record]) -> list[ScoredImage]:
    return [
        ScoredImage(_check_scores(record).reshape(record["shape"]), record["size"], record["boxes"])
        for record in records
        if record.get("boxes")
    ]


def _check_scores(record: Record) -> NDArray[np.float64]:
    """Scores of a record.

    Raises:
        ValueError: if one is not finite, naming the row.
    """
    scores = np.array(record["scores"], dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"`scores` of {record['explainer']} must be finite, got "
            f"{scores[~np.isfinite(scores)][0]} in row {record['row']}; leave that explainer out "
            "or inspect that row."
        )
    return scores


def _score_faithfulness(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Comprehensiveness and sufficiency, overall and per bin, by what replaces words or cells."""
    whole = [record["probs"][record["explained"]] for record in records]
    scores = {}
    for fill in records[0]["degrees"]:
        scores[fill] = compute_in_memory(
            Faithfulness, [record["degrees"][fill] for record in records], whole
        )
        del scores[fill]["num_documents"]
    return scores


def _summarize_costs(records: Sequence[Record], own: dict[int, float]) -> dict[str, float | None]:
    """Medians over the examples; `None` where nothing was measured."""
    peaks = [record["peak_mib"] for record in records if record["peak_mib"] is not None]
    ratios = [record["seconds"] / own[record["row"]] for record in records if record["row"] in own]
    return {
        "milliseconds": 1e3 * float(np.median([record["seconds"] for record in records])),
        "peak_mib": float(np.median(peaks)) if peaks else None,
        "times_slower": float(np.median(ratios)) if ratios else None,
    }
