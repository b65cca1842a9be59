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
    rows = rows.select_columns(list(columns))
    for name, feature in rows.features.items():
        if isinstance(feature, ImageFeature):
            rows = rows.cast_column(name, ImageFeature(decode=False))
    digest = hashlib.sha256(json.dumps(list(columns)).encode())
    for batch in rows.iter(BATCH):
        for column in columns:
            for value in batch[column]:
                digest.update(_to_bytes(value) + b"\0")
    return digest.hexdigest()


def _to_bytes(value: Any) -> bytes:
    if not isinstance(value, dict):
        return json.dumps(value, default=str).encode()
    if value.get("bytes") is not None:
        return bytes(value["bytes"])
    path = Path(str(value.get("path")))
    size = path.stat().st_size if path.is_file() else None
    return json.dumps([path.name, size]).encode()
