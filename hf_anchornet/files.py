"""JSON files, and folders that are written whole or not at all and can be checked for damage."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

CHECKPOINTS_FOLDER = "checkpoints"
"""Folder of checkpoints inside a training's folder. It holds pickled files: never publish it."""

SUMS_FILE = "sha256.json"
"""File in each finished folder with the SHA-256 of every other file."""

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_DISK_MESSAGE = re.compile(
    r"No space left|Not enough disk space|quota exceeded|File too large|"
    r"PytorchStreamWriter failed writing",
    re.IGNORECASE,
)
"""Messages of libraries that do not raise an `OSError` for a full disk."""


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` in one step, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


class FullDiskError(OSError):
    """A disk is full; the message names it by a folder on it."""


@contextmanager
def naming_full_disk(place: str | Path) -> Iterator[None]:
    """Raise a `FullDiskError` that names `place`, a folder or URL, if its disk is full within."""
    try:
        yield
    except FullDiskError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        is_named = getattr(error, "errno", None) in _FULL_DISK
        if not is_named and not _FULL_DISK_MESSAGE.search(str(error)):
            raise
        reason = str(error).splitlines()[0]
        raise FullDiskError(
            f"the disk of {place} is full ({reason}); free some space or choose a folder on "
            "another disk."
        ) from error


def start_folder(target: Path) -> Path:
    """A new, empty folder beside `target`, to be filled and finished; replaces an older one."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def finish_folder(partial: Path, target: Path) -> None:
    """Flush a filled folder to disk and rename it to `target` in one step.

    Args:
        partial: From `start_folder`, filled.
        target: Final name; replaces what is there.
    """
    sums = {_name(path, partial): hash_file(path) for path in _files(partial)}
    write_json(partial / SUMS_FILE, sums)
    for path in [*_files(partial), *filter(Path.is_dir, partial.rglob("*")), partial]:
        _flush(path)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _flush(target.parent)


def find_damage(folder: Path) -> str | None:
    """A description of the damage to a folder from `finish_folder`; `None` if it is sound."""
    try:
        links = [path for path in folder.rglob("*") if path.is_symlink()]
        if links:  # `finish_folder` writes none: a link may lead anywhere
            return f"{_name(links[0], folder)} is a link"
        sums = read_json(folder / SUMS_FILE)
        found = {_name(path, folder): path for path in _files(folder)}
        unlisted = sorted(found.keys() - sums.keys() - {SUMS_FILE})
        if not sums or unlisted:
            return f"{SUMS_FILE} does not list {unlisted[0] if unlisted else 'any file'}"
        for name, digest in sums.items():
            if name not in found:
                return f"{name} is missing"
            if hash_file(found[name]) != digest:
                return f"{name} differs from what was written"
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return f"{SUMS_FILE} cannot be read: {error}"
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits; it is read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file's content or a folder's entries are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot flush folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
