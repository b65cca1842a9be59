"""The stages and thresholds of a cascade that serve best on inputs seen at every stage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hf_anchornet.model.cascade_rule import ExitRule, Stage
from hf_anchornet.model.cascade_trace import Trace

Unit = Literal["multiply_adds", "milliseconds"]


@dataclass(frozen=True)
class Goal:
    """What a cascade is chosen for.

    Attributes:
        max_loss: The least expected cost at an accuracy of at least that on the full input less
            this; in [0, 1].
        min_accuracy: If given, instead of the accuracy on the full input less `max_loss`.
        max_cost: If given, instead: the best accuracy at an expected cost of at most this.
        unit: What cost is: "multiply_adds" or "milliseconds" of one input.
    """

    max_loss: float = 0.01
    min_accuracy: float | None = None
    max_cost: float | None = None
    unit: Unit = "multiply_adds"

    def rank(
        self, accuracy: float, cost: float, full_accuracy: float
    ) -> tuple[float, float] | None:
        """The smaller the better; `None` if the goal is missed."""
        if self.max_cost is not None:
            return (-accuracy, cost) if cost <= self.max_cost else None
        wanted = full_accuracy - self.max_loss if self.min_accuracy is None else self.min_accuracy
        return (cost, -accuracy) if accuracy >= wanted - 1e-9 else None


@dataclass(frozen=True)
class Observations:
    """What was said of each input at the localizer's and each candidate stage, and at what cost.

    Attributes:
        stages: The candidates; the last is "full".
        confidence: (inputs, 1 + stages), the largest probability of the calibrated answer.
        right: (inputs, 1 + stages), bool, whether this answer is right.
        full_right: (inputs,), bool, whether the classifier alone is, on the full input.
        traces: How the inputs came through all candidates.
    """

    stages: tuple[Stage, ...]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    full_right: NDArray[np.bool_]
    traces: Sequence[Trace]

    def take(self, rows: NDArray[np.int64]) -> "Observations":
        """The same of some of the inputs."""
        traces = [self.traces[row] for row in rows]
        fields = (self.confidence[rows], self.right[rows], self.full_right[rows])
        return Observations(self.stages, *fields, traces)

    def replay(self, chosen: Sequence[int], unit: Unit) -> "Replay":
        """The inputs' way through some of the candidates alone.

        Args:
            chosen: Indices of the stages, rising.
            unit: What cost is.
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
                at = index + 1 if new else at  # with nothing new to read the answer stays
                source[row, number], cost[row, number] = at, spent
        rows = np.arange(shape[0])[:, None]
        return Replay(self.confidence[rows, source], self.right[rows, source], cost)


@dataclass(frozen=True)
class Replay:
    """Answers and cost so far at each stage of a cascade: each (inputs, 1 + stages)."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    cost: NDArray[np.float64]

    def leave(self, thresholds: Sequence[float]) -> NDArray[np.int64]:
        """The stage at which each input leaves: (inputs,)."""
        passed = self.confidence[:, :-1] > np.array(thresholds)
        last = np.ones((len(passed), 1), dtype=bool)
        stages: NDArray[np.int64] = np.concatenate([passed, last], axis=1).argmax(axis=1)
        return stages

    def try_thresholds(self, num_levels: int) -> Iterator[tuple[list[float], float, float]]:
        """Thresholds at quantiles of each stage's confidence, their accuracy and mean cost.

        Args:
            num_levels: Thresholds to try at each stage, besides 0 and 1.
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
                if not len(left):  # neither leaves anyone at a higher threshold
                    break

        return descend(0, np.arange(count), 0, 0.0, [])


@dataclass(frozen=True)
class Choice:
    """The indices of the stages chosen among the candidates, and their thresholds."""

    stages: tuple[int, ...]
    thresholds: tuple[float, ...]


def search(
    seen: Observations,
    candidates: Sequence[int],
    goal: Goal,
    max_stages: int = 3,
    num_levels: int = 16,
) -> Choice | None:
    """The best stages and thresholds; `None` if none reaches the goal.

    All sets of at most `max_stages` candidates are tried, the localizer alone among them.

    Args:
        seen: The inputs.
        candidates: Indices of the stages to choose from.
        goal: What is best.
        max_stages: Stages at which the classifier may read.
        num_levels: See `Replay.try_thresholds`.
    """
    full_accuracy = float(seen.full_right.mean())
    best: tuple[tuple[float, float], Choice] | None = None
    for size in range(max_stages + 1):
        for chosen in combinations(candidates, size):
            tried = seen.replay(chosen, goal.unit).try_thresholds(num_levels)
            for thresholds, accuracy, cost in tried:
                rank = goal.rank(accuracy, cost, full_accuracy)
                if rank is not None and (best is None or rank < best[0]):
                    best = rank, Choice(chosen, tuple(thresholds))
    return None if best is None else best[1]


def observe(traces: Sequence[Trace], rule: ExitRule, targets: Tensor) -> Observations:
    """How right and how sure each answer is, if no input leaves.

    Args:
        traces: How the inputs came through all stages of the rule; the last is the full input.
        rule: Its temperatures calibrate the answers.
        targets: (inputs,), int64, the right labels.
    """
    confidence = np.zeros((len(traces), 1 + len(rule.stages)))
    right = np.zeros(confidence.shape, dtype=bool)
    full_right = np.zeros(len(traces), dtype=bool)
    for row, (trace, target) in enumerate(zip(traces, targets.tolist(), strict=True)):
        said = [trace.average(reading) if reading else None for reading in trace.readings]
        for stage, reading in enumerate([None, *said]):
            probs = rule.combine(trace.logits, reading, stage)
            confidence[row, stage] = float(probs.max())
            right[row, stage] = int(probs.argmax()) == target
        full = trace.logits if said[-1] is None else said[-1]
        full_right[row] = int(full.argmax()) == target
    return Observations(rule.stages, confidence, right, full_right, traces)


def _price_localizer(trace: Trace, unit: Unit) -> float:
    if unit == "multiply_adds":
        return float(trace.localizer_multiply_adds)
    return trace.milliseconds - trace.classifier_milliseconds


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To six digits: what was just above a threshold still is."""
    rounded: NDArray[np.float64] = np.floor(values * 1e6) / 1e6
    return rounded
