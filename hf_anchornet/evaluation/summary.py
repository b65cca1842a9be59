"""From the records of explainers to one report: plausibility, faithfulness, cost of each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_anchornet.metrics.box_pointing import BoxPointing
from hf_anchornet.metrics.comprehensiveness import Comprehensiveness
from hf_anchornet.metrics.expected_calibration_error import ExpectedCalibrationError
from hf_anchornet.metrics.max_box_acc_v2 import summarize_fits
from hf_anchornet.metrics.sufficiency import Sufficiency
from hf_anchornet.model.text_words import Words

from .map_scores import IOU_THRESHOLDS, compare_map
from .text_plausibility import ScoredText, score_plausibility

Record = dict[str, Any]

MAP_SIDE_PX = 112
"""Maps are compared with boxes at this size of their longer side: scaled, bilinear."""


class ExplanationSummary:
    """Records of one split, gathered as they come; kept is what the metrics need.

    Args:
        smoothing: Of word scores, see `smooth_scores`.
        mass: Of hard rationales, see `choose_rationale`.
    """

    def __init__(self, smoothing: float = 0.0, mass: float = 0.5) -> None:
        self.smoothing, self.mass = smoothing, mass
        self.records: dict[str, list[Record]] = {}
        self.answers: dict[int, Record] = {}

    def add(self, record: Record) -> None:
        """Take one record."""
        self.records.setdefault(record["explainer"], []).append(record)
        self.answers[record["row"]] = record

    def report(self) -> dict[str, Any]:
        """All that is said of the split, ready for JSON.

        Returns:
            `num_explained`; `accuracy` and `expected_calibration_error` of these examples, `None`
            where they have several labels; and by explainer, in `explainers`, `plausibility`
            (`None` where nobody marked anything, see `score_plausibility` and `_score_maps`),
            `faithfulness` by what replaces words or cells ({} if it was not measured),
            `milliseconds` and `peak_mib` of an explanation, medians, and `times_slower` than
            "evidence", median over the examples.

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
            calibration = ExpectedCalibrationError(keep_in_memory=True).compute(
                predictions=[answer["probs"] for answer in answers],
                references=[answer["label"] for answer in answers],
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
                }
                for name, records in self.records.items()
            },
        }

    def _score_plausibility(self, records: Sequence[Record]) -> dict[str, Any] | None:
        if any(record.get("spans") for record in records):
            texts = [
                ScoredText(
                    Words.split(record["text"]),
                    _check_scores(record),
                    [(start, end) for start, end in record["spans"]],
                )
                for record in records
            ]
            return score_plausibility(texts, self.smoothing, self.mass)
        if any(record.get("boxes") for record in records):
            return _score_maps([record for record in records if record["boxes"]])
        return None


def _check_scores(record: Record) -> NDArray[np.float64]:
    """The scores of a record.

    Raises:
        ValueError: if one is not finite, naming the row.
    """
    scores = np.array(record["scores"], dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"`scores` of {record['explainer']} must be finite, got "
            f"{scores[~np.isfinite(scores)][0]} in row {record['row']}; leave that explainer out "
            "or look at that row."
        )
    return scores


def _score_maps(records: Sequence[Record]) -> dict[str, float]:
    """Agreement of maps with human boxes, in [0, 1], higher is better.

    Returns:
        `pointing` (the peak of the map is in a box), `energy` (share of the positive scores in the
        boxes; `box_area` is their share of the image), `max_box_acc_v2`, `num_images`.
    """
    found = [
        compare_map(
            _scale_map(_check_scores(record).reshape(record["shape"]), record["size"]),
            record["size"],
            record["boxes"],
        )
        for record in records
    ]
    pointing = BoxPointing(keep_in_memory=True).compute(
        predictions=[[each.peak] for each in found],
        references=[record["boxes"] for record in records],
    )
    energy, area = np.mean([each.energy for each in found], axis=0).tolist()
    fits = summarize_fits(np.stack([each.fits for each in found]), IOU_THRESHOLDS)
    return {
        "num_images": len(records),
        "pointing": pointing["box_pointing"],
        "energy": energy,
        "box_area": area,
        "max_box_acc_v2": fits["max_box_acc_v2"],
    }


def _scale_map(scores: NDArray[np.float64], size: Sequence[int]) -> NDArray[np.float64]:
    """A map over an image of `size`, width and height, at `MAP_SIDE_PX`."""
    shrink = MAP_SIDE_PX / max(size)
    width, height = (max(1, round(side * shrink)) for side in size)
    grey = Image.fromarray(scores.astype(np.float32))
    scaled = grey.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled, dtype=np.float64)


def _score_faithfulness(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Comprehensiveness and sufficiency, also at each bin, by what replaces words or cells."""
    scores = {}
    for fill in records[0]["degrees"]:
        parts = [record["degrees"][fill] for record in records]
        whole = [record["probs"][record["explained"]] for record in records]
        report: dict[str, Any] = {}
        metrics: tuple[tuple[str, str, Callable[..., Any]], ...] = (
            ("comprehensiveness", "without", Comprehensiveness),
            ("sufficiency", "only", Sufficiency),
        )
        for name, side, metric in metrics:
            found = metric(keep_in_memory=True).compute(
                predictions=[list(part[side]) for part in parts], references=whole
            )
            report |= {name: found[name], f"{name}_by_bin": found["by_bin"]}
        scores[fill] = report
    return scores


def _summarize_costs(records: Iterable[Record], own: dict[int, float]) -> dict[str, float | None]:
    """Medians over the examples; `None` where nothing was measured."""
    records = list(records)
    peaks = [record["peak_mib"] for record in records if record["peak_mib"] is not None]
    ratios = [record["seconds"] / own[record["row"]] for record in records if record["row"] in own]
    return {
        "milliseconds": 1e3 * float(np.median([record["seconds"] for record in records])),
        "peak_mib": float(np.median(peaks)) if peaks else None,
        "times_slower": float(np.median(ratios)) if ratios else None,
    }
