"""Checks of options that name models, devices and JSON files, before any work is done."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hf_anchornet.data.paths import is_local, suggest_path

MODEL_OPTIONS = (
    "model",
    "localizer",
    "classifier",
    "teacher",
    "tokenizer",
    "embeddings",
    "encoder",
    "backbone",
    "from_localizer",
    "from",
    "text_localizer",
    "image_localizer",
    "text_classifier",
    "image_classifier",
)
"""Options that take a Hub id or a folder, by field name; "from" is how one of them is typed."""

MAX_PORT = 65_535


def check_options(given: Mapping[str, Any]) -> None:
    """Check the models, the device and the port among options by field name.

    Raises:
        FileNotFoundError: if a model is a path that does not exist.
        ValueError: if there is no such device or port.
    """
    for name in MODEL_OPTIONS:
        value = given.get(name)
        if isinstance(value, str) and is_local(value) and not Path(value).exists():
            raise FileNotFoundError(
                f"`{name}` must be a Hub id or an existing folder, got {value}, which does not "
                f"exist; check the path.{suggest_path(value)}"
            )
    port = given.get("port")
    if port is not None and not 0 <= port <= MAX_PORT:
        raise ValueError(
            f"`port` must be between 0 and {MAX_PORT}, got {port}; 0 takes a free one."
        )
    if given.get("device") not in (None, "cpu"):
        check_device(given["device"])


def check_device(name: str) -> None:
    """Check that torch can use a device.

    Raises:
        ValueError: if it cannot.
    """
    import torch  # takes seconds, and is needed for devices other than the CPU only

    try:
        torch.empty(0, device=torch.device(name))
    except (AssertionError, ImportError, NotImplementedError, RuntimeError) as error:
        known = "cpu"
        if torch.cuda.is_available():
            known += f", cuda (cuda:0 to cuda:{torch.cuda.device_count() - 1})"
        if torch.backends.mps.is_available():
            known += ", mps"
        said = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(
            f"`device` must be one that torch can use here, {known}, got {name} ({said}); choose "
            "one or install a torch for it."
        ) from None


def hint_missing(argv: Sequence[str]) -> str:
    """A hint that names models on a command line that are no folders here; empty if all are."""
    flags = {f"--{name}" for name in MODEL_OPTIONS}
    words = [part for word in argv for part in word.split("=", 1)]
    hints = []
    for flag, value in pairwise(words):
        if flag.replace("-", "_").replace("__", "--", 1) in flags and not Path(value).exists():
            hints.append(f" There is no folder {value} here.{suggest_path(value)}")
    return "".join(hints)


def read_json_option(name: str, path: str) -> dict[str, Any]:
    """The JSON object in the file that an option names.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except (RecursionError, ValueError) as error:
        said = "brackets nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(
            f"`{name}` must be a file of JSON in UTF-8, got {path}: {said}; write it again."
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f"`{name}` must be a file with a JSON object, got {path} with "
            f"{type(content).__name__}; write it again."
        )
    return content
