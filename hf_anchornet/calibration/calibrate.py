"""Temperatures, stages and thresholds of a cascade, from one split that no model was tested on."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_anchornet.data.splits import check_column, find_labels, number_labels
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_rule import FULL, ExitRule, Stage, check_stages

from .search import Choice, Goal, Observations, observe, search
from .temperature import compare_calibration, fit_temperatures

DEFAULT_STAGES: dict[str, list[Stage]] = {
    "anchornet_text": [16, 32, 64, 128, FULL],
    "anchornet_image": [1, 2, 3, FULL],
}


@dataclass
class CalibrationOptions:
    """What to choose from, and what for.

    Attributes:
        stages: What the classifier may read: rising numbers of tokens or patches, then perhaps
            "full"; default: 16 32 64 128 full, or 1 2 3 full.
        max_stages: The most stages to keep.
        max_loss: Choose the least cost at an accuracy of at least full - this, in [0, 1].
        min_accuracy: If given, the accuracy wanted instead of full - `max_loss`: that of another
            model on the full input, say, on the same rows.
        max_cost: If given, choose instead the best accuracy at an expected cost of at most this.
        unit: What cost is: "multiply_adds" or "milliseconds" of one input.
        batch_size: Inputs in one forward pass.
    """

    stages: list[str] = field(default_factory=list)
    max_stages: int = 3
    max_loss: float = 0.01
    min_accuracy: float | None = None
    max_cost: float | None = None
    unit: str = "multiply_adds"
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Check the goal."""
        if self.unit not in ("multiply_adds", "milliseconds"):
            raise ValueError(
                f'`unit` must be "multiply_adds" or "milliseconds", got {self.unit!r}.'
            )
        for name in ("max_loss", "min_accuracy"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(
                    f"`{name}` must be in [0, 1], got {share}; it is a share of the inputs, 0.01 "
                    "is one point of accuracy."
                )

    @property
    def goal(self) -> Goal:
        """What is best."""
        return Goal(self.max_loss, self.min_accuracy, self.max_cost, self.unit)  # type: ignore[arg-type]

    def list_stages(self, model_type: str) -> tuple[Stage, ...]:
        """The candidate stages for a localizer of this type, checked."""
        named = [FULL if stage == FULL else int(stage) for stage in self.stages]
        return check_stages(named or DEFAULT_STAGES[model_type])


def calibrate(
    cascade: Cascade,
    rows: Dataset,
    input_column: str,
    label_column: str,
    options: CalibrationOptions | None = None,
) -> Cascade:
    """The same two models with the stages, thresholds and temperatures that serve best.

    Each input is read once at every candidate stage and in full; the rest is arithmetic.

    Args:
        cascade: The models; its own rule does not matter.
        rows: One split: not that of the test, and none that a model was trained on.
        input_column: Column of texts or images.
        label_column: Column of labels, named as the models name them.
        options: What to choose from, and what for.

    Returns:
        A cascade whose `record` tells what was found, ready for JSON; the split's fingerprint is
        in it.

    Raises:
        TypeError: if `rows` is no single split.
        ValueError: if it is the test split or holds one class only, or if no choice of stages
            reaches the goal.
    """
    options = options or CalibrationOptions()
    check_split(rows, input_column, label_column)
    candidates = options.list_stages(cascade.localizer.model.config.model_type)
    read = candidates if candidates[-1:] == (FULL,) else (*candidates, FULL)
    targets = torch.tensor(number_labels(rows, label_column, cascade.labels))
    plain = Cascade(cascade.localizer, cascade.reader, ExitRule.make(read, 1.0))
    sources = [
        plain.localizer.check_input(item, f"row {row}")
        for row, item in enumerate(rows[input_column])
    ]
    traces = plain.follow(sources, options.batch_size)
    temperatures = fit_temperatures(traces, targets)
    rule = ExitRule.make(read, 1.0, temperatures)
    seen = observe(traces, rule, targets)
    choice = _choose(seen, range(len(candidates)), options)
    kept = [0, *(index + 1 for index in choice.stages)]
    chosen = ExitRule.make(
        [read[index] for index in choice.stages],
        choice.thresholds,
        [temperatures[stage] for stage in kept],
    )
    record = {
        "split": describe_split(rows),
        "options": asdict(options),
        "calibration_error": compare_calibration(traces, targets, rule),
        **describe_choice(seen, choice),
        "difference": cross_validate(seen, range(len(candidates)), options),
    }
    return Cascade(cascade.localizer, cascade.reader, chosen, record)


def check_split(rows: Any, input_column: str, label_column: str) -> None:
    """Check that `rows` is one split to calibrate on; see `calibrate`."""
    if not isinstance(rows, Dataset):
        raise TypeError(
            f"`rows` must be one split, a datasets.Dataset, got {type(rows).__name__}; pass "
            '`dataset["validation"]`.'
        )
    if "test" in re.split(r"[^a-z]+", str(rows.split).lower()):
        raise ValueError(
            f"`rows` must not be the test split, got split {str(rows.split)!r}; what is chosen on "
            "it would look better there than it is: pass a validation split."
        )
    for column in (input_column, label_column):
        check_column(rows.column_names, column)
    find_labels(rows, label_column)


def describe_split(rows: Dataset) -> dict[str, Any]:
    """Which rows these are: the fingerprint of `datasets`, the name of the split, their number."""
    return {
        "fingerprint": rows._fingerprint,
        "name": str(rows.split),
        "num_rows": len(rows),
    }


def describe_choice(seen: Observations, choice: Choice) -> dict[str, Any]:
    """Accuracy, expected cost and share of the inputs at each stage, next to the full input."""
    paths = {unit: seen.replay(choice.stages, unit) for unit in ("multiply_adds", "milliseconds")}
    leaving = paths["multiply_adds"].leave(choice.thresholds)
    rows = np.arange(len(leaving))
    names = ["localizer", *(str(seen.stages[index]) for index in choice.stages)]
    full = [[trace.pieces[piece] for piece in trace.readings[-1]] for trace in seen.traces]
    return {
        "accuracy": {
            "cascade": float(paths["multiply_adds"].right[rows, leaving].mean()),
            "localizer": float(seen.right[:, 0].mean()),
            "classifier on full": float(seen.full_right.mean()),
        },
        "expected_cost": {
            unit: {
                "cascade": float(path.cost[rows, leaving].mean()),
                "localizer": float(path.cost[:, 0].mean()),
                "classifier on full": float(
                    np.mean([sum(getattr(piece, unit) for piece in pieces) for pieces in full])
                ),
            }
            for unit, path in paths.items()
        },
        "share_leaving": {
            name: float((leaving == stage).mean()) for stage, name in enumerate(names)
        },
    }


def cross_validate(
    seen: Observations, candidates: Sequence[int], options: CalibrationOptions, seed: int = 0
) -> dict[str, float]:
    """Accuracy of the cascade less that of the full input, on inputs that chose no threshold.

    On each half of the inputs stages and thresholds are chosen for the other half. The interval
    is the paired bootstrap's, in 10,000 draws.

    Args:
        seen: The inputs.
        candidates: Indices of the stages to choose from.
        options: What is best.
        seed: The same seed gives the same halves and draws.
    """
    random = np.random.default_rng(seed)
    halves = np.array_split(random.permutation(len(seen.traces)), 2)
    gains: list[NDArray[np.int64]] = []
    for chosen_on, tested_on in (halves, halves[::-1]):
        choice = _choose(seen.take(chosen_on), candidates, options)
        others = seen.take(tested_on)
        path = others.replay(choice.stages, options.goal.unit)
        right = path.right[np.arange(len(tested_on)), path.leave(choice.thresholds)]
        gains.append(right.astype(int) - others.full_right.astype(int))
    counts = np.bincount(np.concatenate(gains) + 1, minlength=3)  # worse, as good, better
    num_inputs = int(counts.sum())
    draws = random.multinomial(num_inputs, counts / num_inputs, size=10_000)
    low, high = np.quantile((draws[:, 2] - draws[:, 0]) / num_inputs, [0.025, 0.975])
    mean = float(counts[2] - counts[0]) / num_inputs
    return {"mean": mean, "low": float(low), "high": float(high), "confidence": 0.95}


def _choose(seen: Observations, candidates: Sequence[int], options: CalibrationOptions) -> Choice:
    choice = search(seen, candidates, options.goal, options.max_stages)
    if choice is None:
        wanted = f"an accuracy of at least {seen.full_right.mean():.4f} - {options.max_loss:g}"
        if options.min_accuracy is not None:
            wanted = f"an accuracy of at least {options.min_accuracy:g}"
        if options.max_cost is not None:
            wanted = f"an expected cost of at most {options.max_cost:g} {options.unit}"
        raise ValueError(
            f"`stages` must allow {wanted}, got {[seen.stages[i] for i in candidates]}; let the "
            "classifier read more or aim lower."
        )
    return choice
