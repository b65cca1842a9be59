"""Options of both localization pipelines, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from .selection import check_count, check_iou_threshold


@dataclass
class LocalizationOptions:
    """Options for choosing and showing patches; the pipelines' docstrings explain each."""

    top_k: int = 5
    scales: Sequence[int] | None = None
    iou_threshold: float | Sequence[float] = 0.0
    labels: Sequence[str] | None = None
    exit_threshold: float | Sequence[float] | None = None
    explain_answer: bool = False
    return_coalitions: bool = False

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options against each other and against the model.

        Args:
            sizes: The model's window sizes.
            labels: The model's labels.

        Raises:
            ValueError: naming the option, its value and the remedy.
        """
        count = check_count("top_k", self.top_k, least=0)
        check_iou_threshold(self.iou_threshold, count)
        _check_choice("scales", self.scales, sizes, "window sizes")
        _check_choice("labels", self.labels, labels, "labels")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is bool and not isinstance(value, bool):
                raise ValueError(
                    f"`{field.name}` must be True or False, got {value!r}; choose one."
                )


def _check_choice(name: str, chosen: Any, known: Sequence[Any], what: str) -> None:
    if chosen is None:
        return
    if not chosen or any(item not in known for item in chosen):
        raise ValueError(
            f"`{name}` must be one or more of this model's {what} {sorted(set(known))}, got "
            f"{list(chosen)}; leave it out for the default."
        )
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"`{name}` must name each once, got {list(chosen)}; leave out repeats.")
