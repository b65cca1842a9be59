"""Localizers and readers by the type of the localizer's model: one pair for each modality."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch
from huggingface_hub.dataclasses import (
    StrictDataclassClassValidationError,
    StrictDataclassFieldValidationError,
)
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel

from .backend import EAGER
from .cascade_file import check_localizer
from .cascade_rule import Stage
from .loading import load_processor

DAMAGED = (
    AttributeError,
    RecursionError,
    StrictDataclassClassValidationError,
    StrictDataclassFieldValidationError,
    TypeError,
)
"""Errors of transformers for a config.json that is not an object or has impossible fields."""


class Batch(Protocol):
    """A localized batch of inputs."""

    logits: Tensor

    def multiply_adds(self) -> list[int]:
        """Multiply-adds of the localizer for each input alone, without padding."""


SomeLocalizer = TypeVar("SomeLocalizer", bound="Localizer")


class Localizer(ABC):
    """A localizer ready for inference, with its tokenizer or image processor."""

    modality: ClassVar[str]
    """What it reads: "text" or "image"."""
    model_class: ClassVar[Any]
    """Auto class of the model."""
    processor_class: ClassVar[Any]
    """Auto class of the processor."""
    model: PreTrainedModel
    processor: Any

    @abstractmethod
    def __init__(self, model: PreTrainedModel, processor: Any, backend: str = EAGER) -> None: ...

    @classmethod
    def load(
        cls: type[SomeLocalizer],
        source: str | PathLike[str],
        device: torch.device | None = None,
        backend: str = EAGER,
        **hub: Any,
    ) -> SomeLocalizer:
        """The localizer of a folder or Hub id; `hub` is for `from_pretrained`; see the class."""
        model = cls.model_class.from_pretrained(source, **hub)
        processor = load_processor(cls.processor_class.from_pretrained, source, **hub)
        return cls(model.to(device or "cpu"), processor, backend)

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Save the model and its processor."""
        self.model.save_pretrained(folder, **kwargs)
        self.processor.save_pretrained(folder)

    @abstractmethod
    def check_input(self, item: Any, name: str) -> Any:
        """The text or image itself; errors call it `name`."""

    @abstractmethod
    def measure(self, source: Any) -> float:
        """A number to sort inputs by, so that those of a batch need little padding."""

    @abstractmethod
    def read(self, sources: Sequence[Any]) -> Any:
        """The localized batch of these inputs, at least one: a `Batch`."""

    def describe_reading(self) -> dict[str, Any]:
        """What decides, besides the weights, which parts it points at; ready for JSON."""
        return {"reading_scales": list(self.model.config.reading_scales)}

    @property
    def has_ngrams(self) -> bool:
        """Whether the model has n-gram branches, which may answer alone."""
        return False

    def start(self, sources: Sequence[Any], stages: Sequence[Stage]) -> Any:
        """The batch of these inputs at the first stage of a cascade: a `Batch`."""
        return self.read(sources)


class Modality(NamedTuple):
    """The classes that handle one type of model: both have a method `load`."""

    localizer: Any
    reader: Any


MODALITIES: dict[str, Modality] = {}
"""By model type. Each reader file adds its own, so that a text model needs no image code."""


def register_modality(model_type: str, localizer: Any, reader: Any) -> None:
    """Make a type of model known to `load_localizer` and to cascades."""
    MODALITIES[model_type] = Modality(localizer, reader)


def is_localizer(source: str | PathLike[str], **hub: Any) -> bool:
    """Whether a folder or Hub id holds an AnchorNet, of either modality."""
    return read_config(source, **hub).model_type in MODALITIES


def load_localizer(
    source: str | PathLike[str],
    device: torch.device | None = None,
    backend: str = EAGER,
    **hub: Any,
) -> Localizer:
    """The localizer of a folder or Hub id, of either modality.

    Raises:
        ValueError: if the model is of another type.
        OSError: if there is no model or it is damaged.
    """
    model_type = read_config(source, **hub).model_type
    if model_type not in MODALITIES:
        raise ValueError(
            f"`localizer` must be of type {' or '.join(sorted(MODALITIES))}, got {model_type} in "
            f"{source}; choose an AnchorNet."
        )
    localizer: Localizer = MODALITIES[model_type].localizer.load(source, device, backend, **hub)
    return localizer


def read_config(source: str | PathLike[str], **hub: Any) -> Any:
    """The configuration of a folder or Hub id; `hub` is for `from_pretrained`.

    Raises:
        OSError: if there is none, or it is damaged.
        ValueError: if its model type is unknown.
    """
    check_localizer(source)
    try:
        return AutoConfig.from_pretrained(source, **hub)
    except DAMAGED as error:
        raise OSError(
            f"`source` must hold a config.json that describes a model, got {str(source)!r}: "
            f"{error.__cause__ or error}"
        ) from error
    except OSError as error:
        raise OSError(
            f"`source` must be the folder or Hub id of a model, got {str(source)!r}; check the "
            f"path. {error}"
        ) from error
