"""Checks of the input of a corpus job: one type a column, no answers among it, no change unseen."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from hf_anchornet.files import hash_file


def check_types(schemas: Mapping[str, pa.Schema], columns: Sequence[str]) -> None:
    """Check that the copied columns have the same type in all shards.

    Args:
        schemas: The schema of each shard, by its name.
        columns: Names of the copied columns.

    Raises:
        ValueError: if one has not; the message names the column and two shards.
    """
    for column in columns:
        first: tuple[str, pa.DataType] | None = None
        for name, schema in schemas.items():
            held = schema.field(column).type
            first = first or (name, held)
            if held != first[1]:
                raise ValueError(
                    f"`columns` must have one type in all shards, got {column} of type {held} in "
                    f"{name} and of type {first[1]} in {first[0]}; convert one of these shards or "
                    "leave the column out."
                )


def check_output(input_pattern: str, output: str, names: Sequence[str]) -> None:
    """Check that the answers will not be found among the input the next time.

    Args:
        input_pattern: Path, URL or pattern of the input.
        output: Folder or URL of the answers.
        names: Paths of the answers in that folder.

    Raises:
        ValueError: if the pattern matches one of them.
    """
    (files, pattern), (others, folder) = url_to_fs(input_pattern), url_to_fs(output)
    if files != others:
        return
    fixed = find_fixed_folder(pattern)
    real = f"{find_real_path(files, fixed).rstrip('/')}/{pattern.removeprefix(fixed)}"
    matches = re.compile(glob_translate(real)).match
    found = [name for name in names if matches(f"{find_real_path(files, folder)}/{name}")]
    if found:
        raise ValueError(
            f"`output` must not be where `input` finds the answers again, got {output}, where "
            f"{input_pattern} matches {found[0]}; choose a folder outside of the input."
        )


def find_fixed_folder(pattern: str) -> str:
    """The part of a pattern up to the last slash before its first wildcard."""
    (fixed, *_) = re.split(r"[*?\[]", pattern, maxsplit=1)
    return fixed[: fixed.rfind("/") + 1]


def find_real_path(files: Any, path: str) -> str:
    """The path without links, if it is local."""
    return os.path.realpath(path) if isinstance(files, LocalFileSystem) else path.rstrip("/")


def hash_local_file(source: str) -> str | None:
    """The SHA-256 of a local file; `None` for others, whose properties tell of any change."""
    files, path = url_to_fs(source)
    if not isinstance(files, LocalFileSystem):
        return None
    return hash_file(Path(path))
