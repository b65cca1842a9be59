"""The exit rule of a cascade: stages, thresholds, and the answer at each stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

Stage = int | str
"""What answers at a stage: `GLANCE`, `NGRAMS` or `LOCALIZER`; or what the classifier reads: a
number of tokens or patches, or `FULL`."""

GLANCE, NGRAMS, LOCALIZER, FULL = "glance", "ngrams", "localizer", "full"
"""An image classifier on the whole image, made small; the n-gram branches of a text localizer
alone; the whole localizer; the full input."""
OPENINGS = (GLANCE, NGRAMS, LOCALIZER)

DEFAULT_THRESHOLD = 0.9


@dataclass(frozen=True)
class ExitRule:
    """The stages of a cascade, and when an input exits.

    The stages count from 0, cheapest first. At the opening stages a glance or the localizer
    answers: of a text the localizer's n-gram branches alone, of an image a classifier that glances
    at the whole of it, made small; then the localizer; or one of the two. At the other stages the
    classifier reads. The answer of a stage is the mean of the calibrated probabilities of all who
    answered so far, each with its latest answer, which includes its earlier ones: the localizer's
    that of its n-grams, a reading the readings before. An input exits at stage `k` if its largest
    probability is above `thresholds[k]`: every input at 0, no input at 1. All remaining inputs exit
    at the last stage.

    Attributes:
        stages: "ngrams" or "glance", then "localizer", or one of them; then increasing numbers of
            tokens (special tokens included) or of patches that the classifier reads; then "full",
            the whole input. All but one of the opening stages may be left out. The localizer
            chooses the patches that are read, whether it is a stage or not.
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
        """The stages that come before the classifier reads, one or two."""
        return tuple(stage for stage in self.stages if stage in OPENINGS)

    @property
    def readings(self) -> tuple[Stage, ...]:
        """What the classifier reads at the other stages."""
        return self.stages[len(self.opening) :]

    @property
    def locates_later(self) -> bool:
        """Whether the localizer is no stage, and only chooses what the classifier reads."""
        return self.opening == (GLANCE,) and any(stage != FULL for stage in self.readings)

    def override(self, exit_threshold: float | Sequence[float] | None) -> "ExitRule":
        """The same rule with other thresholds; `None` changes nothing."""
        if exit_threshold is None:
            return self
        return replace(self, thresholds=check_thresholds(exit_threshold, len(self.stages) - 1))

    def combine(self, opened: Sequence[Tensor], reading: Tensor | None, stage: int) -> Tensor:
        """Probabilities of the labels after a stage: (..., labels).

        Args:
            opened: Logits of the opening stages up to this one: (..., labels) each.
            reading: Logits of the classifier at this stage, (..., labels); `None` if there was
                nothing to read, and at the opening stages.
            stage: Number of the stage.
        """
        answers = dict(zip(self.opening, enumerate(opened), strict=False))
        if LOCALIZER in answers:
            answers.pop(NGRAMS, None)  # they are part of the localizer's answer
        found = list(answers.values()) + ([] if reading is None else [(stage, reading)])
        probs = [
            torch.softmax(logits.float() / self.temperatures[number], dim=-1)
            for number, logits in found
        ]
        return sum(probs[1:], probs[0]) / len(probs)

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
            f"`stages` must be a list of {', '.join(map(repr, OPENINGS))}, whole numbers of at "
            f"least 1 and {FULL!r}, got {unknown[0] if unknown else stages!r}; list what answers "
            f"and what the classifier reads, such as [{LOCALIZER!r}, 32, 64, {FULL!r}]."
        )
    complete = given if given[:1] and given[0] in OPENINGS else [LOCALIZER, *given]
    costs = [_rank_cost(stage) for stage in complete]
    if sorted(set(costs)) != costs:
        raise ValueError(
            f"`stages` must be in order of cost, each once: {', '.join(map(repr, OPENINGS))}, "
            f"increasing numbers, {FULL!r}; got {given!r}, out of order of cost; sort them and "
            "leave out repeats."
        )
    return tuple(complete)


def add_glance(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The checked stages with "glance" in front."""
    checked = check_stages(stages)
    return checked if GLANCE in checked else (GLANCE, *checked)


def name_stage(stage: Stage) -> str:
    """A stage in words: who answers, and what it reads."""
    return str(stage) if stage in OPENINGS else f"classifier on {stage}"


def _is_stage(stage: Any) -> bool:
    return (
        stage in (*OPENINGS, FULL) if isinstance(stage, str) else type(stage) is int and stage > 0
    )


def _rank_cost(stage: Stage) -> float:
    """A number that rises with the cost of a stage."""
    ranks = {GLANCE: -2.0, NGRAMS: -1.0, LOCALIZER: 0.0, FULL: float("inf")}
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
