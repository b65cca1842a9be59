"""The end of a training that no longer improves, and the warning before it."""

import json
import logging

import pytest
import torch
from compared_trainings import assert_same_training
from planted_texts import FAST, SMALL, plant

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training import fit
from hf_anchornet.training.early_stopping import (
    count_stale_epochs,
    describe_end,
    warn_of_overfitting,
)
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer


def make_history(accuracies, losses=None, train_losses=None):
    rows = []
    for row, accuracy in enumerate(accuracies):
        rows.append({"epoch": row + 1, "accuracy": accuracy, "train_loss": 1.0})
        if losses is not None:
            rows[-1]["loss"] = losses[row]
        if train_losses is not None:
            rows[-1]["train_loss"] = train_losses[row]
    return rows


@pytest.mark.parametrize(
    ("accuracies", "losses", "stale"),
    [
        ([], [], 0),
        ([0.5], [1.0], 0),
        ([0.5, 0.6, 0.7], [1.0, 1.1, 1.2], 0),  # the metric rises while the loss does
        ([0.5, 0.5, 0.5], [1.0, 0.9, 0.8], 0),  # and the other way round
        ([0.5, 0.5, 0.4], [1.0, 1.0, 1.1], 2),  # as good as before is not better
        ([0.5, 0.7, 0.6, 0.65], [1.0, 0.8, 0.9, 0.85], 2),  # better than the last one is not enough
        ([0.5, 0.7, 0.6], None, 1),
    ],
)
def test_epochs_that_better_neither_metric_nor_loss_are_stale(accuracies, losses, stale):
    assert count_stale_epochs(make_history(accuracies, losses), "accuracy") == stale


def test_patience_ends_a_training_and_none_does_not():
    history = make_history([0.9, 0.8, 0.7], [0.1, 0.2, 0.3])
    assert describe_end(history, "accuracy", 0) is None
    assert describe_end(history, "accuracy", 3) is None
    assert describe_end(history, "accuracy", 2) == (
        "patience: for 2 epochs neither accuracy nor validation loss was better than before"
    )
    assert "for 1 epoch neither" in describe_end(history, "accuracy", 1)


def test_a_negative_patience_is_refused():
    with pytest.raises(ValueError, match="`patience` must be at least 0, got -1"):
        TrainingOptions("unused", patience=-1)


@pytest.mark.parametrize(
    ("losses", "train_losses", "warns"),
    [
        ([1.0], [1.0], False),
        ([1.0, 1.1], [1.0, 0.9], True),
        ([1.79, 1.86], [1.80, 1.60], False),  # noise at chance
        ([1.79, 1.95], [1.80, 1.79], False),
        ([0.059, 0.075], [0.15, 0.10], False),  # noise of a model that is right
        ([1.0, 1.03, 1.06], [1.0, 0.95, 0.9], True),  # slowly
        ([1.0, 1.1], [1.0, 1.1], False),  # both rise
        ([1.0, 0.9], [1.0, 0.9], False),  # both fall
        ([1.0, 1.1, 1.2], [1.0, 0.9, 0.8], False),  # warned before
        (None, [1.0, 0.9], False),
    ],
)
def test_a_validation_loss_that_begins_to_rise_alone_is_warned_of(
    caplog, losses, train_losses, warns
):
    history = make_history([0.5] * len(train_losses), losses, train_losses)
    warn_of_overfitting(history)
    found = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert bool(found) == warns
    if warns:
        rose = f"rose from 1.000 to {losses[-1]:.3f} since epoch 1 while training loss fell"
        assert f"epoch {len(losses)}: validation loss {rose}" in found[0].getMessage()


# In a training

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

ACCURACIES = [0.5, 0.6, 0.55, 0.52, 0.9, 0.9]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A training of at most six epochs, each with the given scores; its report."""
    source = plant(tmp_path / "data", 32)
    count = {"evaluations": 0}

    def score(*args):
        count["evaluations"] += 1
        row = count["evaluations"] - 1
        return {"accuracy": ACCURACIES[row], "loss": 1 - ACCURACIES[row]}

    monkeypatch.setattr(fit, "evaluate_accuracy", score)

    def run(name="run", evaluations=0, **options):
        count["evaluations"] = evaluations
        return train_text_localizer(
            DataOptions(source),
            TextLocalizerOptions(**SMALL),
            TrainingOptions(str(tmp_path / name), **FAST | {"num_epochs": 6} | options),
        )

    return run


def test_a_training_ends_after_its_patience_with_the_best_model_and_says_so(run, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        report = run(patience=2)
    assert [scores["epoch"] for scores in report["history"]] == [1, 2, 3, 4]
    assert report["best"]["epoch"] == 2
    assert report["finished"]
    written = json.loads((tmp_path / "run" / "training.json").read_text("utf-8"))
    assert written["ended"] == report["ended"]
    assert report["ended"]["epoch"] == 4
    assert report["ended"]["reason"].startswith("patience: for 2 epochs neither accuracy nor")
    assert "ended after epoch 4 of 6, patience" in caplog.text


def test_without_patience_all_epochs_are_done(run):
    report = run(patience=0)
    assert len(report["history"]) == 6
    assert report["ended"] == {"epoch": 6, "reason": "num_epochs: all 6 epochs are done"}


def test_a_resumed_training_ends_where_an_undisturbed_one_does(run, tmp_path, monkeypatch):
    run("whole", patience=2)
    steps, step = [], torch.optim.AdamW.step

    def stop(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 6:  # in the third epoch, two steps each
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(patience=2, checkpoint_steps=1)
    run(patience=2, checkpoint_steps=1, resume=True, evaluations=2)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_another_patience_cannot_resume(run, monkeypatch):
    step = torch.optim.AdamW.step

    def stop(self, *args, **kwargs):
        raise KeyboardInterrupt

    run_steps = iter([step, stop])
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", lambda *args: next(run_steps)(*args))
        with pytest.raises(KeyboardInterrupt):
            run(patience=2, checkpoint_steps=1)
    with pytest.raises(ValueError, match=r"`patience` must be as in the checkpoint, 2, .* got 3"):
        run(patience=3, checkpoint_steps=1, resume=True)
