"""What explainers are worth, as tables in Markdown."""

from collections.abc import Callable, Mapping
from typing import Any

from .benchmark_report import format_table

Report = Mapping[str, Any]

FILLS = {
    "rationale": "chosen words cut",
    "cut": "best words cut",
    "blur": "blurred",
    "mean": "mean colour",
    "neighbours": "from neighbours",
}
"""How words or cells are taken away, in words."""

_PLAUSIBILITY = {
    "token_auprc": "token AUPRC",
    "pointing": "pointing",
    "token_f1": "token-F1",
    "span_iou_f1": "IoU-F1",
    "span_jaccard": "Jaccard",
    "character_f1": "character F1",
    "energy": "energy in boxes",
    "max_box_acc_v2": "MaxBoxAccV2",
}


def make_explainer_table(report: Report) -> str:
    """One row an explainer: agreement with people, faithfulness, cost.

    Of comprehensiveness higher is better, of sufficiency lower.

    Args:
        report: From `evaluate_explanations`.
    """
    explainers: Mapping[str, Report] = report["explainers"]
    columns: dict[str, Callable[[Report], str]] = {}
    first = next(iter(explainers.values()))
    for key, name in _PLAUSIBILITY.items():
        if key in (first["plausibility"] or {}):
            columns[name] = lambda row, key=key: f"{row['plausibility'][key]:.3f}"
    for fill in (fill for fill in FILLS if fill in first["faithfulness"]):
        columns[f"comprehensiveness / sufficiency, {FILLS[fill]}"] = lambda row, fill=fill: (
            f"{row['faithfulness'][fill]['comprehensiveness']:.3f} / "
            f"{row['faithfulness'][fill]['sufficiency']:.3f}"
        )
    columns |= {
        "ms": lambda row: f"{row['milliseconds']:,.1f}",
        "MiB": lambda row: _format(row["peak_mib"], ",.0f"),
        "times slower": lambda row: _format(row["times_slower"], ",.0f"),
    }
    rows = [
        (name.replace("_", " "), *(cell(row) for cell in columns.values()))
        for name, row in explainers.items()
    ]
    return format_table(("explainer", *columns), rows)


def _format(value: float | None, form: str) -> str:
    return "not measured" if value is None else format(value, form)
