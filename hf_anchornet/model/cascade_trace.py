"""Inputs on their way through the stages of a cascade: what was read, answered and spent."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .cascade_rule import ExitRule
from .reader import Reader


class ModelAnswer(NamedTuple):
    """A model's answer to an input or to one piece of it, and its cost.

    Attributes:
        logits: (labels,), on the CPU.
        multiply_adds: Of the model, without padding.
        milliseconds: Time of its batch, divided evenly among the inputs or pieces.
    """

    logits: Tensor
    multiply_adds: int
    milliseconds: float


@dataclass
class Trace:
    """One input on its way through the stages.

    Attributes:
        opened: The localizer's answer at each opening stage reached.
        probs: (labels,), the answer so far.
        view: The input opened for reading; `None` for an input that exited before.
        stage: The last stage at which there was something new to read.
        pieces: All pieces read; each is computed once.
        readings: The pieces of each stage reached at which the classifier reads.
        explaining: Pieces read only to explain the answer, which the other costs do not count.
    """

    opened: list[ModelAnswer] = field(default_factory=list)
    probs: Tensor = field(default_factory=lambda: torch.zeros(0))
    view: Any = None
    stage: int = 0
    pieces: dict[Hashable, ModelAnswer] = field(default_factory=dict)
    readings: list[list[Any]] = field(default_factory=list)
    explaining: dict[Hashable, ModelAnswer] = field(default_factory=dict)

    @property
    def logits(self) -> Tensor:
        """The localizer's logits at the last opening stage reached: (labels,), on the CPU."""
        return self.opened[-1].logits

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return float(self.probs.max())

    @property
    def localizer_multiply_adds(self) -> int:
        """Multiply-adds of the localizer."""
        return sum(answer.multiply_adds for answer in self.opened)

    @property
    def localizer_milliseconds(self) -> float:
        """Time of the localizer."""
        return sum(answer.milliseconds for answer in self.opened)

    @property
    def classifier_multiply_adds(self) -> int:
        """Multiply-adds of the classifier."""
        return sum(piece.multiply_adds for piece in self.pieces.values())

    @property
    def classifier_milliseconds(self) -> float:
        """Time of the classifier."""
        return sum(piece.milliseconds for piece in self.pieces.values())

    @property
    def milliseconds(self) -> float:
        """Time of both models."""
        return self.localizer_milliseconds + self.classifier_milliseconds

    @property
    def last_reading(self) -> list[Any]:
        """The pieces that the answer so far comes from; empty if it is the localizer's."""
        number = self.stage - len(self.opened)
        return self.readings[number] if number >= 0 else []

    def average(self, reading: Sequence[Hashable]) -> Tensor:
        """Mean of the classifier's logits over the pieces of a reading: (labels,)."""
        return torch.stack([self.pieces[piece].logits for piece in reading]).mean(dim=0)


def start_traces(batch: Any, reader: Reader, rule: ExitRule, milliseconds: float) -> list[Trace]:
    """The opening stages of a batch: the localizer's answers.

    Inputs that stay after the first of two go through the whole localizer together, in one smaller
    batch (`LocalizedTexts.deepen`). Inputs that stay after the last are opened for reading.

    Args:
        batch: The localized batch, a `Batch`, as `Localizer.start` returns it for this rule.
        reader: The reader of later stages.
        rule: The exit rule.
        milliseconds: Time that the localizer took for this batch.
    """
    traces = [Trace() for _ in batch.logits]
    rows, last = list(range(len(traces))), len(rule.opening) - 1
    for stage in range(last + 1):
        started = perf_counter()
        current = batch if stage == 0 else batch.deepen(rows)
        logits = current.logits.cpu()
        probs = rule.combine(logits, None, stage)
        confidences = enumerate(probs.amax(dim=-1).tolist())
        staying = [place for place, sure in confidences if not rule.leaves(sure, stage)]
        views = reader.open(current, staying, rule.readings) if stage == last else []
        spent = count_milliseconds(started) + (milliseconds if stage == 0 else 0)
        answers = zip(logits, current.multiply_adds(), strict=True)
        for row, answer, prob in zip(rows, answers, probs, strict=True):
            traces[row].opened.append(ModelAnswer(*answer, spent / len(rows)))
            traces[row].probs, traces[row].stage = prob, stage
        rows = [rows[place] for place in staying]
        if not rows:
            return traces
    for row, view in zip(rows, views, strict=True):
        traces[row].view = view
    return traces


def read_stages(
    traces: Sequence[Trace],
    reader: Reader,
    order: Sequence[int],
    rule: ExitRule,
    batch_size: int,
) -> None:
    """Take traces through the stages at which the classifier reads until each exits.

    Args:
        traces: From `start_traces`.
        reader: The reader.
        order: The classifier's index of each label of the localizer.
        rule: The exit rule.
        batch_size: Inputs in one forward pass.
    """
    traces = [trace for trace in traces if trace.view is not None]
    for stage in range(len(rule.opening), len(rule.stages)):
        traces = [trace for trace in traces if not rule.leaves(trace.confidence, stage - 1)]
        for start in range(0, len(traces), batch_size):
            _read_stage(traces[start : start + batch_size], reader, order, rule, stage)


def _read_stage(
    traces: Sequence[Trace], reader: Reader, order: Sequence[int], rule: ExitRule, stage: int
) -> None:
    started = perf_counter()
    new: list[tuple[Trace, Hashable]] = []
    for trace in traces:
        trace.readings.append(reader.cut(trace.view, rule.stages[stage]))
        new += [(trace, piece) for piece in trace.readings[-1] if piece not in trace.pieces]
    if not new:
        return
    logits, sizes = reader.compute_pieces([(trace.view, piece) for trace, piece in new])
    rows = logits[:, order].cpu()
    share = count_milliseconds(started) / len(new)
    for (trace, piece), row, size in zip(new, rows, sizes, strict=True):
        trace.pieces[piece] = ModelAnswer(row, reader.count_multiply_adds(size), share)
        trace.stage = stage
    for trace in traces:
        if trace.stage == stage:
            trace.probs = rule.combine(trace.logits, trace.average(trace.readings[-1]), stage)


def count_milliseconds(started: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return 1000 * (perf_counter() - started)
