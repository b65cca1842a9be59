"""How much a training's seed changes its scores: several evaluations of the same set as one.

Each report is one of `anchornet evaluate`, of a localizer that was trained with a seed of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from hf_anchornet.evaluation.tables import PLAUSIBILITY, SIDES, format_score, format_table
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
SCORES = ("token_auprc", "pointing", "token_f1", "span_iou_f1")


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
        `reports`, their names; `num_rows`, `accuracy` and `macro_f1` of the localizers; in
        `explainers` by name `SCORES`, `comprehensiveness` and `sufficiency` (chosen words cut),
        each as `mean`, `low` and `high`.

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
        **_gather([report["localizer"] for report in reports.values()]),
        "explainers": {name: _gather([found[name] for found in explainers]) for name in shared},
    }


def _list_explainers(report: Report) -> dict[str, dict[str, float]]:
    """The scores of each explainer of a report."""
    return {
        name: {score: row["plausibility"][score] for score in SCORES}
        | {side: row["faithfulness"]["rationale"][side] for side in SIDES}
        for name, row in report["explanations"]["explainers"].items()
    }


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
    """
    rows = []
    for name, report in gathered.items():
        evidence = report["explainers"]["evidence"]
        scores = [report["accuracy"], report["macro_f1"]]
        scores += [evidence[score] for score in (*SCORES, *SIDES)]
        told = [format_score(each["mean"], (each["low"], each["high"])) for each in scores]
        rows.append((name, str(len(report["reports"])), *told))
    titles = [PLAUSIBILITY[score] for score in SCORES]
    return format_table(("set", "trainings", "accuracy", "macro F1", *titles, *SIDES), rows)


def main() -> None:
    """Parse the options, gather, write, print."""
    (options,) = parse_options(SeedsOptions, description=__doc__)
    reports = {Path(path).stem: read_json(Path(path)) for path in options.reports}
    gathered = gather_scores(reports)
    write_json(Path(options.output), gathered)
    print(make_seeds_table({Path(options.output).stem: gathered}))


if __name__ == "__main__":
    main()
