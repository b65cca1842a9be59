"""Explanations of answers: what each part adds to the answer of the model that gave it.

An explanation is a dict: `label`, the answered one; `model` that answered ("localizer", "ngrams",
"classifier" or "cascade"); `unit` of all numbers ("logit" or "probability"); `base`, the answer
without any part; `parts`, each with its place and its `value`; and `total`, the answer. `base` and
the values sum to `total`. `error` is the largest standard error of a value, 0 if they are exact.
`coalitions` lists what was asked: `parts`, the numbers of those present, and their `worth`.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .cascade_rule import GLANCE, ExitRule
from .cascade_trace import ModelAnswer, Trace, count_milliseconds
from .classifier import is_multi_label, label_names
from .geometry import show_evidence
from .reader import Reader
from .shapley import Coalitions, ShapleyValues, share_out

Explanation = dict[str, Any]

LOGIT, PROBABILITY = "logit", "probability"
"""Units of an explanation. Logits are centred over the labels unless the model is multi-label."""

PIECES_AT_ONCE = 32
"""Most pieces in one forward pass of the classifier."""

TOKENS_AT_ONCE = 2**12
"""Most tokens of texts in one forward pass, padding included; a longer text is read alone."""


class InputParts(ABC):
    """The parts of one input, and what the models see if some of them are absent.

    Attributes:
        places: An entry for each part that says where it is, plain Python types.
        view: The input as the reader takes it.
    """

    places: Sequence[dict[str, Any]]
    view: Any

    @abstractmethod
    def cut(self, present: NDArray[np.bool_]) -> list[Any]:
        """The pieces that the classifier reads of these parts, (parts,); [] if there are none."""

    @abstractmethod
    def cut_nothing(self) -> list[Any]:
        """The pieces of an empty input; [] if the classifier cannot read one."""

    @abstractmethod
    def lose(self, coalitions: Coalitions) -> Tensor:
        """The localizer's evidence, as shown, on the absent parts: (coalitions, labels)."""


@dataclass
class PartsReading:
    """A classifier that reads coalitions of the parts of one input; each piece only once.

    Attributes:
        reader: The classifier.
        parts: The parts.
        order: The classifier's index of each label of the answer.
        known: Logits of pieces that were read before, (labels,), in that order.
        asked: The pieces that were read for the explanation.
    """

    reader: Reader
    parts: InputParts
    order: Sequence[int]
    known: Mapping[Hashable, Tensor] = field(default_factory=dict)
    asked: dict[Hashable, ModelAnswer] = field(default_factory=dict)

    def read(self, pieces: Sequence[list[Any]]) -> Tensor:
        """Mean logits of the pieces of each coalition, at least one: (coalitions, labels)."""
        new = {piece: None for cut in pieces for piece in cut if piece not in self.known}
        for batch in batch_pieces(sorted(new, key=_measure_piece)):
            self._compute(batch)
        return torch.stack(
            [torch.stack([self._find(one) for one in cut]).mean(0) for cut in pieces]
        )

    def _compute(self, pieces: Sequence[Any]) -> None:
        started = perf_counter()
        logits, sizes = self.reader.compute_pieces([(self.parts.view, piece) for piece in pieces])
        rows = logits[:, self.order].cpu()
        spent = count_milliseconds(started) / len(pieces)
        for piece, row, size in zip(pieces, rows, sizes, strict=True):
            self.asked[piece] = ModelAnswer(row, self.reader.count_multiply_adds(size), spent)

    def _find(self, piece: Hashable) -> Tensor:
        return self.known[piece] if piece in self.known else self.asked[piece].logits


def batch_pieces(pieces: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The pieces, sorted by size, in batches of bounded number and size."""
    batch: list[Any] = []
    for piece in pieces:
        padded = (len(batch) + 1) * _measure_piece(piece)
        if batch and (len(batch) == PIECES_AT_ONCE or padded > TOKENS_AT_ONCE):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _measure_piece(piece: Any) -> int:
    """Pieces of a text by their length, so that little is padded; patches are all of one size."""
    return int(getattr(piece, "size", 0))


def explain_localizer(
    model: PreTrainedModel, name: str, logits: Tensor, parts: Sequence[dict[str, Any]]
) -> Explanation:
    """The explanation of a localizer's own answer: exact, as its logit is a sum.

    Args:
        model: The localizer.
        name: "localizer" or "ngrams".
        logits: (labels,), of one input.
        parts: Disjoint parts, each with its evidence for the answered label as `value`; `base` is
            the bias and the evidence of all that is outside of them.
    """
    label = int(logits.argmax())
    total = float(show_logits(model, logits)[label])
    base = total - sum(part["value"] for part in parts)
    return _describe(name, label_names(model)[label], LOGIT, base, total, parts)


def explain_classifier_logit(
    reader: Reader, parts: InputParts, label: int | None = None
) -> tuple[Explanation, PartsReading]:
    """The Shapley values of the parts in the game of a classifier's logit for a label.

    The worth of a coalition is the logit, as shown, for an input of these parts only, or for what
    `parts` leaves of the input if the others are absent. For an empty text it is the logit of that;
    for no patch, which cannot be read, 0.

    Args:
        reader: The classifier.
        parts: The parts.
        label: Number of the label; default: the one that it gives to all parts together.
    """
    model = reader.model
    reading = PartsReading(reader, parts, range(model.config.num_labels))
    if label is None:
        everything = np.ones(len(parts.places), dtype=np.bool_)
        label = int(_read_all(reading, [parts.cut(everything)])[0].argmax())
    chosen: int = label

    def play(coalitions: Coalitions) -> NDArray[np.float64]:
        pieces = [parts.cut(present) or parts.cut_nothing() for present in coalitions]
        shown = show_logits(model, _read_all(reading, pieces))
        return shown[:, chosen].numpy()

    shares = share_out(play, len(parts.places))
    named = label_names(model)[chosen]
    return _describe_shares("classifier", named, LOGIT, shares, parts), reading


def explain_trace(
    reader: Reader,
    order: Sequence[int],
    rule: ExitRule,
    labels: Sequence[str],
    trace: Trace,
    parts: InputParts,
    label: int | None = None,
) -> Explanation:
    """The Shapley values of the parts in the game of a cascade's answer.

    What is read for them enters the trace. The worth of a coalition is the cascade's probability of
    the answered label, at the stage that answered, if the other parts are absent: the localizer
    loses the evidence on them, and the classifier reads only the coalition. Without any part there
    is nothing to read, and as always in a cascade the opening stages then answer alone. A glance
    says of every coalition what it says of the whole image.

    Args:
        reader: The classifier.
        order: The classifier's index of each label of the localizer.
        rule: The rule of the cascade.
        labels: Names of the localizer's labels.
        trace: An input that was answered.
        parts: What was read of it.
        label: Number of the label to explain; default: the answered one.
    """
    known = {piece: answer.logits for piece, answer in trace.pieces.items()}
    reading = PartsReading(reader, parts, order, known)
    chosen = int(trace.probs.argmax()) if label is None else label
    localizes = rule.stages[len(trace.opened) - 1] != GLANCE

    def play(coalitions: Coalitions) -> NDArray[np.float64]:
        opened = [one.logits.double().expand(len(coalitions), -1) for one in trace.opened]
        if localizes:
            opened[-1] = opened[-1] - parts.lose(coalitions).cpu()
        probs = rule.combine(opened, None, trace.stage)
        pieces = [parts.cut(present) for present in coalitions]
        read = [row for row, cut in enumerate(pieces) if cut]
        if read:
            logits = reading.read([pieces[row] for row in read])
            probs[read] = rule.combine([one[read] for one in opened], logits, trace.stage)
        return probs[:, chosen].double().numpy()

    shares = share_out(play, len(parts.places))
    trace.explaining = reading.asked
    return _describe_shares("cascade", labels[chosen], PROBABILITY, shares, parts)


def choose_entries(explanation: Explanation, return_coalitions: bool) -> Explanation:
    """The explanation, with its coalitions only if they are wanted."""
    if return_coalitions:
        return {"coalitions": []} | explanation
    return {name: value for name, value in explanation.items() if name != "coalitions"}


def show_logits(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """Logits as they are shown, (..., labels), float64: centred as evidence is."""
    (shown,) = show_evidence([logits.double()], is_multi_label(model))
    return shown


def describe_explaining(asked: Mapping[Hashable, ModelAnswer]) -> dict[str, Any]:
    """Entries of an answer's cost: what the classifier read only to explain the answer."""
    return {
        "explanation_passes": len(asked),
        "explanation_multiply_adds": sum(answer.multiply_adds for answer in asked.values()),
        "explanation_milliseconds": sum((one.milliseconds for one in asked.values()), 0.0),
    }


def _read_all(reading: PartsReading, pieces: Sequence[list[Any]]) -> Tensor:
    """As `PartsReading.read`, 0 where there is no piece: (coalitions, labels), float64."""
    logits = torch.zeros(len(pieces), len(reading.order), dtype=torch.float64)
    read = [row for row, cut in enumerate(pieces) if cut]
    if read:
        logits[read] = reading.read([pieces[row] for row in read]).double()
    return logits


def _describe_shares(
    name: str, label: str, unit: str, shares: ShapleyValues, parts: InputParts
) -> Explanation:
    valued = [
        place | {"value": value}
        for place, value in zip(parts.places, shares.values.tolist(), strict=True)
    ]
    asked = [
        {"parts": np.flatnonzero(present).tolist(), "worth": worth}
        for present, worth in zip(shares.coalitions, shares.worths.tolist(), strict=True)
    ]
    described = _describe(name, label, unit, shares.base, shares.total, valued, shares.error)
    return described | {"coalitions": asked}


def _describe(
    name: str,
    label: str,
    unit: str,
    base: float,
    total: float,
    parts: Sequence[dict[str, Any]],
    error: float = 0.0,
) -> Explanation:
    return {
        "label": label,
        "model": name,
        "unit": unit,
        "base": base,
        "total": total,
        "parts": list(parts),
        "error": error,
    }
