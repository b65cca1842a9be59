"""How much a training's seed changes its scores: several evaluations of the same set as one.

Each report is one of `anchornet evaluate`, of a localizer that was trained with a seed of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from hf_anchornet.evaluation.tables import (
    FILLS,
    PLAUSIBILITY,
    SIDES,
    format_score,
    format_table,
)
from hf_anchornet.files import read_json, write_json
from scripts.options import parse_options

Report = Mapping[str, Any]
SAME = (
    "dataset",
    "split",
    "num_rows",
    "spans_column",
    "only_labels",
    "true_labels",
    "mass",
    "smoothing",
)
"""Settings of the explanations that all reports share."""
SCORES = ("token_auprc", "pointing", "token_f1", "span_iou_f1", "energy", "max_box_acc_v2")
"""Agreement with people: the first four of texts, others of pictures."""

PATCHES = "best patch in a box"
"""The share of pictures whose best patch has its middle in a box."""


@dataclass
class SeedsOptions:
    """Reports of several trainings.

    Attributes:
        reports: JSON files that `anchornet evaluate` wrote, one for each training.
        output: JSON file to write.
    """

    reports: list[str]
    output: str

    def __post_init__(self) -> None:
        """Check that there is something to compare."""
        if len(self.reports) < 2:
            raise ValueError(
                f"`reports` must name at least two files, got {self.reports}; evaluate a training "
                "with another `--seed` too."
            )


def gather_scores(reports: Mapping[str, Report]) -> dict[str, Any]:
    """Mean, least and largest of each score, ready for JSON.

    Args:
        reports: Reports of `anchornet evaluate` with explainers, by name.

    Returns:
        `reports`, their names; `num_rows`, `accuracy` and `macro_f1` of the localizers, of
        pictures also `patch_pointing`; in `explainers` by name those of `SCORES` that they have,
        `comprehensiveness` and `sufficiency` (the first fill of `FILLS`), each as `mean`, `low` and
        `high`.

    Raises:
        ValueError: if the reports are of other rows or settings.
    """
    first = next(iter(reports.values()))
    for name, report in reports.items():
        _check_same(name, report, first)
    explainers = [_list_explainers(report) for report in reports.values()]
    shared = [name for name in explainers[0] if all(name in found for found in explainers)]
    return {
        "reports": list(reports),
        "num_rows": first["num_rows"],
        **_gather([_list_answers(report) for report in reports.values()]),
        "explainers": {name: _gather([found[name] for found in explainers]) for name in shared},
    }


def _list_answers(report: Report) -> dict[str, float]:
    """The scores of a report's localizer."""
    scores = dict(report["localizer"])
    if "boxes" in report:
        scores["patch_pointing"] = report["boxes"]["pointing"]["localizer"]
    return scores


def _list_explainers(report: Report) -> dict[str, dict[str, float]]:
    """The scores of each explainer of a report."""
    found = {}
    for name, row in report["explanations"]["explainers"].items():
        plausibility, faithfulness = row["plausibility"], row["faithfulness"]
        fill = next(fill for fill in FILLS if fill in faithfulness)
        found[name] = {score: plausibility[score] for score in SCORES if score in plausibility}
        found[name] |= {side: faithfulness[fill][side] for side in SIDES}
    return found


def _gather(found: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, least and largest of each score."""
    columns = {name: [scores[name] for scores in found] for name in found[0]}
    return {
        name: {"mean": mean(column), "low": min(column), "high": max(column)}
        for name, column in columns.items()
    }


def _check_same(name: str, report: Report, first: Report) -> None:
    """Refuse a report that is not comparable with the first."""
    for key in SAME:
        wanted, got = (each["explanations"]["settings"].get(key) for each in (first, report))
        if wanted != got:
            raise ValueError(
                f"`reports` must have the same `{key}`, {wanted!r}, got {got!r} in {name}."
            )


def make_seeds_table(gathered: Mapping[str, Report]) -> str:
    """One row for each set: accuracy and the scores of the evidence over trainings.

    Args:
        gathered: From `gather_scores`, by the name of the set.

    Returns:
        A table for the sets of texts, and one for those of pictures, if there are any.
    """
    tables: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for name, report in gathered.items():
        evidence = report["explainers"]["evidence"]
        scores = {"accuracy": report["accuracy"], "macro F1": report["macro_f1"]}
        if "patch_pointing" in report:
            scores[PATCHES] = report["patch_pointing"]
        scores |= {PLAUSIBILITY[score]: evidence[score] for score in SCORES if score in evidence}
        scores |= {side: evidence[side] for side in SIDES}
        told = [format_score(each["mean"], (each["low"], each["high"])) for each in scores.values()]
        rows = tables.setdefault(("set", "trainings", *scores), [])
        rows.append((name, str(len(report["reports"])), *told))
    return "\n".join(format_table(head, rows) for head, rows in tables.items())


def main() -> None:
    """Parse the options, gather, write, print."""
    (options,) = parse_options(SeedsOptions, description=__doc__)
    reports = {Path(path).stem: read_json(Path(path)) for path in options.reports}
    gathered = gather_scores(reports)
    write_json(Path(options.output), gathered)
    print(make_seeds_table({Path(options.output).stem: gathered}))


if __name__ == "__main__":
    main()
