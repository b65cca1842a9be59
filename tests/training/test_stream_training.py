"""Training on a stream: learning, number of steps, and exact resumption after a kill."""

import gc
import random

import datasets
import pytest
import torch
from compared_trainings import STEPS, assert_same_training, kill_and_compare
from datasets import Dataset
from planted_texts import FAST, SMALL, plant
from safetensors.torch import load_file

from hf_anchornet.data.splits import DataOptions, detect_modality
from hf_anchornet.training import loop as training_loop
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions, adapt_text_classifier
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator", "short_passes")

STREAM = {"streaming": True, "shuffle_buffer": 32}
COMMAND = (
    "--vocab_size 200 --hidden_size 16 --ngram_min_count 2 --crop_tokens 8 --num_epochs 2 "
    "--learning_rate 1e-2 --checkpoint_steps 2 --streaming True --shuffle_buffer 8"
)


@pytest.fixture
def source(tmp_path):
    """96 texts with a planted word, in four shards: six steps of 16."""
    return plant(tmp_path / "data", 96, num_shards=4)


@pytest.fixture
def run(source, tmp_path):
    """A training of two epochs of six steps; its report."""

    def run(name="run", data=None, localizer=None, **options):
        return train_text_localizer(
            DataOptions(**{"dataset": source} | STREAM | (data or {})),
            TextLocalizerOptions(**SMALL | (localizer or {})),
            TrainingOptions(str(tmp_path / name), **FAST | {"num_epochs": 2} | options),
        )

    return run


def test_a_stream_teaches_the_planted_word(tmp_path, run):
    folder = plant(tmp_path / "more", 480, num_shards=3)
    report = run(data={"dataset": folder}, num_epochs=6)
    assert report["best"]["accuracy"] == 1.0
    assert report["data"]["num_rows"] == 480
    assert "480 rows" in (tmp_path / "run" / "README.md").read_text("utf-8")


@pytest.fixture
def rates(monkeypatch):
    """Learning rates of each step."""
    rates, step = [], torch.optim.AdamW.step

    def record(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    return rates


@pytest.mark.parametrize(("options", "steps"), [({}, 12), ({"gradient_accumulation_steps": 4}, 4)])
def test_steps_follow_from_the_rows_of_parquet_files(run, rates, options, steps):
    run(**options)
    assert len(rates) == steps


@pytest.mark.parametrize(("steps", "accumulation", "parts"), [(7, 1, [3, 4]), (5, 2, [4, 6])])
def test_max_steps_are_split_into_epochs(run, monkeypatch, steps, accumulation, parts):
    seen = []
    train_batch = training_loop._train_batch

    def note(run, batch):
        seen.append(run.progress.epoch)
        return train_batch(run, batch)

    monkeypatch.setattr(training_loop, "_train_batch", note)
    run(max_steps=steps, gradient_accumulation_steps=accumulation)
    assert [seen.count(epoch) for epoch in (1, 2)] == parts


def test_the_rates_fall_to_zero_at_the_last_step(run, rates):
    run(max_steps=10, warmup_ratio=0.0)
    assert len(rates) == 10
    assert rates[-1] == pytest.approx(rates[0] / 10)


# `datasets` leaves a .csv file open of which only the first rows are read.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stream_whose_rows_nobody_counted_needs_max_steps(run, tmp_path):
    folder = tmp_path / "csv"
    folder.mkdir()
    rows = {
        "text": ["a superb film", "a dreadful film"] * 20,
        "label": ["positive", "negative"] * 20,
    }
    for split in ("train", "validation"):
        Dataset.from_dict(rows).to_csv(folder / f"{split}.csv")
    data = {"dataset": str(folder / "{split}.csv")}
    with pytest.raises(
        ValueError, match=r"`max_steps` must be at least 1 .* rows / 16, the rows of"
    ):
        run(data=data)
    report = run(data=data, max_steps=4)
    assert report["data"]["num_rows"] is None
    assert "a stream of rows" in (tmp_path / "run" / "README.md").read_text("utf-8")
    gc.collect()


def test_a_training_on_a_stream_opens_its_source_once_for_each_split(source, tmp_path, monkeypatch):
    opened, init = [], datasets.DatasetBuilder.__init__

    def count(self, *args, **kwargs):
        opened.append(type(self))
        init(self, *args, **kwargs)

    monkeypatch.setattr(datasets.DatasetBuilder, "__init__", count)
    data = DataOptions(source, **STREAM)
    assert detect_modality(data) == "text"
    options = TrainingOptions(str(tmp_path / "run"), **FAST | {"num_epochs": 1})
    train_text_localizer(data, TextLocalizerOptions(**SMALL), options)
    assert len([builder for builder in opened if "Parquet" in builder.__name__]) == 2


def test_fewer_steps_than_epochs_are_refused(run):
    with pytest.raises(ValueError, match="`max_steps` must be at least `num_epochs`, 2, got 1"):
        run(max_steps=1)


def test_max_steps_are_for_streams(run):
    with pytest.raises(ValueError, match="`max_steps` must be 0 without `streaming`, got 3"):
        run(data={"streaming": False}, max_steps=3)


def test_a_teacher_is_refused(run):
    with pytest.raises(ValueError, match="`teacher` must be None with `streaming`, got unused"):
        run(localizer={"teacher": "unused"})


def test_what_reads_a_split_more_than_once_refuses_a_stream(source, tmp_path):
    with pytest.raises(ValueError, match="`streaming` must be False except for `anchornet train`"):
        adapt_text_classifier(
            DataOptions(source, streaming=True),
            TextClassifierOptions("unused", "unused"),
            TrainingOptions(str(tmp_path / "run")),
        )


def test_a_label_that_is_not_in_the_first_rows_is_named(run):
    with pytest.raises(ValueError, match=r"`label` must hold at least two labels"):
        run(data={"vocabulary_rows": 1})


def test_a_text_that_is_no_string_is_named(run, tmp_path):
    folder = plant(tmp_path / "broken", 40)
    rows = Dataset.from_parquet(f"{folder}/train.parquet").to_dict()
    rows["text"][30] = None
    Dataset.from_dict(rows).to_parquet(f"{folder}/train.parquet")
    options = {"dataset": folder, "shuffle_buffer": 0, "vocabulary_rows": 20}
    with pytest.raises(
        TypeError, match=r"in batch 2 of pass 0.*`text` must hold strings, .* row 14"
    ):
        run(data=options)


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_training_on_a_stream_goes_on_to_the_last_bit(
    source, launch_training, tmp_path, num_workers
):
    step = random.SystemRandom().randrange(3, STEPS)
    options = [*COMMAND.split(), "--batch_size", "16", "--num_workers", str(num_workers)]
    kill_and_compare(launch_training, tmp_path, source, step, options)
    one, other = (load_file(tmp_path / name / "final.safetensors") for name in ("a", "c"))
    assert all(one[name].equal(other[name]) for name in one), f"killed before step {step}"
    assert_same_training(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_two_killed_processes_on_a_stream_go_on_with_the_same_samples(
    source, launch_training, tmp_path
):
    step = random.SystemRandom().randrange(3, STEPS)
    options = [*COMMAND.split(), "--batch_size", "8"]
    kill_and_compare(launch_training, tmp_path, source, step, options, num_processes=2)
    one, other = (load_file(tmp_path / name / "final.safetensors") for name in ("a", "c"))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("shuffle_buffer", 16), ("max_steps", 8), ("num_workers", 1)]
)
def test_a_checkpoint_of_another_reading_is_refused(run, tmp_path, monkeypatch, name, value):
    interrupt(run, monkeypatch)
    data, options = ({name: value}, {}) if name == "shuffle_buffer" else ({}, {name: value})
    with pytest.raises(ValueError, match=f"`{name}` must be as in the checkpoint, .*got {value}"):
        run(data=data, resume=True, **options)


def test_a_checkpoint_of_other_shards_is_refused(run, source, monkeypatch):
    interrupt(run, monkeypatch)
    rows = Dataset.from_parquet(f"{source}/train-0.parquet").to_dict()
    rows["text"] = [text.replace("film", "plot") for text in rows["text"]]
    Dataset.from_dict(rows).to_parquet(f"{source}/train-0.parquet")
    with pytest.raises(ValueError, match="`dataset` must hold the rows of the checkpoint"):
        run(resume=True)


def interrupt(run, monkeypatch):
    """A training that stops after its first checkpoint."""
    with monkeypatch.context() as patch:
        patch.setattr(training_loop.Checkpoints, "remove", lambda self: None)
        run(checkpoint_steps=6)
