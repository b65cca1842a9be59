"""`cascade.json`, the file that makes a folder a cascade: found, read and checked."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME, cached_file

from .selection import check_count

CASCADE_FILE = "cascade.json"
CLASSIFIER_FOLDER = "classifier"
"""Subfolder of a cascade that holds a copy of its classifier."""
GLANCE_FOLDER = "glance"
"""The same for the classifier that glances, unless it is the same one."""

SETTINGS = {"stages", "thresholds", "temperatures", "classifier", "full_size", "calibration"}
"""The keys of the file; a cascade with a glance has a further one, `GLANCE_SETTINGS`."""
GLANCE_SETTINGS = {"size", "is_classifier", "reference"}
"""The keys of "glance": side in pixels that it reads (`null`: its own); whether it is the cascade's
classifier; its Hub id (`null`: it is a copy in `GLANCE_FOLDER`)."""


def find_cascade(source: Any) -> str | None:
    """Path of the `cascade.json` of a folder or Hub id; `None` if there is none."""
    if not isinstance(source, str | PathLike):
        return None
    try:
        return cached_file(str(source), CASCADE_FILE)
    except OSError:  # no such file or no such place: then it is not a classifier either
        return None


def check_localizer(source: str | PathLike[str]) -> None:
    """Refuse a folder that holds a cascade without its localizer, such as the shipped one.

    Raises:
        OSError: naming the remedy.
    """
    folder = Path(source)
    if (folder / CASCADE_FILE).is_file() and not (folder / CONFIG_NAME).is_file():
        raise OSError(
            f"`source` must hold the localizer of its cascade, too, got {str(source)!r} without "
            f"{CONFIG_NAME}; give this folder as `classifier` to the pipeline of the localizer "
            "that it was calibrated for (the shipped cascade: to the default pipeline)."
        )


def load_settings(source: str | PathLike[str], **hub: Any) -> dict[str, Any]:
    """The settings of the cascade in a folder or Hub repository.

    Raises:
        OSError: if there is no cascade, it may not be read or its file is damaged.
        ValueError: see `read_cascade_file`.
    """
    try:
        path = cached_file(source, CASCADE_FILE, **hub)
    except OSError as error:
        raise OSError(
            f"`source` must be the Hub id or folder of a cascade, got {str(source)!r}; write "
            f"one with `Cascade.save_pretrained` or check id and token. {error}"
        ) from error
    return read_cascade_file(str(path))


def read_cascade_file(path: str | Path) -> dict[str, Any]:
    """The settings in a `cascade.json`; stages and thresholds are checked by `ExitRule`.

    Raises:
        OSError: if the file is damaged.
        ValueError: if `full_size` or the size of the glance is not a positive number.
    """
    try:
        settings = json.loads(Path(path).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise OSError(_describe(path, f"invalid JSON ({error})")) from error
    if not isinstance(settings, dict) or SETTINGS - settings.keys():
        found = settings if isinstance(settings, dict) else {}
        raise OSError(_describe(path, f"no {', '.join(sorted(SETTINGS - found.keys()))}"))
    for name, types in (("calibration", dict), ("classifier", str | None)):
        if not isinstance(settings[name], types):
            raise OSError(_describe(path, f"{name} {settings[name]!r:.60}"))
    if settings["full_size"] is not None:
        check_count("full_size", settings["full_size"])
    glance = settings.setdefault("glance", None)  # files from before there was one
    if glance is not None:
        _check_glance(path, glance)
    return settings


def list_copies(settings: dict[str, Any]) -> list[str]:
    """Subfolders that hold models of the cascade with these settings."""
    copies = [CLASSIFIER_FOLDER] if settings["classifier"] is None else []
    glance = settings["glance"]
    copied = glance and not glance["is_classifier"] and glance["reference"] is None
    return [*copies, GLANCE_FOLDER] if copied else copies


def list_references(settings: dict[str, Any]) -> list[str]:
    """Hub ids or folders of models that the cascade with these settings refers to."""
    found = (settings["classifier"], (settings["glance"] or {}).get("reference"))
    return [reference for reference in found if reference is not None]


def _check_glance(path: str | Path, glance: Any) -> None:
    sound = isinstance(glance, dict) and glance.keys() == GLANCE_SETTINGS
    if (
        not sound
        or not isinstance(glance["reference"], str | None)
        or not isinstance(glance["is_classifier"], bool)
    ):
        raise OSError(_describe(path, f"glance {glance!r:.60}"))
    if glance["size"] is not None:
        check_count("glance_size", glance["size"])


def _describe(path: str | Path, fault: str) -> str:
    return (
        f"`source` must hold a cascade.json as `Cascade.save_pretrained` writes it, got {path} "
        f"with {fault}; save the cascade again."
    )
