"""Search for the stages and thresholds of a cascade, on inputs that were read at every stage."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hf_anchornet.model.cascade_rule import FULL, GLANCE, OPENINGS, ExitRule, Stage
from hf_anchornet.model.cascade_trace import Trace

from .options import CalibrationOptions


@dataclass(frozen=True)
class Observations:
    """Answers to each input at every stage, and their cost.

    What the classifier reads of a text is chosen by the last opening stage, and the answers of the
    opening stages are averaged with that of the classifier: cascades with other opening stages need
    observations of their own.

    Attributes:
        stages: The opening stages, then those at which the classifier reads; the last is "full".
        candidates: Indices of the stages that a cascade may have.
        confidence: Largest probability of the calibrated answer, (inputs, stages).
        right: Whether this answer is right, (inputs, stages), bool.
        full_right: Whether the classifier alone is right on the full input, (inputs,), bool.
        traces: The inputs' answers at all stages.
    """

    stages: tuple[Stage, ...]
    candidates: Sequence[int]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    full_right: NDArray[np.bool_]
    traces: Sequence[Trace]

    @property
    def opened(self) -> int:
        """Index of the last opening stage, which every cascade has."""
        return sum(stage in OPENINGS for stage in self.stages) - 1

    @property
    def kept(self) -> tuple[int, ...]:
        """Indices of the stages that every cascade has: the last opening one, and a glance."""
        glances = self.stages[0] == GLANCE and self.opened > 0
        return (0, self.opened) if glances else (self.opened,)

    def take(self, rows: NDArray[np.int64]) -> "Observations":
        """The observations of some inputs."""
        traces = [self.traces[row] for row in rows]
        fields = (self.confidence[rows], self.right[rows], self.full_right[rows])
        return Observations(self.stages, self.candidates, *fields, traces)

    def list_choices(self, most: int) -> Iterator[tuple[int, ...]]:
        """Indices of the stages of all cascades with at most `most` stages after the first."""
        others = [index for index in self.candidates if index not in self.kept]
        for size in range(most + 2 - len(self.kept)):
            for chosen in combinations(others, size):
                yield tuple(sorted((*self.kept, *chosen)))

    def replay(self, chosen: Sequence[int], unit: str) -> "Replay":
        """The answers and costs of a cascade with some of the stages.

        A localizer that answers without its n-grams first is charged for that look-up too: it
        contains it.

        Args:
            chosen: Indices of the stages, rising, the last opening one among them.
            unit: Unit of cost: "multiply_adds" or "milliseconds".
        """
        shape = (len(self.traces), len(chosen))
        source, cost = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        first = self.opened + 1  # stage at which the classifier reads
        for row, trace in enumerate(self.traces):
            opening = np.cumsum([float(getattr(answer, unit)) for answer in trace.opened])
            seen: set[Hashable] = set()
            at, spent, located = self.opened, float(opening[-1]), trace.located
            for number, index in enumerate(chosen):
                if index < first:
                    source[row, number], cost[row, number] = index, opening[index]
                    continue
                if located is not None and self.stages[index] != FULL:
                    spent, located = spent + float(getattr(located, unit)), None
                new = [piece for piece in trace.readings[index - first] if piece not in seen]
                seen.update(new)
                spent += sum(float(getattr(trace.pieces[piece], unit)) for piece in new)
                at = index if new else at  # the answer stays without anything new to read
                source[row, number], cost[row, number] = at, spent
        rows = np.arange(shape[0])[:, None]
        return Replay(self.confidence[rows, source], self.right[rows, source], cost)


@dataclass(frozen=True)
class Replay:
    """Answers and cumulative costs at each stage of a cascade, each (inputs, stages)."""

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
    """A cascade: of which of several observations, indices of their stages, and thresholds."""

    seen: int
    stages: tuple[int, ...]
    thresholds: tuple[float, ...]


def search(
    observations: Sequence[Observations], options: CalibrationOptions, num_levels: int = 16
) -> Choice | None:
    """The best stages and thresholds; `None` if no choice reaches the goal.

    All cascades with at most `options.max_stages` stages after the first are tried, each opening
    stage alone included.

    Args:
        observations: The same inputs, by the last opening stage.
        options: The goal.
        num_levels: See `Replay.try_thresholds`.
    """
    reference = find_best_accuracy(observations)
    best: tuple[tuple[float, float], Choice] | None = None
    for number, seen in enumerate(observations):
        for chosen in seen.list_choices(options.max_stages):
            tried = seen.replay(chosen, options.unit).try_thresholds(num_levels)
            for thresholds, accuracy, cost in tried:
                rank = options.rank(accuracy, cost, reference)
                if rank is not None and (best is None or rank < best[0]):
                    best = rank, Choice(number, chosen, tuple(thresholds))
    return None if best is None else best[1]


def find_best_accuracy(observations: Sequence[Observations]) -> float:
    """Accuracy of the best model alone: the classifier on the full input, or an opening stage."""
    alone = [seen.right[:, seen.opened] for seen in observations]
    return max(float(right.mean()) for right in [observations[0].full_right, *alone])


def observe(
    traces: Sequence[Trace], rule: ExitRule, targets: Tensor, num_candidates: int | None = None
) -> Observations:
    """Correctness and confidence of each input's answer at every stage.

    Args:
        traces: The inputs' answers at all stages of the rule; the last is the full input.
        rule: Its temperatures calibrate the answers.
        targets: The right labels, (inputs,), int64.
        num_candidates: How many of the stages, cheapest first, a cascade may have; default: all.
    """
    confidence = np.zeros((len(traces), len(rule.stages)))
    right = np.zeros(confidence.shape, dtype=bool)
    full_right = np.zeros(len(traces), dtype=bool)
    for row, (trace, target) in enumerate(zip(traces, targets.tolist(), strict=True)):
        readings = [trace.average(reading) if reading else None for reading in trace.readings]
        opened = [answer.logits for answer in trace.opened]
        for stage in range(len(rule.stages)):
            number = stage - len(opened)
            reading = readings[number] if number >= 0 else None
            probs = rule.combine(opened[: stage + 1], reading, stage)
            confidence[row, stage] = float(probs.max())
            right[row, stage] = int(probs.argmax()) == target
        full = trace.logits if readings[-1] is None else readings[-1]
        full_right[row] = int(full.argmax()) == target
    candidates = range(len(rule.stages) if num_candidates is None else num_candidates)
    return Observations(rule.stages, candidates, confidence, right, full_right, traces)


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values rounded down to six digits, so that what is above a threshold stays above it."""
    rounded: NDArray[np.float64] = np.floor(values * 1e6) / 1e6
    return rounded
