"""Models and processors loaded whole or not at all: no weight made up, nothing unpickled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers.utils import SAFE_WEIGHTS_NAME

from .adapters import is_adapted, load_adapted


class WeightShapeError(OSError, RuntimeError):
    """Weights have other shapes than the config says: a `RuntimeError` in transformers."""


def load_whole(
    load: Callable[..., Any],
    source: Any,
    *args: Any,
    refuse_incomplete: bool = True,
    **options: Any,
) -> tuple[Any, dict[str, Any]]:
    """A model with every weight from a safetensors file, and transformers' loading information.

    Args:
        load: The `from_pretrained` of a model class or Auto class.
        source: Folder or Hub id, the first argument of `load`.
        args: Further positional arguments of `load`.
        refuse_incomplete: Whether to refuse files that lack weights or hold others; `False`: the
            caller reads about them in the loading information.
        options: For `load`. `ignore_mismatched_sizes=True` asks for new weights where there are
            none or none that fit, such as a head for other labels.

    Raises:
        ImportError: if `source` holds adapters and peft is not installed.
        OSError: if there are no safetensors files, one is damaged, they do not fit the config or
            they hold a number that is not finite.
        ValueError: if `use_safetensors` is False.
    """
    if options.pop("use_safetensors", None) is False:
        raise ValueError(
            "`use_safetensors` must be True, got False: pickled weights are never opened; load and "
            "save the model with transformers to convert them."
        )
    if is_adapted(source, options.get("subfolder", "")):
        model, info = load_adapted(load, source, **options), {}
    else:
        model, info = _load(load, source, *args, **options)
    renews = options.get("ignore_mismatched_sizes", False)
    fault = find_fault(model, {} if renews or not refuse_incomplete else info)
    if fault is not None:
        raise OSError(_describe(source, fault))
    return model, info


def _load(load: Callable[..., Any], source: Any, *args: Any, **options: Any) -> Any:
    """A model and transformers' loading information."""
    try:
        return load(source, *args, use_safetensors=True, output_loading_info=True, **options)
    except SafetensorError as error:
        raise OSError(_describe(source, f"a file cannot be read ({error})")) from error
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        message = _describe(source, "weights have other shapes than it says")
        raise WeightShapeError(message) from error


def check_weights(source: str) -> None:
    """Check that a folder of a model holds weights; a Hub id is not checked.

    transformers' pipelines say so only after a list of all that they tried.

    Raises:
        OSError: if there are none.
    """
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*.safetensors*")) and not any(folder.glob("*.bin")):
        raise OSError(
            f"`localizer` must hold the weights of a model, got the folder {source} without "
            f"{SAFE_WEIGHTS_NAME}; restore the file, or train the model again."
        )


def find_fault(model: nn.Module, info: dict[str, Any]) -> str | None:
    """A description of the first fault in a loaded model's weights; `None`: there is no fault.

    Args:
        model: The model.
        info: Loading information: names of weights that were missing, left over or of another
            shape.
    """
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(kind):
            names = ", ".join(sorted(map(str, info[kind]))[:5])
            return f"{kind.replace('_', ' ')}: {names}"
    bad = find_bad_number(model)
    return None if bad is None else f"{bad} holds a number that is not finite"


def find_bad_number(model: nn.Module) -> str | None:
    """Name of a weight or statistic with a number that is not finite; `None`: all are finite."""
    for name, weight in model.state_dict().items():
        if weight.is_meta or not weight.is_floating_point():
            continue
        if not torch.isfinite(weight).all():
            return str(name)
    return None


def load_processor(load: Callable[..., Any], source: Any, **options: Any) -> Any:
    """A tokenizer or image processor.

    Args:
        load: The `from_pretrained` of its Auto class.
        source: Folder or Hub id.
        options: For `load`.

    Raises:
        OSError: if its files are missing or damaged.
    """
    try:
        return load(source, **options)
    except Exception as error:  # tokenizers raises the bare class for what it cannot read
        raise OSError(
            f"`source` must hold a tokenizer or image processor that can be read, got "
            f"{str(source)!r}: {type(error).__name__}: {error}; save it there again."
        ) from error


def _describe(source: Any, what: str) -> str:
    return (
        "`source` must hold weights in safetensors files that fit its config.json, got "
        f"{str(source)!r}: {what}; save the model again or, if new weights are what you want, pass "
        "`ignore_mismatched_sizes=True`."
    )
