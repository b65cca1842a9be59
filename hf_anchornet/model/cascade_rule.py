"""The exit rule of a cascade: stages, thresholds, and the answer at each stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

Stage = int | str
"""What answers at a stage: `NGRAMS` or `LOCALIZER`; or what the classifier reads: a number of
tokens or patches, or `FULL`."""

NGRAMS, LOCALIZER, FULL = "ngrams", "localizer", "full"
"""The n-gram branches of a text localizer alone; the whole localizer; the full input."""
OPENINGS = (NGRAMS, LOCALIZER)

DEFAULT_THRESHOLD = 0.9


@dataclass(frozen=True)
class ExitRule:
    """The stages of a cascade, and when an input exits.

    The stages count from 0, cheapest first. At the opening stages the localizer answers: its
    n-gram branches alone, then all of it, or one of the two. Their answer is the calibrated
    probabilities. At the other stages the classifier reads. Then the answer is the mean of the last
    opening stage's probabilities and of the classifier's calibrated probabilities for its latest
    reading, which includes the earlier ones. An input exits at stage `k` if its largest probability
    is above `thresholds[k]`: every input at 0, no input at 1. All remaining inputs exit at the last
    stage.

    Attributes:
        stages: "ngrams", "localizer" or both; then increasing numbers of tokens (special tokens
            included) or of patches that the classifier reads; then "full", the whole input. All but
            one of the first two may be left out.
        thresholds: One for each stage but the last, in [0, 1].
        temperatures: Divisor of the logits of each stage's model.
    """

    stages: tuple[Stage, ...]
    thresholds: tuple[float, ...]
    temperatures: tuple[float, ...]

    @classmethod
    def make(
        cls,
        stages: Sequence[Stage],
        exit_threshold: float | Sequence[float] = DEFAULT_THRESHOLD,
        temperatures: float | Sequence[float] = 1.0,
    ) -> "ExitRule":
        """A checked rule; a single threshold or temperature applies to all stages.

        Args:
            stages: See the class; "localizer" is put in front of a list that names no opening
                stage first.
            exit_threshold: See `thresholds` of the class.
            temperatures: See the class.

        Raises:
            ValueError: naming the argument, its value and the remedy.
        """
        checked = check_stages(stages)
        return cls(
            checked,
            check_thresholds(exit_threshold, len(checked) - 1),
            _check_temperatures(temperatures, len(checked)),
        )

    @property
    def opening(self) -> tuple[Stage, ...]:
        """The stages that the localizer answers, one or two."""
        return tuple(stage for stage in self.stages if stage in OPENINGS)

    @property
    def readings(self) -> tuple[Stage, ...]:
        """What the classifier reads at the other stages."""
        return self.stages[len(self.opening) :]

    def override(self, exit_threshold: float | Sequence[float] | None) -> "ExitRule":
        """The same rule with other thresholds; `None` changes nothing."""
        if exit_threshold is None:
            return self
        return replace(self, thresholds=check_thresholds(exit_threshold, len(self.stages) - 1))

    def combine(self, opening: Tensor, reading: Tensor | None, stage: int) -> Tensor:
        """Probabilities of the labels after a stage: (..., labels).

        Args:
            opening: Logits of this opening stage or, at a stage where the classifier reads, of the
                last opening stage: (..., labels).
            reading: Logits of the classifier at this stage, (..., labels); `None` if there was
                nothing to read, and at the opening stages.
            stage: Number of the stage.
        """
        opened = min(stage, len(self.opening) - 1)
        probs = torch.softmax(opening.float() / self.temperatures[opened], dim=-1)
        if reading is None:
            return probs
        return (probs + torch.softmax(reading.float() / self.temperatures[stage], dim=-1)) / 2

    def leaves(self, confidence: float, stage: int) -> bool:
        """Whether an input with this largest probability exits at this stage."""
        return stage == len(self.stages) - 1 or confidence > self.thresholds[stage]


def check_stages(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """All stages of a rule, with "localizer" in front if the list names no opening stage first.

    Raises:
        ValueError: if a stage is unknown, or they are out of order of cost.
    """
    given: list[Any] = [] if isinstance(stages, str) else list(stages)
    unknown = [stage for stage in given if not _is_stage(stage)]
    if isinstance(stages, str) or unknown:
        raise ValueError(
            f"`stages` must be a list of {NGRAMS!r}, {LOCALIZER!r}, whole numbers of at least 1 "
            f"and {FULL!r}, got {unknown[0] if unknown else stages!r}; list what answers and what "
            f"the classifier reads, such as [{LOCALIZER!r}, 32, 64, {FULL!r}]."
        )
    complete = given if given[:1] and given[0] in OPENINGS else [LOCALIZER, *given]
    costs = [_rank_cost(stage) for stage in complete]
    if sorted(set(costs)) != costs:
        raise ValueError(
            f"`stages` must be in order of cost, each once: {NGRAMS!r}, {LOCALIZER!r}, increasing "
            f"numbers, {FULL!r}; got {given!r}, out of order of cost; sort them and leave out "
            "repeats."
        )
    return tuple(complete)


def name_stage(stage: Stage) -> str:
    """A stage in words: who answers, and what it reads."""
    return str(stage) if stage in OPENINGS else f"classifier on {stage}"


def _is_stage(stage: Any) -> bool:
    return (
        stage in (*OPENINGS, FULL) if isinstance(stage, str) else type(stage) is int and stage > 0
    )


def _rank_cost(stage: Stage) -> float:
    """A number that rises with the cost of a stage."""
    ranks = {NGRAMS: -1.0, LOCALIZER: 0.0, FULL: float("inf")}
    return ranks[stage] if isinstance(stage, str) else float(stage)


def check_thresholds(exit_threshold: float | Sequence[float], num_stages: int) -> tuple[float, ...]:
    """One threshold for each stage but the last, at which every input exits.

    Args:
        exit_threshold: One for all of them or one for each, in [0, 1].
        num_stages: Number of stages but the last.

    Raises:
        ValueError: if one is outside [0, 1] or their number is another.
    """
    values = _spread(exit_threshold, num_stages)
    if values is None or not all(0 <= value <= 1 for value in values):
        raise ValueError(
            "`exit_threshold` must be a number in [0, 1] or one for each of the first "
            f"{num_stages} stages, cheapest first, got {exit_threshold!r}; at 0 every "
            "input exits, at 1 no input."
        )
    return values


def _check_temperatures(
    temperatures: float | Sequence[float], num_stages: int
) -> tuple[float, ...]:
    values = _spread(temperatures, num_stages)
    if values is None or not all(0 < value < float("inf") for value in values):
        raise ValueError(
            "`temperatures` must be a positive number or one for each of the "
            f"{num_stages} stages, cheapest first, got {temperatures!r}; 1 changes nothing."
        )
    return values


def _spread(values: float | Sequence[float], count: int) -> tuple[float, ...] | None:
    """`count` numbers, from one or from as many; `None` if `values` is anything else."""
    listed = [values] * count if isinstance(values, Real) else values
    if not isinstance(listed, Sequence) or len(listed) != count:
        return None
    if not all(isinstance(value, Real) and not isinstance(value, bool) for value in listed):
        return None
    return tuple(float(value) for value in listed)
