"""Calibrate a cascade on a validation split: temperatures, stages and thresholds."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_anchornet.data.splits import check_column, find_labels, number_labels
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_rule import FULL, ExitRule

from .options import CalibrationOptions
from .search import Choice, Observations, observe, search
from .temperature import compare_calibration, fit_temperatures


def calibrate(
    cascade: Cascade,
    rows: Dataset,
    input_column: str,
    label_column: str,
    options: CalibrationOptions | None = None,
) -> Cascade:
    """A cascade of the same models with the best stages, thresholds and temperatures.

    Each input is read once at every candidate stage and in full; the rest is arithmetic.

    Args:
        cascade: The models; its exit rule is ignored.
        rows: A validation split: neither the test split nor one that a model was trained on.
        input_column: Column of texts or images.
        label_column: Column of labels, with the models' names of the labels.
        options: The candidate stages and the goal.

    Returns:
        A cascade whose `record`, ready for JSON, describes the split and the choice.

    Raises:
        TypeError: if `rows` is not a single split.
        ValueError: if it is the test split or has one class only, or if no choice of stages
            reaches the goal.
    """
    options = options or CalibrationOptions()
    check_split(rows, input_column, label_column)
    candidates = options.list_stages(cascade.localizer.model.config.model_type)
    if not options.stages:  # of the default ones, those that this classifier can read
        most = getattr(cascade.reader, "readable_tokens", math.inf)
        candidates = tuple(stage for stage in candidates if stage == FULL or int(stage) <= most)
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
        "split": {
            "fingerprint": rows._fingerprint,
            "name": str(rows.split),
            "num_rows": len(rows),
        },
        "options": asdict(options),
        "calibration_error": compare_calibration(traces, targets, rule),
        **describe_choice(seen, choice),
        "difference": cross_validate(seen, range(len(candidates)), options),
    }
    return Cascade(cascade.localizer, cascade.reader, chosen, record)


def check_split(rows: Any, input_column: str, label_column: str) -> None:
    """Raise, as `calibrate` does, unless `rows` is a split to calibrate on."""
    if not isinstance(rows, Dataset):
        raise TypeError(
            f"`rows` must be one split, a datasets.Dataset, got {type(rows).__name__}; pass "
            '`dataset["validation"]`.'
        )
    if "test" in re.split(r"[^a-z]+", str(rows.split).lower()):
        raise ValueError(
            f"`rows` must not be the test split, got split {str(rows.split)!r}; thresholds "
            "chosen on it would look better than they are: pass a validation split."
        )
    for column in (input_column, label_column):
        check_column(rows.column_names, column)
    find_labels(rows, label_column)


def describe_choice(seen: Observations, choice: Choice) -> dict[str, Any]:
    """Accuracy and mean cost of a choice and of its models alone; share of the exits by stage."""
    paths = {unit: seen.replay(choice.stages, unit) for unit in ("multiply_adds", "milliseconds")}
    exits = paths["multiply_adds"].find_exits(choice.thresholds)
    rows = np.arange(len(exits))
    names = ["localizer", *(str(seen.stages[index]) for index in choice.stages)]
    full = [[trace.pieces[piece] for piece in trace.readings[-1]] for trace in seen.traces]
    return {
        "accuracy": {
            "cascade": float(paths["multiply_adds"].right[rows, exits].mean()),
            "localizer": float(seen.right[:, 0].mean()),
            "classifier on full": float(seen.full_right.mean()),
        },
        "expected_cost": {
            unit: {
                "cascade": float(path.cost[rows, exits].mean()),
                "localizer": float(path.cost[:, 0].mean()),
                "classifier on full": float(
                    np.mean([sum(getattr(piece, unit) for piece in pieces) for pieces in full])
                ),
            }
            for unit, path in paths.items()
        },
        "share_leaving": {name: float((exits == stage).mean()) for stage, name in enumerate(names)},
    }


def cross_validate(
    seen: Observations, candidates: Sequence[int], options: CalibrationOptions, seed: int = 0
) -> dict[str, float]:
    """Cross-validated accuracy of the cascade minus that of the full input, with its interval.

    Stages and thresholds chosen on one half of the inputs are scored on the other. The interval
    is that of a paired bootstrap of 10,000 draws.

    Args:
        seen: The inputs.
        candidates: Indices of the stages to choose from.
        options: The goal.
        seed: Seed of the halves and draws.
    """
    random = np.random.default_rng(seed)
    halves = np.array_split(random.permutation(len(seen.traces)), 2)
    gains: list[NDArray[np.int64]] = []
    for chosen_on, tested_on in (halves, halves[::-1]):
        choice = _choose(seen.take(chosen_on), candidates, options)
        others = seen.take(tested_on)
        path = others.replay(choice.stages, options.unit)
        right = path.right[np.arange(len(tested_on)), path.find_exits(choice.thresholds)]
        gains.append(right.astype(int) - others.full_right.astype(int))
    counts = np.bincount(np.concatenate(gains) + 1, minlength=3)  # worse, as good, better
    num_inputs = int(counts.sum())
    draws = random.multinomial(num_inputs, counts / num_inputs, size=10_000)
    low, high = np.quantile((draws[:, 2] - draws[:, 0]) / num_inputs, [0.025, 0.975])
    mean = float(counts[2] - counts[0]) / num_inputs
    return {"mean": mean, "low": float(low), "high": float(high), "confidence": 0.95}


def _choose(seen: Observations, candidates: Sequence[int], options: CalibrationOptions) -> Choice:
    choice = search(seen, candidates, options)
    if choice is None:
        goal = options.describe_goal(float(seen.full_right.mean()))
        raise ValueError(
            f"`stages` must allow {goal}, got {[seen.stages[i] for i in candidates]}; let the "
            "classifier read more or lower the goal."
        )
    return choice
