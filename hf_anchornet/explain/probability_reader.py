"""Any function that returns probabilities, as a reader of parts of an input."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_anchornet.model.cascade_rule import FULL
from hf_anchornet.model.image_reader import cut_square

Probabilities = Callable[[list[Any]], Any]
"""From texts or images to the probabilities of the labels, (inputs, labels), in [0, 1]."""

LEAST_PROBABILITY = 1e-7
"""Smaller probabilities count as this one, which has a logarithm."""

SUM_TOLERANCE = 1e-3
"""How far the probabilities of one input may be from a sum of 1."""


class ProbabilityReader:
    """A function of texts or images, with the methods of a `Reader` that explanations need.

    Its logits are the logarithms of its probabilities, which softmax turns back into these; of a
    multi-label function they are the log-odds.

    Args:
        predict: The function.
        labels: Names of its labels, in its own order; default: their numbers.
        multi_label: Whether its labels are independent of each other.
        example: An input to find out how many labels there are.

    Raises:
        ValueError: if it returns anything but probabilities, one row an input.
    """

    def __init__(
        self, predict: Probabilities, labels: Sequence[str] | None, multi_label: bool, example: Any
    ) -> None:
        self.predict, self.multi_label = predict, multi_label
        self.num_labels: int | None = None if labels is None else len(labels)
        self.num_labels = self.predict_logits([example]).shape[1]
        names = map(str, range(self.num_labels) if labels is None else labels)
        problem = "multi_label_classification" if multi_label else "single_label_classification"
        config = SimpleNamespace(
            id2label=dict(enumerate(names)), num_labels=self.num_labels, problem_type=problem
        )
        self.model: Any = SimpleNamespace(config=config)

    def predict_logits(self, inputs: Sequence[Any]) -> Tensor:
        """Logits of texts or images: (inputs, labels), float64.

        Raises:
            ValueError: as the class.
        """
        found = self.predict(list(inputs))
        try:
            probs = np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`classifier` must return an array of probabilities, got {type(found).__name__} "
                f"({error}); return one row for each input, one column for each label."
            ) from error
        self._check(probs, len(inputs))
        chances = torch.from_numpy(probs).clamp(LEAST_PROBABILITY, 1)
        return chances.logit(LEAST_PROBABILITY) if self.multi_label else chances.log()

    def make_pieces(self, text: str) -> list[str]:
        """The text as it is; an empty list if it is blank."""
        return [text] if text.strip() else []

    def make_nothing(self) -> list[str]:
        """An empty text."""
        return [""]

    def compute_pieces(self, pieces: Sequence[tuple[Any, Any]]) -> tuple[Tensor, list[int]]:
        """Logits, (pieces, labels), and a size of each piece that means nothing.

        Args:
            pieces: Pairs of a view and a text, a box or "full"; the view of a text is `None`.
        """
        inputs = [piece if view is None else _cut(view.image, piece) for view, piece in pieces]
        return self.predict_logits(inputs), [0] * len(pieces)

    def count_multiply_adds(self, size: int) -> int:
        """0: those of a function are not known."""
        return 0

    def _check(self, probs: Any, count: int) -> None:
        wanted = (count, self.num_labels or "labels")
        right = probs.ndim == 2 and len(probs) == count and probs.shape[1] >= 1
        if not right or self.num_labels not in (None, probs.shape[1]):
            raise ValueError(
                f"`classifier` must return probabilities of shape ({wanted[0]}, {wanted[1]}), got "
                f"{probs.shape}; return one row for each input, one column for each label."
            )
        if not ((probs >= -SUM_TOLERANCE) & (probs <= 1 + SUM_TOLERANCE)).all():
            outside = probs[~((probs >= 0) & (probs <= 1))][0]
            raise ValueError(
                f"`classifier` must return probabilities, numbers in [0, 1], got {outside}; return "
                "those instead of logits, and look for faults in its input or weights."
            )
        sums = probs.sum(axis=1)
        if not self.multi_label and np.abs(sums - 1).max() > SUM_TOLERANCE:
            raise ValueError(
                "`classifier` must return probabilities that sum to 1, got a sum of "
                f"{sums[np.abs(sums - 1).argmax()]:.4g}; pass `multi_label=True` if its labels are "
                "independent of each other."
            )


def _cut(image: Any, piece: Any) -> Any:
    return image if piece == FULL else cut_square(image, piece)
