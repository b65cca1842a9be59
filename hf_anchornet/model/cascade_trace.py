"""Inputs on their way through the stages of a cascade: what was read, answered and spent."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .cascade_rule import ExitRule
from .localizer import Batch
from .reader import Reader


class ReadPiece(NamedTuple):
    """The classifier's answer to one piece of an input, and its cost."""

    logits: Tensor
    multiply_adds: int
    milliseconds: float


@dataclass
class Trace:
    """One input on its way through the stages.

    Attributes:
        logits: (labels,), of the localizer, on the CPU.
        probs: (labels,), the answer so far.
        localizer_multiply_adds: Multiply-adds of the localizer.
        milliseconds: Time of its batches so far, divided evenly among their inputs and pieces.
        view: The input opened for reading; `None` for an input that exited at stage 0.
        stage: The last stage at which there was something new to read.
        pieces: All pieces read; each is computed once.
        readings: The pieces of each stage reached, from stage 1.
    """

    logits: Tensor
    probs: Tensor
    localizer_multiply_adds: int
    milliseconds: float
    view: Any = None
    stage: int = 0
    pieces: dict[Hashable, ReadPiece] = field(default_factory=dict)
    readings: list[list[Any]] = field(default_factory=list)

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return float(self.probs.max())

    @property
    def classifier_multiply_adds(self) -> int:
        """Multiply-adds of the classifier."""
        return sum(piece.multiply_adds for piece in self.pieces.values())

    @property
    def classifier_milliseconds(self) -> float:
        """Time of the classifier."""
        return sum(piece.milliseconds for piece in self.pieces.values())

    @property
    def last_reading(self) -> list[Any]:
        """The pieces that the answer so far comes from."""
        return self.readings[self.stage - 1] if self.stage else []

    def average(self, reading: Sequence[Hashable]) -> Tensor:
        """Mean of the classifier's logits over the pieces of a reading: (labels,)."""
        return torch.stack([self.pieces[piece].logits for piece in reading]).mean(dim=0)


def start_traces(batch: Batch, reader: Reader, rule: ExitRule, milliseconds: float) -> list[Trace]:
    """Stage 0 of a batch: the localizer's answers. Inputs that stay are opened for reading.

    Args:
        batch: The localized batch.
        reader: The reader of later stages.
        rule: The exit rule.
        milliseconds: Time that the localizer took.
    """
    started = perf_counter()
    logits = batch.logits.cpu()
    probs = rule.combine(logits, None, 0)
    confidences = enumerate(probs.amax(dim=-1).tolist())
    staying = [row for row, confidence in confidences if not rule.leaves(confidence, 0)]
    views = reader.open(batch, staying, rule.stages)
    share = (milliseconds + count_milliseconds(started)) / len(logits)
    items = zip(logits, probs, batch.multiply_adds(), strict=True)
    traces = [Trace(*item, share) for item in items]
    for row, view in zip(staying, views, strict=True):
        traces[row].view = view
    return traces


def read_stages(
    traces: Sequence[Trace],
    reader: Reader,
    order: Sequence[int],
    rule: ExitRule,
    batch_size: int,
) -> None:
    """Take traces through the later stages until each exits.

    Args:
        traces: From `start_traces`.
        reader: The reader.
        order: The classifier's index of each label of the localizer.
        rule: The exit rule.
        batch_size: Inputs in one forward pass.
    """
    for stage in range(1, len(rule.stages) + 1):
        traces = [trace for trace in traces if not rule.leaves(trace.confidence, stage - 1)]
        for start in range(0, len(traces), batch_size):
            _read_stage(traces[start : start + batch_size], reader, order, rule, stage)


def _read_stage(
    traces: Sequence[Trace], reader: Reader, order: Sequence[int], rule: ExitRule, stage: int
) -> None:
    started = perf_counter()
    new: list[tuple[Trace, Hashable]] = []
    for trace in traces:
        trace.readings.append(reader.cut(trace.view, rule.stages[stage - 1]))
        new += [(trace, piece) for piece in trace.readings[-1] if piece not in trace.pieces]
    if not new:
        return
    logits, sizes = reader.compute_pieces([(trace.view, piece) for trace, piece in new])
    rows = logits[:, order].cpu()
    share = count_milliseconds(started) / len(new)
    for (trace, piece), row, size in zip(new, rows, sizes, strict=True):
        trace.pieces[piece] = ReadPiece(row, reader.count_multiply_adds(size), share)
        trace.milliseconds += share
        trace.stage = stage
    for trace in traces:
        if trace.stage == stage:
            trace.probs = rule.combine(trace.logits, trace.average(trace.readings[-1]), stage)


def count_milliseconds(started: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return 1000 * (perf_counter() - started)
