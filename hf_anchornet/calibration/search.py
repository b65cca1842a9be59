"""Search for the stages and thresholds of a cascade, on inputs that were read at every stage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hf_anchornet.model.cascade_rule import ExitRule, Stage
from hf_anchornet.model.cascade_trace import Trace

from .options import CalibrationOptions


@dataclass(frozen=True)
class Observations:
    """Answers to each input at the localizer's stage and at each candidate stage, and their cost.

    Attributes:
        stages: The candidates; the last is "full".
        confidence: Largest probability of the calibrated answer, (inputs, 1 + stages).
        right: Whether this answer is right, (inputs, 1 + stages), bool.
        full_right: Whether the classifier alone is right on the full input, (inputs,), bool.
        traces: The inputs' readings at all candidates.
    """

    stages: tuple[Stage, ...]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    full_right: NDArray[np.bool_]
    traces: Sequence[Trace]

    def take(self, rows: NDArray[np.int64]) -> "Observations":
        """The observations of some inputs."""
        traces = [self.traces[row] for row in rows]
        fields = (self.confidence[rows], self.right[rows], self.full_right[rows])
        return Observations(self.stages, *fields, traces)

    def replay(self, chosen: Sequence[int], unit: str) -> "Replay":
        """The answers and costs of a cascade with some of the candidate stages.

        Args:
            chosen: Indices of the stages, rising.
            unit: Unit of cost: "multiply_adds" or "milliseconds".
        """
        shape = (len(self.traces), 1 + len(chosen))
        source, cost = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for row, trace in enumerate(self.traces):
            pieces = trace.pieces
            spent, seen, at = _price_localizer(trace, unit), set(), 0
            cost[row, 0] = spent
            for number, index in enumerate(chosen, start=1):
                new = [piece for piece in trace.readings[index] if piece not in seen]
                seen.update(new)
                spent += sum(float(getattr(pieces[piece], unit)) for piece in new)
                at = index + 1 if new else at  # the answer stays without anything new to read
                source[row, number], cost[row, number] = at, spent
        rows = np.arange(shape[0])[:, None]
        return Replay(self.confidence[rows, source], self.right[rows, source], cost)


@dataclass(frozen=True)
class Replay:
    """Answers and cumulative costs at each stage of a cascade, each (inputs, 1 + stages)."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    cost: NDArray[np.float64]

    def find_exits(self, thresholds: Sequence[float]) -> NDArray[np.int64]:
        """The stage at which each input exits: (inputs,)."""
        passed = self.confidence[:, :-1] > np.array(thresholds)
        last = np.ones((len(passed), 1), dtype=bool)
        stages: NDArray[np.int64] = np.concatenate([passed, last], axis=1).argmax(axis=1)
        return stages

    def try_thresholds(self, num_levels: int) -> Iterator[tuple[list[float], float, float]]:
        """Thresholds at quantiles of each stage's confidence, with their accuracy and mean cost.

        Args:
            num_levels: Thresholds to try at each stage, in addition to 0 and 1.
        """
        levels = [
            np.unique([0.0, *_round_down(np.quantile(column, np.linspace(0, 1, num_levels))), 1.0])
            for column in self.confidence[:, :-1].T
        ]
        count = len(self.right)

        def descend(
            stage: int, staying: NDArray[np.int64], hits: int, cost: float, path: list[float]
        ) -> Iterator[tuple[list[float], float, float]]:
            if stage == len(levels):
                hits += int(self.right[staying, stage].sum())
                yield path, hits / count, (cost + self.cost[staying, stage].sum()) / count
                return
            for level in levels[stage].tolist():
                leaves = self.confidence[staying, stage] > level
                left = staying[leaves]
                yield from descend(
                    stage + 1,
                    staying[~leaves],
                    hits + int(self.right[left, stage].sum()),
                    cost + float(self.cost[left, stage].sum()),
                    [*path, level],
                )
                if not len(left):  # no input exits at a higher threshold either
                    break

        return descend(0, np.arange(count), 0, 0.0, [])


@dataclass(frozen=True)
class Choice:
    """Indices of the chosen stages among the candidates, and their thresholds."""

    stages: tuple[int, ...]
    thresholds: tuple[float, ...]


def search(
    seen: Observations,
    candidates: Sequence[int],
    options: CalibrationOptions,
    num_levels: int = 16,
) -> Choice | None:
    """The best stages and thresholds; `None` if no choice reaches the goal.

    All sets of at most `options.max_stages` candidates are tried, the localizer alone included.

    Args:
        seen: The inputs.
        candidates: Indices of the stages to choose from.
        options: The goal.
        num_levels: See `Replay.try_thresholds`.
    """
    full_accuracy = float(seen.full_right.mean())
    best: tuple[tuple[float, float], Choice] | None = None
    for size in range(options.max_stages + 1):
        for chosen in combinations(candidates, size):
            tried = seen.replay(chosen, options.unit).try_thresholds(num_levels)
            for thresholds, accuracy, cost in tried:
                rank = options.rank(accuracy, cost, full_accuracy)
                if rank is not None and (best is None or rank < best[0]):
                    best = rank, Choice(chosen, tuple(thresholds))
    return None if best is None else best[1]


def observe(traces: Sequence[Trace], rule: ExitRule, targets: Tensor) -> Observations:
    """Correctness and confidence of each input's answer at every stage.

    Args:
        traces: The inputs' readings at all stages of the rule; the last is the full input.
        rule: Its temperatures calibrate the answers.
        targets: The right labels, (inputs,), int64.
    """
    confidence = np.zeros((len(traces), 1 + len(rule.stages)))
    right = np.zeros(confidence.shape, dtype=bool)
    full_right = np.zeros(len(traces), dtype=bool)
    for row, (trace, target) in enumerate(zip(traces, targets.tolist(), strict=True)):
        readings = [trace.average(reading) if reading else None for reading in trace.readings]
        for stage, reading in enumerate([None, *readings]):
            probs = rule.combine(trace.logits, reading, stage)
            confidence[row, stage] = float(probs.max())
            right[row, stage] = int(probs.argmax()) == target
        full = trace.logits if readings[-1] is None else readings[-1]
        full_right[row] = int(full.argmax()) == target
    return Observations(rule.stages, confidence, right, full_right, traces)


def _price_localizer(trace: Trace, unit: str) -> float:
    if unit == "multiply_adds":
        return float(trace.localizer_multiply_adds)
    return trace.milliseconds - trace.classifier_milliseconds


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values rounded down to six digits, so that what is above a threshold stays above it."""
    rounded: NDArray[np.float64] = np.floor(values * 1e6) / 1e6
    return rounded
