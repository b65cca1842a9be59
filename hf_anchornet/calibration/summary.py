"""A calibration in words: the models side by side, the choice, and what to be warned of."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_anchornet.model.cascade_rule import (
    FULL,
    LOCALIZER,
    NGRAMS,
    OPENINGS,
    ExitRule,
    Stage,
    name_stage,
)

WHOLE = "classifier on full"
"""Name of the classifier on the full input in the record of a calibration."""

NEAR = 2
"""A classifier knows texts of up to so many times more or fewer tokens than it was trained on."""


def asks_classifier(record: Mapping[str, Any]) -> bool:
    """Whether any row of the calibration split reached the classifier."""
    shares = record["share_leaving"]
    return any(share > 0 for stage, share in shares.items() if stage not in OPENINGS)


def needs_cascade(record: Mapping[str, Any]) -> bool:
    """Whether any row was answered by another model than the localizer."""
    shares = record["share_leaving"]
    return any(share > 0 for stage, share in shares.items() if stage not in (NGRAMS, LOCALIZER))


def tabulate(record: Mapping[str, Any]) -> list[tuple[str, float, float, float]]:
    """Name, accuracy, millions of multiply-adds and milliseconds of each model and the cascade."""
    cost = record["expected_cost"]
    return [
        (name, accuracy, cost["multiply_adds"][name] / 1e6, cost["milliseconds"][name])
        for name, accuracy in sorted(record["accuracy"].items(), key=lambda row: row[0] != WHOLE)
    ]


def describe_choice(record: Mapping[str, Any], rule: ExitRule) -> list[str]:
    """The models side by side, then the stages of the cascade and who leaves where."""
    split = record["split"]
    lines = [
        f"{split['num_rows']:,} rows of split {split['name']}:",
        f"  {'':<20} {'accuracy':>9} {'M multiply-adds':>16} {'ms':>8}",
    ]
    for name, accuracy, adds, milliseconds in tabulate(record):
        lines.append(f"  {name:<20} {accuracy:>9.4f} {adds:>16,.2f} {milliseconds:>8.2f}")
    lines.append("chosen stages:")
    for stage, threshold in zip(rule.stages, [*rule.thresholds, None], strict=True):
        until = "answers the rest" if threshold is None else f"answers above {threshold:.3f}"
        share = record["share_leaving"][str(stage)]
        lines.append(f"  {name_stage(stage):<20} {until}: {share:.1%} of the rows")
    return lines


def find_warnings(
    record: Mapping[str, Any], stages: Sequence[Stage], training: Mapping[str, Any] | None
) -> list[str]:
    """What somebody should know who wants to use the cascade; [] if all is well.

    Args:
        record: Of the calibration.
        stages: The candidate stages.
        training: `training.json` of the classifier; `None` if it has none.
    """
    accuracy, warnings = record["accuracy"], []
    name, best = max(
        ((name, value) for name, value in accuracy.items() if name in OPENINGS),
        key=lambda row: row[1],
    )
    if accuracy[WHOLE] < best:
        warnings.append(
            f"the classifier on the full input is worse than {name} alone ({accuracy[WHOLE]:.4f} "
            f"/ {best:.4f}): train it longer, or choose a stronger one."
        )
    if not asks_classifier(record):
        warnings.append(
            f"the classifier is never asked: {name} alone reaches the goal ({best:.4f}). A smaller "
            "`max_loss` may ask it; otherwise use the localizer alone."
        )
    if not record.get("reaches_goal", True):
        warnings.append(
            f"no cascade reaches the goal: the most accurate one was taken "
            f"({accuracy['cascade']:.4f}; the classifier on the full input {accuracy[WHOLE]:.4f})."
        )
    unseen = list_unseen(stages, training)
    if unseen:
        names = ", ".join(name_stage(stage).removeprefix("classifier on ") for stage in unseen)
        known = "`anchornet adapt` did not train it" if training is None else _say_reading(training)
        warnings.append(
            f"the classifier never saw what it gets at {names} ({known}): its answers there may be "
            "poor. `anchornet adapt --reading mix` trains on parts and on full inputs."
        )
    return warnings


def list_unseen(stages: Sequence[Stage], training: Mapping[str, Any] | None) -> list[Stage]:
    """Stages, and the full input, that give a classifier what it was not trained on.

    Args:
        stages: Candidate stages; "full" is added: every cascade is judged by it.
        training: `training.json` of the classifier; `None`: one that was trained on full inputs.
    """
    wanted = [stage for stage in dict.fromkeys([*stages, FULL]) if stage not in OPENINGS]
    options: Mapping[str, Any] = training["options"] if training else {}
    reading = options.get("reading", FULL)
    if reading == FULL:
        return [stage for stage in wanted if stage != FULL]
    if "budgets" not in options:  # patches are read one by one, however many
        parts = [stage for stage in wanted if stage != FULL]
        seen = {"mix": wanted, "all": wanted, "patches": parts}
        return [stage for stage in wanted if stage not in seen.get(reading, [])]
    budgets = options["budgets"] if reading == "mix" else [options.get("max_tokens", 0)]
    budgets = budgets if reading in ("mix", "spans") else []
    known = max(budgets, default=0) >= 512
    return [
        stage
        for stage in wanted
        if not (known if stage == FULL else any(_is_near(int(stage), size) for size in budgets))
    ]


def _is_near(one: int, other: int) -> bool:
    return max(one, other) <= NEAR * min(one, other)


def _say_reading(training: Mapping[str, Any]) -> str:
    options = training.get("options", {})
    sizes = options.get("budgets") if options.get("reading") == "mix" else None
    size = sizes or ([options["max_tokens"]] if options.get("max_tokens") else [])
    tokens = f" of {', '.join(map(str, size))} tokens" if size else ""
    return f"it was trained on {options.get('reading', FULL)}{tokens}"
