"""Calibrate a cascade on a validation split: temperatures, stages and thresholds."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from math import inf
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from hf_anchornet.data.splits import check_column, find_labels, number_labels
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_rule import FULL, GLANCE, LOCALIZER, OPENINGS, ExitRule, Stage
from hf_anchornet.model.cascade_trace import Trace

from .options import CalibrationOptions
from .search import Choice, Observations, find_best_accuracy, observe, search
from .temperature import compare_calibration, fit_temperatures


def calibrate(
    cascade: Cascade,
    rows: Dataset,
    input_column: str,
    label_column: str,
    options: CalibrationOptions | None = None,
) -> Cascade:
    """A cascade of the same models with the best stages, thresholds and temperatures.

    Each input is read once at every candidate stage and in full; the rest is arithmetic. With both
    "ngrams" and "localizer" among the candidates, it is read twice: the spans that the one of them
    chooses, and those of the other. Patches do not depend on a glance, so images are read once.

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
            reaches the goal, unless `best_effort` is wanted.
    """
    options = options or CalibrationOptions()
    check_split(rows, input_column, label_column)
    localizer = cascade.localizer
    candidates = list_candidates(cascade, options)
    targets = torch.tensor(number_labels(rows, label_column, cascade.labels))
    sources = [
        localizer.check_input(item, f"row {row}") for row, item in enumerate(rows[input_column])
    ]
    routes = [
        _observe_route(stages, traces, targets)
        for stages, traces in _follow_routes(cascade, candidates, sources, options.batch_size)
    ]
    observations = [seen for seen, _ in routes]
    choice = _choose(observations, options)
    seen, rule = routes[choice.seen]
    chosen = ExitRule.make(
        [rule.stages[index] for index in choice.stages],
        choice.thresholds,
        [rule.temperatures[index] for index in choice.stages],
    )
    described = describe_choice(observations, choice)
    accuracy, cost = (described[name] for name in ("accuracy", "expected_cost"))
    best = find_best_accuracy(observations)
    rank = options.rank(accuracy["cascade"], cost[options.unit]["cascade"], best)
    record = {
        "split": {
            "fingerprint": rows._fingerprint,
            "name": str(rows.split),
            "num_rows": len(rows),
        },
        "options": asdict(options),
        "reading": localizer.describe_reading(),
        "calibration_error": compare_calibration(seen.traces, targets, rule),
        **described,
        "reaches_goal": rank is not None,
        "difference": cross_validate(observations, options),
    }
    return cascade.follow_rule(chosen, record)


BATCHES_TOGETHER = 8
"""Batches that are made of inputs sorted by length; progress is told after each lot."""

ANY_COST = 1e18
"""A cost that no cascade has; unlike infinity it can be written as JSON."""


def list_candidates(cascade: Cascade, options: CalibrationOptions) -> tuple[Stage, ...]:
    """The stages that a calibration of these models chooses from; see `list_stages`."""
    return options.list_stages(cascade, getattr(cascade.reader, "readable_tokens", inf))


def _follow_routes(
    cascade: Cascade, candidates: tuple[Stage, ...], sources: Sequence[Any], batch_size: int
) -> Iterator[tuple[tuple[Stage, ...], list[Trace]]]:
    """The traces of all inputs by the opening stages of a cascade, see `Observations`.

    Each comes with its candidates, all others among them.
    """
    opening = [stage for stage in candidates if stage in OPENINGS]
    readings = candidates[len(opening) :]

    def follow(*stages: Stage) -> tuple[tuple[Stage, ...], list[Trace]]:
        route = (*stages, *readings)
        plain = cascade.follow_rule(ExitRule.make(_end_in_full(route), 1.0))
        count, traces = BATCHES_TOGETHER * batch_size, []
        names = ", ".join(map(str, stages))
        with tqdm(total=len(sources), desc=f"reading, {names} first", disable=None) as progress:
            for start in range(0, len(sources), count):
                traces += plain.follow(sources[start : start + count], batch_size)
                progress.update(min(count, len(sources) - start))
        return route, traces

    if opening == [GLANCE, LOCALIZER]:
        route, traces = follow(*opening)
        glanced, by_localizer = zip(*(_split_trace(trace) for trace in traces), strict=True)
        yield (GLANCE, *readings), list(glanced)
        yield route, traces
        yield (LOCALIZER, *readings), list(by_localizer)  # last: this one is the localizer alone
    else:
        for end in range(len(opening)):
            yield follow(*opening[: end + 1])


def _split_trace(trace: Trace) -> tuple[Trace, Trace]:
    """The traces of the same image without the stage of the localizer, and without a glance."""
    glance, localizer = trace.opened
    return (
        replace(trace, opened=[glance], located=localizer),
        replace(trace, opened=[localizer], glanced=False),
    )


def _end_in_full(candidates: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return candidates if candidates[-1] == FULL else (*candidates, FULL)


def _observe_route(
    candidates: tuple[Stage, ...], traces: Sequence[Trace], targets: Tensor
) -> tuple[Observations, ExitRule]:
    """What each input was answered at all candidates and in full, and the calibrated rule."""
    stages = _end_in_full(candidates)
    rule = ExitRule.make(stages, 1.0, fit_temperatures(traces, targets))
    return observe(traces, rule, targets, len(candidates)), rule


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


def describe_choice(observations: Sequence[Observations], choice: Choice) -> dict[str, Any]:
    """Accuracy and mean cost of a choice and of its models alone; share of the exits by stage."""
    seen = observations[choice.seen]
    alone = {str(one.stages[one.opened]): one for one in observations}
    paths = {unit: seen.replay(choice.stages, unit) for unit in ("multiply_adds", "milliseconds")}
    exits = paths["multiply_adds"].find_exits(choice.thresholds)
    rows = np.arange(len(exits))
    names = [str(seen.stages[index]) for index in choice.stages]
    full = [[trace.pieces[piece] for piece in trace.readings[-1]] for trace in seen.traces]
    return {
        "accuracy": {
            "cascade": float(paths["multiply_adds"].right[rows, exits].mean()),
            **{name: float(one.right[:, one.opened].mean()) for name, one in alone.items()},
            "classifier on full": float(seen.full_right.mean()),
        },
        "expected_cost": {
            unit: {
                "cascade": float(path.cost[rows, exits].mean()),
                **{
                    name: float(one.replay([one.opened], unit).cost.mean())
                    for name, one in alone.items()
                },
                "classifier on full": float(
                    np.mean([sum(getattr(piece, unit) for piece in pieces) for pieces in full])
                ),
            }
            for unit, path in paths.items()
        },
        "share_leaving": {name: float((exits == stage).mean()) for stage, name in enumerate(names)},
    }


def cross_validate(
    observations: Sequence[Observations], options: CalibrationOptions, seed: int = 0
) -> dict[str, float]:
    """Cross-validated accuracy of the cascade minus that of the full input, with its interval.

    Stages and thresholds chosen on one half of the inputs, the most accurate if none reach the
    goal there, are scored on the other. The interval
    is that of a paired bootstrap of 10,000 draws.

    Args:
        observations: The same inputs, by the last opening stage.
        options: The goal.
        seed: Seed of the halves and draws.
    """
    random = np.random.default_rng(seed)
    halves = np.array_split(random.permutation(len(observations[0].traces)), 2)
    gains: list[NDArray[np.int64]] = []
    for chosen_on, tested_on in (halves, halves[::-1]):
        half = [seen.take(chosen_on) for seen in observations]
        choice = _choose(half, replace(options, best_effort=True))
        others = observations[choice.seen].take(tested_on)
        path = others.replay(choice.stages, options.unit)
        right = path.right[np.arange(len(tested_on)), path.find_exits(choice.thresholds)]
        gains.append(right.astype(int) - others.full_right.astype(int))
    return compare_answers(np.concatenate(gains), random)


def compare_answers(gains: NDArray[np.int64], random: np.random.Generator) -> dict[str, float]:
    """Mean difference of the accuracy of two models, with the interval of a paired bootstrap.

    Args:
        gains: For each input 1 if only the first model is right, -1 if only the second, else 0.
        random: Of the 10,000 draws.
    """
    counts = np.bincount(gains + 1, minlength=3)  # worse, as good, better
    num_inputs = int(counts.sum())
    draws = random.multinomial(num_inputs, counts / num_inputs, size=10_000)
    low, high = np.quantile((draws[:, 2] - draws[:, 0]) / num_inputs, [0.025, 0.975])
    mean = float(counts[2] - counts[0]) / num_inputs
    return {"mean": mean, "low": float(low), "high": float(high), "confidence": 0.95}


def _choose(observations: Sequence[Observations], options: CalibrationOptions) -> Choice:
    choice = search(observations, options)
    if choice is None and options.best_effort:
        choice = search(observations, replace(options, max_cost=ANY_COST, min_accuracy=None))
    if choice is None:
        goal = options.describe_goal(find_best_accuracy(observations))
        widest = max(observations, key=lambda seen: len(seen.candidates))
        stages = [widest.stages[index] for index in widest.candidates]
        raise ValueError(
            f"`stages` must allow {goal}, got {stages}; let the classifier read more or lower the "
            "goal."
        )
    return choice
