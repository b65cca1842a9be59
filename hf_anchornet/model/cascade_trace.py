"""Inputs on their way through the stages of a cascade: what was read, said and spent."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .cascade_rule import ExitRule, Stage


class Localizer(Protocol):
    """What a cascade asks of the model that answers first."""

    model: PreTrainedModel

    def check_input(self, item: Any, name: str) -> Any:
        """The text or image itself; errors name it by `name`."""

    def measure(self, source: Any) -> float:
        """A number by which inputs are sorted, so that those of a batch need little padding."""

    def read(self, sources: Sequence[Any]) -> Any:
        """A batch of inputs and what the localizer says about them: a `Batch`."""

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Write the model and what makes its input."""


class Batch(Protocol):
    """What a localizer says about a batch of inputs."""

    logits: Tensor

    def multiply_adds(self) -> list[int]:
        """What the localizer computed for each input alone, padding left out."""


class Reader(Protocol):
    """What a cascade asks of the model that reads."""

    model: PreTrainedModel
    full_size: int | None

    def list_stages(self, budget: Any) -> list[Stage]:
        """What is read at each stage under a budget, where no cascade says so."""

    def check_stages(self, stages: Sequence[Stage]) -> None:
        """Check that there is something to read at each stage."""

    def open(self, batch: Any, rows: Sequence[int], stages: Sequence[Stage]) -> Sequence[Any]:
        """Some inputs of a batch, ready for `cut` at any of the stages."""

    def cut(self, view: Any, stage: Stage) -> list[Any]:
        """The pieces that there are to read of an opened input at a stage."""

    def compute_pieces(self, pieces: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Sequence[Any]]:
        """Logits of pieces, (pieces, labels), and the size of each for `count_multiply_adds`."""

    def count_multiply_adds(self, size: Any) -> int:
        """What the classifier computes for a piece of this size."""

    def full_multiply_adds(self, sources: Sequence[Any]) -> list[int]:
        """What the classifier would compute for each full input."""

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Write the model and what makes its input."""


class Piece(NamedTuple):
    """What the classifier said of one piece of an input, and its cost."""

    logits: Tensor
    multiply_adds: int
    milliseconds: float


@dataclass
class Trace:
    """One input on its way through the stages.

    Attributes:
        logits: (labels,), of the localizer, on the processor.
        probs: (labels,), the answer so far.
        localizer_multiply_adds: What the localizer computed.
        milliseconds: Time of its batches so far, shared out evenly over their inputs and pieces.
        view: What the classifier reads of; `None` for an input that left at stage 0.
        stage: The last stage at which there was something new to read.
        pieces: All pieces read; each one is computed once.
        readings: The pieces of each stage reached, from stage 1.
    """

    logits: Tensor
    probs: Tensor
    localizer_multiply_adds: int
    milliseconds: float
    view: Any = None
    stage: int = 0
    pieces: dict[Hashable, Piece] = field(default_factory=dict)
    readings: list[list[Any]] = field(default_factory=list)

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return float(self.probs.max())

    @property
    def classifier_multiply_adds(self) -> int:
        """What the classifier computed."""
        return sum(piece.multiply_adds for piece in self.pieces.values())

    @property
    def classifier_milliseconds(self) -> float:
        """The time that the classifier took."""
        return sum(piece.milliseconds for piece in self.pieces.values())

    @property
    def last_reading(self) -> list[Any]:
        """The pieces that the answer so far comes from."""
        return self.readings[self.stage - 1] if self.stage else []

    def average(self, reading: Sequence[Hashable]) -> Tensor:
        """Mean of the classifier's logits over the pieces of a reading: (labels,)."""
        return torch.stack([self.pieces[piece].logits for piece in reading]).mean(dim=0)


def start_traces(batch: Batch, reader: Reader, rule: ExitRule, milliseconds: float) -> list[Trace]:
    """Stage 0 of a batch: the localizer's answers; what stays is made ready to be read.

    Args:
        batch: What the localizer says.
        reader: Who reads.
        rule: When an input leaves.
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
    """Take traces on through the later stages, each up to where it leaves.

    Args:
        traces: From `start_traces`.
        reader: Who reads.
        order: The classifier's number of each label of the localizer.
        rule: When an input leaves.
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
        trace.pieces[piece] = Piece(row, reader.count_multiply_adds(size), share)
        trace.milliseconds += share
        trace.stage = stage
    for trace in traces:
        if trace.stage == stage:
            trace.probs = rule.combine(trace.logits, trace.average(trace.readings[-1]), stage)


def count_milliseconds(started: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return 1000 * (perf_counter() - started)
