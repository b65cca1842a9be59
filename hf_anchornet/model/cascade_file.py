"""The file that makes a folder a cascade, read and checked."""

import json
from pathlib import Path
from typing import Any

from .selection import check_count

SETTINGS = {"stages", "thresholds", "temperatures", "classifier", "full_size", "calibration"}
"""What the file says."""


def read_cascade_file(path: str | Path) -> dict[str, Any]:
    """What a `cascade.json` says; stages and thresholds are checked by `ExitRule`.

    Raises:
        OSError: if it is damaged.
        ValueError: if `full_size` is no positive number.
    """
    try:
        settings = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise OSError(_describe(path, f"no JSON in it ({error})")) from error
    if not isinstance(settings, dict) or SETTINGS - settings.keys():
        told = settings if isinstance(settings, dict) else {}
        raise OSError(_describe(path, f"no {', '.join(sorted(SETTINGS - told.keys()))}"))
    for name, types in (("calibration", dict), ("classifier", str | None)):
        if not isinstance(settings[name], types):
            raise OSError(_describe(path, f"{name} {settings[name]!r:.60}"))
    if settings["full_size"] is not None:
        check_count("full_size", settings["full_size"])
    return settings


def _describe(path: str | Path, what: str) -> str:
    return (
        f"`source` must hold a cascade.json as `Cascade.save_pretrained` writes it, got {path} "
        f"with {what}; save the cascade again."
    )
