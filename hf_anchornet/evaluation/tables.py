"""Markdown tables of explainers."""

from collections.abc import Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]

FILLS = {
    "rationale": "chosen words cut",
    "cut": "best words cut",
    "blur": "blurred",
    "mean": "mean colour",
    "neighbours": "from neighbours",
}
"""Display names of the ways to remove words or cells."""

PLAUSIBILITY = {
    "token_auprc": "token AUPRC",
    "pointing": "pointing",
    "token_f1": "token-F1",
    "span_iou_f1": "IoU-F1",
    "span_jaccard": "Jaccard",
    "character_f1": "character F1",
    "energy": "energy in boxes",
    "max_box_acc_v2": "MaxBoxAccV2",
}
"""Scores of plausibility, in words."""

SIDES = ("comprehensiveness", "sufficiency")
COSTS = {
    "milliseconds": ("ms", ",.1f"),
    "peak_mib": ("MiB", ",.0f"),
    "times_slower": ("times slower", ",.0f"),
}
"""Cost of an explanation, in words, and number formats; `times_slower` than "evidence"."""


def make_explainer_table(report: Report) -> str:
    """One row per explainer: plausibility, faithfulness, cost.

    Higher comprehensiveness is better, lower sufficiency is better.

    Args:
        report: From `evaluate_explanations`.
    """
    explainers: Mapping[str, Report] = report["explainers"]
    first = next(iter(explainers.values()))
    scores = [key for key in PLAUSIBILITY if key in (first["plausibility"] or {})]
    fills = [fill for fill in FILLS if fill in first["faithfulness"]]
    head = (
        "explainer",
        *(PLAUSIBILITY[key] for key in scores),
        *(f"comprehensiveness / sufficiency, {FILLS[fill]}" for fill in fills),
        *(title for title, _ in COSTS.values()),
    )
    rows = []
    for name, row in explainers.items():
        ends = row.get("intervals") or {}
        agreement, dependence = (ends.get(part) or {} for part in ("plausibility", "faithfulness"))
        plausibility = [
            format_score(row["plausibility"][key], agreement.get(key)) for key in scores
        ]
        faithfulness = [
            " / ".join(
                format_score(row["faithfulness"][fill][side], dependence.get(fill, {}).get(side))
                for side in SIDES
            )
            for fill in fills
        ]
        costs = [
            "not measured" if row[cost] is None else format(row[cost], form)
            for cost, (_, form) in COSTS.items()
        ]
        rows.append((name.replace("_", " "), *plausibility, *faithfulness, *costs))
    return format_table(head, rows)


def format_score(score: float, interval: Sequence[float] | None = None) -> str:
    """A score with three digits and, if there is one, its interval."""
    if interval is None:
        return f"{score:.3f}"
    return f"{score:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
