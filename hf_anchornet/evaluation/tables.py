"""What explainers are worth, as tables in Markdown."""

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
"""How words or cells are taken away, in words."""

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
"""Scores of agreement with people, in words."""

SIDES = ("comprehensiveness", "sufficiency")
COSTS = {"milliseconds": "ms", "peak_mib": "MiB", "times_slower": "times slower"}
"""What an explanation costs, in words; `times_slower` than the evidence of an AnchorNet."""


def make_explainer_table(report: Report) -> str:
    """One row an explainer: agreement with people, faithfulness, cost.

    Of comprehensiveness higher is better, of sufficiency lower.

    Args:
        report: From `evaluate_explanations`.
    """
    explainers: Mapping[str, Report] = report["explainers"]
    first = next(iter(explainers.values()))
    agreement = [key for key in PLAUSIBILITY if key in (first["plausibility"] or {})]
    fills = [fill for fill in FILLS if fill in first["faithfulness"]]
    head = (
        "explainer",
        *(PLAUSIBILITY[key] for key in agreement),
        *(f"comprehensiveness / sufficiency, {FILLS[fill]}" for fill in fills),
        *COSTS.values(),
    )
    rows = []
    for name, row in explainers.items():
        shares = [f"{row['plausibility'][key]:.3f}" for key in agreement]
        falls = [
            " / ".join(f"{row['faithfulness'][fill][side]:.3f}" for side in SIDES) for fill in fills
        ]
        rows.append((name.replace("_", " "), *shares, *falls, *format_costs(row)))
    return format_table(head, rows)


def format_costs(row: Report) -> list[str]:
    """One cell for each of `COSTS`."""
    forms = {"milliseconds": ",.1f", "peak_mib": ",.0f", "times_slower": ",.0f"}
    return [
        "not measured" if row[name] is None else format(row[name], forms[name]) for name in COSTS
    ]


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
