"""Options of `explain_classifier`, checked, and the task that an input is for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hf_anchornet.model.selection import check_count
from hf_anchornet.model.text_reader import DEFAULT_MAX_TOKENS
from hf_anchornet.registration import IMAGE_TASK, TEXT_TASK

from .proposals import PATCHES, SPANS, UNITS

ALONE, IN_CONTEXT = "alone", "in_context"
GAMES = (ALONE, IN_CONTEXT)
"""What is read with the parts of a coalition: nothing else, or the rest of the input, too."""

MOST_PARTS = 64
"""The largest `max_parts`."""


@dataclass(frozen=True)
class ExplainOptions:
    """How a classifier is explained.

    Attributes:
        units: What a part is: "spans", "sentences" or "passages" of a text, "patches" of an image.
        game: "alone": a coalition is read without the rest of the input. "in_context": it is read
            with the rest, so only the absent parts are missing; for texts.
        max_parts: Most parts, at most 64. Up to ten the values are exact.
        max_tokens: Most tokens of the localizer in all spans.
        passage_tokens: Size of passages, in tokens of the localizer.
        label: The label to explain; default: the one that the classifier gives to the full input.
        return_coalitions: Whether `explanation` lists the coalitions of parts that were asked.
    """

    units: str = SPANS
    game: str = ALONE
    max_parts: int = 8
    max_tokens: int = DEFAULT_MAX_TOKENS
    passage_tokens: int = 100
    label: str | None = None
    return_coalitions: bool = False

    def __post_init__(self) -> None:
        """Check names and ranges."""
        for name, known in (("units", UNITS), ("game", GAMES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(known)}, got {getattr(self, name)!r}; "
                    "choose one."
                )
        for name in ("max_parts", "max_tokens", "passage_tokens"):
            check_count(name, getattr(self, name))
        if self.max_parts > MOST_PARTS:
            raise ValueError(
                f"`max_parts` must be at most {MOST_PARTS}, got {self.max_parts}; ask for fewer "
                "parts, or for larger ones such as sentences or passages."
            )
        if self.units == PATCHES and self.game == IN_CONTEXT:
            raise ValueError(
                '`game` must be "alone" for patches, got "in_context"; a patch cannot be left out '
                "of its image without inventing what is there instead."
            )


def make_options(given: Mapping[str, Any], is_text: bool) -> ExplainOptions:
    """The options by name, with the units that suit the input where none are given.

    Raises:
        TypeError: if an option is unknown.
        ValueError: if a value is out of range.
    """
    known = [field.name for field in fields(ExplainOptions)]
    for name in given:
        if name not in known:
            raise TypeError(
                f"`{name}` is not an option of `explain_classifier`; it knows "
                f"{', '.join(f'`{one}`' for one in known)}, `labels`, `multi_label` and `device`."
            )
    return ExplainOptions(**{"units": SPANS if is_text else PATCHES} | dict(given))


def choose_task(item: Any, units: str | None) -> str:
    """The task for an input: strings are texts unless they have patches."""
    return TEXT_TASK if isinstance(item, str) and units != PATCHES else IMAGE_TASK


def list_inputs(inputs: Any) -> list[Any] | None:
    """The inputs of a list, a column of a dataset or an array of strings; `None` for one input.

    Raises:
        TypeError: if they can be read only once.
    """
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "OSU":
        inputs = inputs.tolist()
    if isinstance(inputs, Iterator):
        raise TypeError(
            f"`inputs` must be a text, an image or a list of them, got a {type(inputs).__name__}; "
            "make a list of it."
        )
    single = str | bytes | bytearray
    return list(inputs) if isinstance(inputs, Sequence) and not isinstance(inputs, single) else None
