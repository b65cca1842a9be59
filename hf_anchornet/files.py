"""JSON files and folders written whole or not at all; folders show whether they were damaged."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

CHECKPOINTS_FOLDER = "checkpoints"
"""In the folder of a training: its checkpoints. They hold pickled files and are never published."""

SUMS_FILE = "sha256.json"
"""In each folder: the SHA-256 of each other file."""


def start_folder(target: Path) -> Path:
    """A new, empty folder beside `target`, to be filled and finished; an older one is dropped."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def finish_folder(partial: Path, target: Path) -> None:
    """Write what was filled to the disk, then give it its name: from then on it exists.

    Args:
        partial: From `start_folder`, filled.
        target: Its name; what is there is replaced.
    """
    sums = {_name(path, partial): _digest(path) for path in _files(partial)}
    (partial / SUMS_FILE).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    for path in [*_files(partial), *filter(Path.is_dir, partial.rglob("*")), partial]:
        _flush(path)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _flush(target.parent)


def find_damage(folder: Path) -> str | None:
    """What is wrong with a folder from `finish_folder`; `None`: nothing."""
    try:
        links = [path for path in folder.rglob("*") if path.is_symlink()]
        if links:  # none is ever written: it may lead anywhere
            return f"{_name(links[0], folder)} is a link"
        sums = json.loads((folder / SUMS_FILE).read_text("utf-8"))
        found = {_name(path, folder): path for path in _files(folder)}
        for name, digest in sums.items():
            if name not in found:
                return f"{name} is missing"
            if _digest(found[name]) != digest:
                return f"{name} is not what was written"
    except (OSError, ValueError, AttributeError) as error:
        return f"{SUMS_FILE} cannot be read: {error}"
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Wait until the disk has a file's content or a folder's entries."""
    if path.is_dir() and os.name == "nt":  # Windows has no such call for folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
