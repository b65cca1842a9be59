"""Checks of everything that is read besides inputs: labels, data files, settings, budgets.

As in `scripts.fuzz.media`, a check takes any bytes and returns the number of cases that it tried.
Whatever the bytes are, the package answers as meant or raises one of its named errors.
"""

import io
import json
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification

from hf_anchornet.data.labels import is_missing
from hf_anchornet.data.splits import DataOptions, find_labels, load_split, number_labels
from hf_anchornet.model.cascade_file import read_cascade_file
from hf_anchornet.model.cascade_rule import FULL, ExitRule
from hf_anchornet.model.localizer import is_localizer
from hf_anchornet.model.text_reader import ReadableText, SpanReader
from hf_anchornet.model.text_words import LocatedText, Words
from hf_anchornet.registration import DEFAULT_TEXT_LOCALIZER
from scripts.fuzz.inputs import damage, draw_texts, split_texts
from scripts.fuzz.media import Check, make_byte_tokenizer

NAMED = (OSError, TypeError, ValueError)
"""Errors that the command line turns into one sentence and exit code 2."""

LABELS = (0, 1, 2, -1, 0.0, 1.0, 0.5, float("nan"), None, True, "a", "b", " ", "01", "1", "['a']")
FORMATS = ("csv", "jsonl", "parquet", "tsv")
SETTINGS = {
    "stages": [32, 64, FULL],
    "thresholds": [0.9, 0.8, 0.7],
    "temperatures": [1.0, 1.0, 1.0, 1.0],
    "classifier": None,
    "full_size": 512,
    "calibration": {},
}


@contextmanager
def named_errors() -> Iterator[None]:
    """Let named errors pass, if they say something."""
    try:
        yield
    except NAMED as error:
        if not str(error).strip():
            raise AssertionError(f"{type(error).__name__} without a message") from error


def check_labels(data: bytes) -> int:
    """Columns of labels of every kind: equal values have equal targets, missing ones none."""
    rng = np.random.default_rng(list(data))
    pool = [LABELS[i] for i in rng.integers(0, len(LABELS), int(rng.integers(1, 5)))]
    values: list[Any] = [pool[i] for i in rng.integers(0, len(pool), int(rng.integers(2, 9)))]
    if rng.random() < 0.4:
        values = [[value] * int(rng.integers(0, 3)) for value in values]
    with named_errors():
        rows = Dataset.from_dict({"label": values})
        labels = find_labels(rows, "label")
        targets = number_labels(rows, "label", labels)
        assert len(labels) == len(set(labels)) >= 2
        for value, target in zip(rows["label"], targets, strict=True):
            assert not is_missing(value), "a missing label became a class"
            if isinstance(value, list):
                assert sum(target) == len({str(item) for item in value})
            else:
                assert 0 <= target < len(labels)
    return 1


def make_data_files_check() -> Check:
    """A check of damaged data files: rows, or a named error."""
    datasets.disable_progress_bars()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_files_"))

    def check(data: bytes) -> int:
        ending = FORMATS[data[0] % len(FORMATS)] if data else FORMATS[0]
        path = folder / f"{zlib.crc32(data)}.{ending}"
        path.write_bytes(data[1:])
        try:
            with named_errors(), redirect_stderr(io.StringIO()):
                rows = load_split(DataOptions(str(path)), "train")
                assert {"text", "label"} <= set(rows.column_names)
                assert len(rows) == len(list(rows["label"])) > 0
        finally:
            path.unlink()
        return 1

    return check


def draw_data_file(rng: np.random.Generator) -> bytes:
    """A small table in one of four formats, whole or damaged."""
    texts = [text for text in split_texts(draw_texts(rng)) if text.isprintable()] or ["good"]
    rows = Dataset.from_dict({"text": texts, "label": [i % 2 for i in range(len(texts))]})
    out, kind = io.BytesIO(), int(rng.integers(0, 4))
    if kind == 1:
        rows.to_json(out)
    elif kind == 2:
        rows.to_parquet(out)
    else:
        rows.to_csv(out, sep="\t" if kind == 3 else ",")
    content = out.getvalue()
    return bytes([kind]) + (content if rng.random() < 0.2 else damage(content, rng))


def make_settings_check() -> Check:
    """A check of damaged config.json and cascade.json files: settings, or a named error."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz_settings_"))

    def check(data: bytes) -> int:
        (folder / "config.json").write_bytes(data)
        (folder / "cascade.json").write_bytes(data)
        with named_errors():
            settings = read_cascade_file(folder / "cascade.json")
            ExitRule.make(settings["stages"], settings["thresholds"], settings["temperatures"])
        with named_errors():
            is_localizer(folder)
        return 2

    return check


def draw_settings(rng: np.random.Generator) -> bytes:
    """A config.json or a cascade.json, damaged."""
    config = (DEFAULT_TEXT_LOCALIZER / "config.json").read_bytes()
    return damage(config if rng.random() < 0.5 else json.dumps(SETTINGS).encode(), rng)


def make_budgets_check() -> Check:
    """A check of budgets: refused, or never exceeded, whatever the text."""
    tokenizer = make_byte_tokenizer()
    tokenizer.model_max_length = 64
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=64,
    )
    reader = SpanReader(BertForSequenceClassification(config), tokenizer)

    def check(data: bytes) -> int:
        texts, rng = split_texts(data), np.random.default_rng(list(data[:32]))
        for text in texts:
            words = Words.split(text)
            bounds = list(zip(words.starts.tolist(), words.ends.tolist(), strict=True))
            attribution = rng.normal(size=(len(bounds), 2))
            view = ReadableText(
                LocatedText.build(text, bounds, attribution), reader.count(words), [1, 3]
            )
            budget = int(rng.integers(-2, 100))
            with named_errors():
                reader.check_budget(budget)
                for piece in reader.cut(view, budget):
                    assert 0 < piece.size <= budget
            for piece in reader.cut(view, FULL):
                assert 0 < piece.size <= reader.most_tokens
        return len(texts)

    return check
