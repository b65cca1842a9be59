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

OURS = ("evidence", "refined_evidence", "random")
"""What no user would use instead of an AnchorNet's evidence."""

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


def describe_explainers(name: str, reports: Mapping[str, Report]) -> str:
    """A section of one set: the explainers of each model.

    Args:
        name: Of the set.
        reports: From `evaluate_explanations`, by the model to show.
    """
    page = f"\n## Explanations: {name}\n"
    for model, report in reports.items():
        page += f"\nOf {model}, {report['num_explained']:,} examples of the test split:\n\n"
        page += make_explainer_table(report)
    return page


def make_evidence_table(reports: Mapping[str, Report]) -> str:
    """One row a set: an AnchorNet's own evidence beside what else explains the same model.

    Args:
        reports: From `evaluate_explanations`, by the name to show.
    """
    head = (
        "set",
        "pointing",
        "AUPRC or energy",
        "refined",
        "the best other",
        "random",
        "comprehensiveness / sufficiency",
        "times slower: IG / LIME",
    )
    return format_table(head, [_compare(name, report) for name, report in reports.items()])


def _compare(name: str, report: Report) -> tuple[str, ...]:
    explainers = report["explainers"]
    own = explainers["evidence"]
    score = "token_auprc" if "token_auprc" in own["plausibility"] else "energy"
    scores = {other: row["plausibility"][score] for other, row in explainers.items()}
    others = {other: scores[other] for other in scores if other not in OURS}
    best = max(others, key=lambda other: others[other], default=None)
    slower = [
        f"{explainers[other]['times_slower']:,.0f}"
        for other in ("integrated_gradients", "lime")
        if other in explainers
    ]
    faith = next(iter(own["faithfulness"].values()))
    return (
        name,
        f"{own['plausibility']['pointing']:.3f}",
        f"{scores['evidence']:.3f}",
        f"{scores['refined_evidence']:.3f}" if "refined_evidence" in scores else "not measured",
        f"{others[best]:.3f} ({best.replace('_', ' ')})" if best else "not measured",
        f"{scores['random']:.3f}" if "random" in scores else "not measured",
        " / ".join(f"{faith[side]:.3f}" for side in SIDES),
        " / ".join(slower) or "not measured",
    )


def compare_ideas(report: Report) -> str:
    """One row an idea: accuracy, and on each set how well the evidence agrees with people.

    Args:
        report: From `compare_evidence`.
    """
    sets = list(next(iter(report["ideas"].values()))["sets"])
    rows = [
        (
            name,
            f"{found['accuracy']:.4f}",
            *(
                " / ".join(
                    f"{found['sets'][each][explainer][score]:.3f}"
                    for explainer, score in (
                        ("evidence", "raw_pointing"),
                        ("evidence", "raw_token_auprc"),
                        ("evidence", "token_auprc"),
                        ("refined_evidence", "raw_token_auprc"),
                    )
                )
                for each in sets
            ),
        )
        for name, found in report["ideas"].items()
    ]
    heads = [f"{each}: pointing / AUPRC / smoothed / refined" for each in sets]
    return format_table(("idea", "accuracy", *heads), rows)


def make_retrieval_table(report: Report) -> str:
    """How often the best passages of a document hold what people marked, beside the controls.

    Args:
        report: JSON of `scripts/measure_retrieval.py`.
    """
    top_k = report["settings"]["retrieval"]["top_k"]
    head = (
        f"{report['num_documents']} contracts of the test split with such a clause",
        "evidence",
        "random passages",
        "the first ones",
    )
    rows = [
        (
            f"a clause among the best {top_k} (half of it in one of them)",
            *(
                f"{report['hit_rate'][source]:.3f} ({report['half_hit_rate'][source]:.3f})"
                for source in ("evidence", "random", "head")
            ),
        )
    ]
    return format_table(head, rows)


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
