"""Localizers of either modality, by the type of their model."""

from os import PathLike
from typing import Any

import torch
from transformers import AutoConfig

from .backend import EAGER
from .cascade_trace import Localizer
from .image_localizer import ImageLocalizer
from .text_localizer import TextLocalizer

LOCALIZERS: dict[str, Any] = {"anchornet_text": TextLocalizer, "anchornet_image": ImageLocalizer}


def is_localizer(source: str | PathLike[str], **hub: Any) -> bool:
    """Whether a folder or Hub id holds an AnchorNet, of either modality."""
    return _read_type(source, **hub) in LOCALIZERS


def load_localizer(
    source: str | PathLike[str],
    device: torch.device | None = None,
    backend: str = EAGER,
    **hub: Any,
) -> Localizer:
    """The localizer of a folder or Hub id, of either modality.

    Raises:
        ValueError: if there is another kind of model.
        OSError: if there is none or it is damaged.
    """
    kind = _read_type(source, **hub)
    if kind not in LOCALIZERS:
        raise ValueError(
            f"`localizer` must be of type {' or '.join(sorted(LOCALIZERS))}, got {kind} in "
            f"{source}; choose an AnchorNet."
        )
    localizer: Localizer = LOCALIZERS[kind].load(source, device, backend, **hub)
    return localizer


def _read_type(source: str | PathLike[str], **hub: Any) -> Any:
    """The type that a checkpoint's config.json names."""
    try:
        return AutoConfig.from_pretrained(source, **hub).model_type
    except (AttributeError, TypeError) as error:  # what transformers raises for JSON of no object
        raise OSError(
            f"`source` must hold a config.json that describes a model, got {str(source)!r}: "
            f"{error}; save the model again."
        ) from error
