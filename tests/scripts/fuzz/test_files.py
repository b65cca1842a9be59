"""Fuzzing of labels, data files, settings and budgets: damage is named, sound input is read."""

import json

import numpy as np
import pytest

from scripts.fuzz import files
from scripts.fuzz.inputs import SEPARATOR, damage


def test_random_labels_are_read_as_meant_or_refused():
    for seed in range(60):
        assert files.check_labels(np.random.default_rng(seed).bytes(16)) == 1


def test_an_error_that_nobody_named_is_a_fault():
    with pytest.raises(KeyError), files.named_errors():
        raise KeyError("label")
    with pytest.raises(AssertionError, match="ValueError without a message"), files.named_errors():
        raise ValueError


def test_a_missing_label_that_becomes_a_class_is_a_fault(monkeypatch):
    monkeypatch.setattr(files, "LABELS", (float("nan"),))
    monkeypatch.setattr(files, "find_labels", lambda *_: ["nan", "other"])
    monkeypatch.setattr(files, "number_labels", lambda rows, *_: [0] * len(rows))
    seeds = [np.random.default_rng(seed).bytes(16) for seed in range(9)]  # some draw lists
    with pytest.raises(AssertionError, match="a missing label became a class"):
        [files.check_labels(seed) for seed in seeds]


def test_settings_are_read_or_refused():
    check = files.make_settings_check()
    whole = json.dumps(files.SETTINGS).encode()
    assert check(whole) == 2
    for seed in range(40):
        assert check(damage(whole, np.random.default_rng(seed))) == 2
        assert check(files.draw_settings(np.random.default_rng(seed))) == 2
    assert check(b"[" * 100_000) == 2


@pytest.mark.filterwarnings("ignore")
def test_data_files_are_read_or_refused():
    check = files.make_data_files_check()
    for seed in range(8):
        assert check(files.draw_data_file(np.random.default_rng(seed))) == 1


def test_no_budget_is_exceeded():
    check = files.make_budgets_check()
    texts = ["", "a good film", "caf\u00e9 " * 40, "x" * 300]
    assert check(SEPARATOR.join(texts).encode()) == 4
