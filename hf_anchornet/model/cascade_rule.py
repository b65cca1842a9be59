"""The exit rule of a cascade: stages, thresholds, and the answer at each stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

Stage = int | str
"""The number of tokens or patches that the classifier reads at a stage, or `FULL`."""

FULL = "full"

DEFAULT_THRESHOLD = 0.9


@dataclass(frozen=True)
class ExitRule:
    """The stages of a cascade, and when an input exits.

    Stage 0 is the localizer alone; at stage `k` the classifier reads `stages[k - 1]`. The answer
    at stage 0 is the localizer's calibrated probabilities. At a later stage it is the mean of
    these and the classifier's calibrated probabilities for its latest reading, which includes the
    earlier ones. An input exits at stage `k` if its largest probability is above `thresholds[k]`:
    every input at 0, no input at 1. All remaining inputs exit at the last stage.

    Attributes:
        stages: Increasing numbers of tokens (special tokens included) or of patches that the
            classifier reads; the last may be "full", the whole input.
        thresholds: One for each stage but the last, from stage 0, in [0, 1].
        temperatures: Divisor of the logits of each stage's model, from stage 0.
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

        Raises:
            ValueError: naming the argument, its value and the remedy.
        """
        return cls(
            check_stages(stages),
            check_thresholds(exit_threshold, len(stages)),
            _check_temperatures(temperatures, len(stages) + 1),
        )

    def override(self, exit_threshold: float | Sequence[float] | None) -> "ExitRule":
        """The same rule with other thresholds; `None` changes nothing."""
        if exit_threshold is None:
            return self
        return replace(self, thresholds=check_thresholds(exit_threshold, len(self.stages)))

    def combine(self, localizer: Tensor, reading: Tensor | None, stage: int) -> Tensor:
        """Probabilities of the labels after a stage: (..., labels).

        Args:
            localizer: Logits of the localizer, (..., labels).
            reading: Logits of the classifier at this stage, (..., labels); `None` at stage 0.
            stage: Number of the stage.
        """
        probs = torch.softmax(localizer.float() / self.temperatures[0], dim=-1)
        if reading is None:
            return probs
        return (probs + torch.softmax(reading.float() / self.temperatures[stage], dim=-1)) / 2

    def leaves(self, confidence: float, stage: int) -> bool:
        """Whether an input with this largest probability exits at this stage."""
        return stage == len(self.stages) or confidence > self.thresholds[stage]


def check_stages(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages, if they are increasing whole numbers >= 1, possibly followed by "full".

    Raises:
        ValueError: if they are not.
    """
    checked: list[Any] = [] if isinstance(stages, str) else list(stages)
    numbers = checked[:-1] if checked[-1:] == [FULL] else checked
    whole = all(type(number) is int and number >= 1 for number in numbers)
    if isinstance(stages, str) or not whole or sorted(set(numbers)) != numbers:
        raise ValueError(
            f"`stages` must be increasing whole numbers of at least 1, the last may be {FULL!r}, "
            f"got {stages!r}; list what the classifier reads, such as [32, 64, {FULL!r}]."
        )
    return tuple(checked)


def check_thresholds(exit_threshold: float | Sequence[float], num_stages: int) -> tuple[float, ...]:
    """One threshold for each stage but the last, at which every input exits.

    Args:
        exit_threshold: One for all of them or one for each, in [0, 1].
        num_stages: Number of stages at which the classifier reads.

    Raises:
        ValueError: if one is outside [0, 1] or their number is another.
    """
    values = _spread(exit_threshold, num_stages)
    if values is None or not all(0 <= value <= 1 for value in values):
        raise ValueError(
            "`exit_threshold` must be a number in [0, 1] or one for each of the first "
            f"{num_stages} stages, from the localizer's, got {exit_threshold!r}; at 0 every "
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
            f"{num_stages} stages, from the localizer's, got {temperatures!r}; 1 changes nothing."
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
