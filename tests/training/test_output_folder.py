"""Output folders: one training at a time, whole models only, full disks by name."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator
from planted_texts import FAST, SMALL, plant

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import FullDiskError
from hf_anchornet.publishing.card import make_card
from hf_anchornet.training import loop as training_loop
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.output_folder import LOCK_FILE, holding_folder, save_in_one_go
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

HOLDER = """
import sys, time
from accelerate import Accelerator
from hf_anchornet.training.output_folder import holding_folder
with holding_folder(sys.argv[1], Accelerator()):
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds `tmp_path / "run"` like a training."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


@pytest.fixture
def train(tmp_path):
    """A small training in `tmp_path / "run"`; its report."""
    source = plant(tmp_path / "data", 32)

    def train(**options):
        return train_text_localizer(
            DataOptions(source),
            TextLocalizerOptions(**SMALL | {"hidden_size": 64}),
            TrainingOptions(str(tmp_path / "run"), **FAST | {"num_epochs": 1} | options),
        )

    return train


def test_a_second_training_in_a_folder_is_refused_by_the_name_of_the_first(holder, train):
    with pytest.raises(ValueError, match=rf"process {holder.pid} on .* trains; choose another"):
        train()


def test_the_lock_of_a_killed_training_is_taken_over(holder, train, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / LOCK_FILE).exists()
    train()
    assert not (tmp_path / "run" / LOCK_FILE).exists()


def test_one_process_trains_once_at_a_time_in_a_folder(tmp_path):
    accelerator = Accelerator()
    for _ in range(2):
        with holding_folder(tmp_path, accelerator):
            assert str(os.getpid()) in (tmp_path / LOCK_FILE).read_text()
            second = holding_folder(tmp_path, accelerator)
            with pytest.raises(ValueError, match="this process"):
                second.__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_given_back_after_an_error(train, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "_train_epoch", lambda run: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train()
    train()


@pytest.mark.parametrize("options", [{}, {"checkpoint_steps": 1}])
def test_a_full_disk_is_named_by_the_folder_of_a_training(train, tmp_path, options):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    train()  # so that the data is cached
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(FullDiskError, match=r"the disk of .*run is full .*; free some space"):
            train(num_epochs=2, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_of_the_cache_is_named_by_the_cache(train, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hf_anchornet.training.text_training.tokenize", fail)
    with pytest.raises(FullDiskError, match=rf"the disk of {tmp_path / 'cache'} is full"):
        train()


def test_the_earlier_model_stays_whole_where_the_disk_is_full(tmp_path):
    (tmp_path / "model.safetensors").write_text("whole")

    def save(folder):
        Path(folder, "model.safetensors").write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_in_one_go(save, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_text() == "whole"


def test_the_card_of_an_interrupted_training_says_so(train, tmp_path, monkeypatch):
    train()  # a report of an earlier training, which is not that of the model any more

    def stop(run, before=training_loop._train_epoch):
        if run.progress.epoch == 2:
            raise KeyboardInterrupt
        return before(run)

    monkeypatch.setattr(training_loop, "_train_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        train(num_epochs=3)
    report = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (report["finished"], len(report["history"])) == (False, 1)
    card = " ".join(str(make_card(tmp_path / "run")).split())
    assert "The training was interrupted. This is its best model after epoch 1 of 3." in card
    assert "rows)" not in card


def test_a_new_training_leaves_no_report_of_an_earlier_one(train, tmp_path, monkeypatch):
    train()
    monkeypatch.setattr(training_loop, "save_in_one_go", lambda save, folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(seed=1)
    report = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (report["finished"], report["options"]["seed"]) == (False, 1)


def test_a_new_training_leaves_no_scores_of_an_earlier_model(train, tmp_path):
    train()
    (tmp_path / "run" / "evaluation.json").write_text("{}")
    train(seed=1)
    assert not (tmp_path / "run" / "evaluation.json").exists()
