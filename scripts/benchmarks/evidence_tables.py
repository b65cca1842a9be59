"""Results on explanations, ideas and retrieval as tables in Markdown."""

from collections.abc import Mapping, Sequence

from hf_anchornet.evaluation.tables import (
    SIDES,
    Report,
    format_score,
    format_table,
    make_explainer_table,
)
from scripts.benchmarks.result_tables import RIVALS

OURS = ("evidence", "refined_evidence", "random")
"""Explainers that are no alternative to an AnchorNet's evidence."""


def describe_explainers(name: str, reports: Mapping[str, Report]) -> str:
    """A section on one data set with a table of explainers for each model.

    Args:
        name: Name of the data set.
        reports: Reports of `evaluate_explanations` by the name of the model.
    """
    page = f"\n## Explanations: {name}\n"
    for model, report in reports.items():
        page += f"\nOf {model}, {report['num_explained']:,} examples of the test split:\n\n"
        page += make_explainer_table(report)
    return page


def make_evidence_table(
    reports: Mapping[str, Report],
    linear: Mapping[str, Mapping[str, Report]],
    cascades: Mapping[str, Report] | None = None,
) -> str:
    """README's table of explanations: one row a data set, the evidence beside other explainers.

    Args:
        reports: Reports of `evaluate_explanations` by the name of the data set.
        linear: For some of the data sets those of linear models, by the name of the model.
        cascades: For some of the data sets those of cascades; without any there is no column.
    """
    head: tuple[str, ...] = (
        "set",
        "pointing",
        "AUPRC or energy",
        "refined",
        "the best other",
        "linear n-grams: pointing / AUPRC",
        "random",
        "comprehensiveness / sufficiency",
        "times slower: IG / LIME",
    )
    rows = [_compare(name, report, linear.get(name, {})) for name, report in reports.items()]
    if cascades:
        head = (*head, "the cascade's own answer: pointing / AUPRC or energy")
        rows = [
            (*row, _score_answer(cascades.get(name)))
            for row, name in zip(rows, reports, strict=True)
        ]
    return format_table(head, rows)


def _score_answer(report: Report | None) -> str:
    """Agreement of the explanation of a cascade's own answer with people."""
    if report is None:
        return "not measured"
    row = report["explainers"]["answer"]
    names = ("pointing", "token_auprc" if "token_auprc" in row["plausibility"] else "energy")
    return " / ".join(_show(row, name) for name in names)


def _show(row: Report, name: str) -> str:
    """A score of plausibility with its interval, if there is one."""
    ends = (row.get("intervals") or {}).get("plausibility") or {}
    return format_score(row["plausibility"][name], ends.get(name))


def _compare(name: str, report: Report, linear: Mapping[str, Report]) -> tuple[str, ...]:
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
        _show(own, "pointing"),
        _show(own, score),
        f"{scores['refined_evidence']:.3f}" if "refined_evidence" in scores else "not measured",
        f"{others[best]:.3f} ({best.replace('_', ' ')})" if best else "not measured",
        _name_best_linear(linear),
        f"{scores['random']:.3f}" if "random" in scores else "not measured",
        " / ".join(f"{faith[side]:.3f}" for side in SIDES),
        " / ".join(slower) or "not measured",
    )


def _name_best_linear(linear: Mapping[str, Report]) -> str:
    """Scores of the linear model whose evidence has the highest token AUPRC."""
    scores = {
        name: report["explainers"]["evidence"]["plausibility"] for name, report in linear.items()
    }
    if not scores:
        return "not measured"
    best = max(scores, key=lambda name: scores[name]["token_auprc"])
    shown = f"{scores[best]['pointing']:.3f} / {scores[best]['token_auprc']:.3f}"
    return f"{shown} ({RIVALS[best]})"


def make_idea_table(report: Report) -> str:
    """One row an idea: accuracy, and on each set the agreement of the evidence with people.

    Args:
        report: Report of `scripts.ablations.evidence`.
    """
    return _make_agreement_table("idea", ("accuracy",), report["ideas"])


def make_weight_table(report: Report, what: str = "weight") -> str:
    """One row a weight of the linear model, as `make_idea_table`, and the n-grams' own accuracy.

    Args:
        report: Report of `scripts.ablations.linear_ngrams`.
        what: Name of what the rows differ in.
    """
    named = {
        f"{name} ({found['weight'] / (found['learned_weight'] or 1):.2f})"
        if name == "chosen"
        else name: found
        for name, found in report["weights"].items()
    }
    return _make_agreement_table(what, ("accuracy", "ngrams", "loss"), named)


def _make_agreement_table(what: str, scores: Sequence[str], found: Report) -> str:
    """One row an entry: its scores, and on each set the agreement of the evidence with people."""
    sets = list(next(iter(found.values()))["sets"])
    rows = [
        (
            name,
            *(f"{entry[score]:.4f}" for score in scores),
            *(
                " / ".join(
                    f"{entry['sets'][each][explainer][score]:.3f}"
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
        for name, entry in found.items()
    ]
    heads = [f"{each}: pointing / AUPRC / smoothed / refined" for each in sets]
    return format_table((what, *scores, *heads), rows)


def make_retrieval_table(report: Report) -> str:
    """README's table of retrieval: how often the best passages hold what people marked.

    Args:
        report: Report of `scripts.benchmarks.retrieval`.
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
