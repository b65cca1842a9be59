"""Inputs on their way through the stages of a cascade: what was read, answered and spent."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .cascade_rule import GLANCE, ExitRule
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
        opened: The answer at each opening stage reached.
        glanced: Whether the first of them is that of a glance, not of the localizer.
        located: The localizer's answer where it is no stage, and only chose what is read.
        probs: (labels,), the answer so far.
        view: The input opened for reading; `None` for an input that exited before.
        stage: The last stage at which there was something new to read.
        pieces: All pieces read; each is computed once.
        readings: The pieces of each stage reached at which the classifier reads.
        explaining: Pieces read only to explain the answer, which the other costs do not count.
    """

    opened: list[ModelAnswer] = field(default_factory=list)
    glanced: bool = False
    located: ModelAnswer | None = None
    probs: Tensor = field(default_factory=lambda: torch.zeros(0))
    view: Any = None
    stage: int = 0
    pieces: dict[Hashable, ModelAnswer] = field(default_factory=dict)
    readings: list[list[Any]] = field(default_factory=list)
    explaining: dict[Hashable, ModelAnswer] = field(default_factory=dict)

    @property
    def logits(self) -> Tensor:
        """The logits of the last opening stage reached: (labels,), on the CPU."""
        return self.opened[-1].logits

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return float(self.probs.max())

    @property
    def by_localizer(self) -> list[ModelAnswer]:
        """All answers of the localizer."""
        located = [] if self.located is None else [self.located]
        return [*self.opened[int(self.glanced) :], *located]

    @property
    def glance_multiply_adds(self) -> int:
        """Multiply-adds of the glance."""
        return sum(answer.multiply_adds for answer in self.opened[: int(self.glanced)])

    @property
    def localizer_multiply_adds(self) -> int:
        """Multiply-adds of the localizer."""
        return sum(answer.multiply_adds for answer in self.by_localizer)

    @property
    def opening_milliseconds(self) -> float:
        """Time of the glance and the localizer."""
        return sum(answer.milliseconds for answer in (*self.opened, self.located) if answer)

    @property
    def classifier_multiply_adds(self) -> int:
        """Multiply-adds of the classifier."""
        return sum(piece.multiply_adds for piece in self.pieces.values())

    @property
    def classifier_milliseconds(self) -> float:
        """Time of the classifier."""
        return sum(piece.milliseconds for piece in self.pieces.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all models."""
        opening = self.glance_multiply_adds + self.localizer_multiply_adds
        return opening + self.classifier_multiply_adds

    @property
    def milliseconds(self) -> float:
        """Time of all models."""
        return self.opening_milliseconds + self.classifier_milliseconds

    @property
    def last_reading(self) -> list[Any]:
        """The pieces that the answer so far comes from; empty if it is that of an opening stage."""
        number = self.stage - len(self.opened)
        return self.readings[number] if number >= 0 else []

    def average(self, reading: Sequence[Hashable]) -> Tensor:
        """Mean of the classifier's logits over the pieces of a reading: (labels,)."""
        return torch.stack([self.pieces[piece].logits for piece in reading]).mean(dim=0)


OpenViews = Callable[[Any, Sequence[int]], Sequence[Any]]
"""Opens some inputs of a batch for reading, by their rows; see `Reader.open`."""


def start_traces(
    batch: Any, open_views: OpenViews, rule: ExitRule, milliseconds: float
) -> list[Trace]:
    """The opening stages of a batch: the answers of a glance and of the localizer.

    Inputs that stay after the first of two stages go through the whole localizer together, in one
    smaller batch (`LocalizedTexts.deepen`, `GlancedImages.deepen`). Inputs that stay after the last
    are opened for reading.

    Args:
        batch: The batch at the first stage, a `Batch`, as `Cascade.open` returns it for this rule.
        open_views: Opens inputs for the later stages.
        rule: The exit rule.
        milliseconds: Time that this batch took so far.
    """
    traces = [Trace(glanced=rule.stages[0] == GLANCE) for _ in batch.logits]
    rows, last = list(range(len(traces))), len(rule.opening) - 1
    views: Sequence[Any] = []
    for stage in range(last + 1):
        started = perf_counter()
        current = batch if stage == 0 else batch.deepen(rows)
        logits = current.logits.cpu()
        before = zip(*([one.logits for one in traces[row].opened] for row in rows), strict=True)
        probs = rule.combine([*map(torch.stack, before), logits], None, stage)
        confidences = enumerate(probs.amax(dim=-1).tolist())
        staying = [place for place, sure in confidences if not rule.leaves(sure, stage)]
        if stage == last and not rule.locates_later:
            views = open_views(current, staying)
        spent = count_milliseconds(started) + (milliseconds if stage == 0 else 0)
        answers = zip(logits, current.multiply_adds(), strict=True)
        for row, answer, prob in zip(rows, answers, probs, strict=True):
            traces[row].opened.append(ModelAnswer(*answer, spent / len(rows)))
            traces[row].probs, traces[row].stage = prob, stage
        rows = [rows[place] for place in staying]
        if not rows:
            return traces
    if rule.locates_later:
        views = _locate(batch, rows, traces, open_views)
    for row, view in zip(rows, views, strict=True):
        traces[row].view = view
    return traces


def _locate(
    batch: Any, rows: Sequence[int], traces: Sequence[Trace], open_views: OpenViews
) -> Sequence[Any]:
    """Some inputs of a glance, opened for reading where the localizer says; it is charged."""
    started = perf_counter()
    located = batch.deepen(rows)
    views = open_views(located, range(len(rows)))
    logits, costs = located.logits.cpu(), located.multiply_adds()
    share = count_milliseconds(started) / len(rows)
    for row, answer in zip(rows, zip(logits, costs, strict=True), strict=True):
        traces[row].located = ModelAnswer(*answer, share)
    return views


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
            opened = [answer.logits for answer in trace.opened]
            trace.probs = rule.combine(opened, trace.average(trace.readings[-1]), stage)


def count_milliseconds(started: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return 1000 * (perf_counter() - started)
