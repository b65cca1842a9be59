"""Splits held out of the training rows where a data source has none of its own."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset
from datasets import Image as ImageFeature
from datasets.table import embed_table_storage

from .fingerprint import hash_inputs
from .splits import DataOptions, load_split

SPLITS = ("train", "validation", "test")
"""Names of splits that are written."""

SHARE = 0.15
"""Share of the rows that is held out for a split."""
MOST_ROWS = 5_000
"""Most rows that are held out for a split."""


def choose_held_out(
    keys: Sequence[Hashable], labels: Sequence[Hashable], share: float, seed: int
) -> list[int]:
    """Rows to hold out, rising: a share of each label, drawn at random.

    Equal inputs stay together, so that none is in both parts. A label keeps at least one row. Where
    a share is no whole number, labels with the largest remainder give one row more, so that the
    share of all rows holds.

    Args:
        keys: What makes two inputs equal.
        labels: The label of each row.
        share: In [0, 1].
        seed: Of the draw.
    """
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    by_label: dict[Hashable, list[int]] = {}
    for row in first.values():
        by_label.setdefault(labels[row], []).append(row)
    random = np.random.default_rng(seed)
    drawn: set[int] = set()
    counts = _allot([len(rows) for rows in by_label.values()], share, seed)
    for rows, count in zip(by_label.values(), counts, strict=True):
        drawn.update(random.permutation(rows)[:count].tolist())
    return [row for row, key in enumerate(keys) if first[key] in drawn]


def _allot(sizes: Sequence[int], share: float, seed: int) -> list[int]:
    """How many rows each label gives, by largest remainder; equal ones are drawn at random."""
    quotas, most = share * np.array(sizes), np.array(sizes) - 1
    counts = np.minimum(np.floor(quotas + 1e-9).astype(int), most)
    missing = max(0, round(float(quotas.sum())) - int(counts.sum()))
    free = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(counts < most))
    order = np.argsort((counts - quotas)[free], kind="stable")
    counts[free[order[:missing]]] += 1
    chosen: list[int] = counts.tolist()
    return chosen


def hold_out_splits(
    options: DataOptions, rows: Dataset, inputs: str, test_split: str, seed: int, folder: Path
) -> tuple[DataOptions, str, list[str]]:
    """A source with all three splits, the name of its test split, and what was made.

    The splits that are missing are held out of the training rows and all three are written to a
    folder, as train.parquet, validation.parquet and test.parquet. If none is missing, the source
    stays as it is. A sentence for each split that was made says how.

    Args:
        options: The source; its training split exists.
        rows: Its training rows, with inputs and labels.
        inputs: Column of texts or images.
        test_split: Name of the test split.
        seed: Of the draw.
        folder: Folder for the parquet files.

    Raises:
        ValueError: if there are too few rows.
    """
    names = (options.validation_split, test_split)
    missing = [name for name in names if not options.source.has_split(name)]
    if not missing:
        return options, test_split, []
    parts = {name: load_split(options, name, inputs) for name in names if name not in missing}
    notes, keys = [], hash_inputs(rows, inputs)
    for number, name in enumerate(missing):
        labels = [str(label) for label in rows[options.label_column]]
        share = min(SHARE / (1 - SHARE * number), MOST_ROWS / len(rows))
        held = choose_held_out(keys, labels, share, seed)
        if not held:
            raise ValueError(
                f"`dataset` must have a split `{name}`, or enough training rows to hold one out, "
                f"got {len(rows)} rows of {len(set(labels))} labels; add rows: at "
                "least 5 of every label, or name the right `label_column`."
            )
        kept = np.setdiff1d(np.arange(len(rows)), held)
        parts[name], rows = rows.select(held), rows.select(kept)
        keys = [keys[row] for row in kept]
        rare = len(set(labels)) - len({labels[row] for row in held})
        without = f"; {rare:,} labels are too rare to have one there" if rare else ""
        notes.append(
            f"there is no split `{name}`: {len(held):,} rows were held out of "
            f"`{options.train_split}`, the same share of each label, seed {seed}{without}"
        )
    written = dict(zip(SPLITS, [rows, *(parts[name] for name in names)], strict=True))
    for name, part in written.items():
        write_split(part, folder / f"{name}.parquet", inputs)
    made = replace(
        options,
        dataset=str(folder),
        subset=None,
        train_split=SPLITS[0],
        validation_split=SPLITS[1],
        max_rows=0,
    )
    return made, SPLITS[2], notes


def write_split(rows: Dataset, path: Path, inputs: str) -> None:
    """Write rows to a parquet file in one step, with the files of their images in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(rows.features[inputs], ImageFeature):
        stored = rows.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100)
        rows = stored.with_format(None)
    partial = path.with_name(f".{path.name}.partial")
    rows.to_parquet(partial)
    partial.replace(path)
