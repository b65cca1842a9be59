"""A fingerprint of rows: whether those of a later run are the ones of an earlier one."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from datasets import Image as ImageFeature

BATCH = 1_000
"""Rows that are held at a time."""


def fingerprint_rows(rows: Dataset, columns: Sequence[str]) -> str:
    """SHA-256 of some columns of all rows, in their order, as hexadecimal digits.

    Images count by the bytes of their files; of files that are only named by path, name and size.
    """
    rows = _select_files(rows, columns)
    digest = hashlib.sha256(json.dumps(list(columns)).encode())
    for batch in rows.iter(BATCH):
        for column in columns:
            for value in batch[column]:
                digest.update(_to_bytes(value) + b"\0")
    return digest.hexdigest()


def hash_inputs(rows: Dataset, column: str) -> list[str]:
    """What makes inputs equal, one for each row: a text itself, a hash of an image's file."""
    rows = _select_files(rows, [column])
    return [
        _hash_file(value) if isinstance(value, dict) else str(value)
        for batch in rows.iter(BATCH)
        for value in batch[column]
    ]


def _hash_file(value: dict[str, Any]) -> str:
    content = value.get("bytes")
    if content is None and Path(str(value.get("path"))).is_file():
        content = Path(str(value["path"])).read_bytes()
    return hashlib.sha256(_to_bytes(value) if content is None else content).hexdigest()


def _select_files(rows: Dataset, columns: Sequence[str]) -> Dataset:
    """Some columns, with images as files that are not decoded."""
    rows = rows.select_columns(list(columns))
    for name, feature in rows.features.items():
        if isinstance(feature, ImageFeature):
            rows = rows.cast_column(name, ImageFeature(decode=False))
    return rows


def _to_bytes(value: Any) -> bytes:
    if not isinstance(value, dict):
        return json.dumps(value, default=str).encode()
    if value.get("bytes") is not None:
        return bytes(value["bytes"])
    path = Path(str(value.get("path")))
    size = path.stat().st_size if path.is_file() else None
    return json.dumps([path.name, size]).encode()
