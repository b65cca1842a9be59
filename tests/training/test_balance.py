"""Class-balanced trainings: what they see, that they resume, and the data that cannot have them."""

from collections import Counter

import pytest
import torch
from compared_trainings import SMALL_IMAGES, assert_same_training
from datasets import Dataset
from PIL import Image
from planted_texts import FAST, SMALL, plant

from hf_anchornet.cli import adapt, train
from hf_anchornet.cli.modalities import run_for_data
from hf_anchornet.training import loop as training_loop

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

RARE = 6
ROWS = 60


@pytest.fixture
def source(tmp_path):
    """Texts of which one in ten is positive."""
    (tmp_path / "data").mkdir()
    texts = [f"{'superb' if row < RARE else 'dreadful'} film number {row}" for row in range(ROWS)]
    labels = ["positive" if row < RARE else "negative" for row in range(ROWS)]
    for split in ("train", "validation"):
        rows = Dataset.from_dict({"text": texts, "label": labels})
        rows.to_parquet(tmp_path / "data" / f"{split}.parquet")
    return str(tmp_path / "data")


@pytest.fixture
def seen(monkeypatch):
    """How often each label was trained on."""
    seen, train_batch = Counter(), training_loop._train_batch

    def record(run, batch):
        seen.update(batch["labels"].tolist())
        return train_batch(run, batch)

    monkeypatch.setattr(training_loop, "_train_batch", record)
    return seen


@pytest.fixture
def run(source, tmp_path):
    """A training of one epoch; its report."""

    def run(name="run", **options):
        given = {"dataset": source, "output_dir": str(tmp_path / name), "num_epochs": 1}
        return run_for_data(train.WORKS, given | SMALL | FAST | options)

    return run


def test_a_balanced_training_sees_both_labels_equally_often(run, seen):
    run()
    assert seen == {0: ROWS - RARE, 1: RARE}
    seen.clear()
    run("balanced", balance=True)
    assert seen == {0: ROWS // 2, 1: ROWS // 2}


def test_a_classifier_is_balanced_as_well(source, seen, tmp_path):
    given = {"dataset": source, "output_dir": str(tmp_path / "run"), "reading": "full"}
    given |= {"num_epochs": 1, "hidden_size": 16, "num_layers": 1, "balance": True}
    run_for_data(adapt.WORKS, given)
    assert seen == {0: ROWS // 2, 1: ROWS // 2}


def test_images_are_balanced_as_well(tmp_path, seen):
    colours = [(250, 0, 0), (0, 0, 250)]
    rows = {"image": [Image.new("RGB", (40, 36), colours[row < 2]) for row in range(12)]}
    rows["label"] = ["blue" if row < 2 else "red" for row in range(12)]
    Dataset.from_dict(rows).to_parquet(tmp_path / "pictures.parquet")
    given = {"dataset": str(tmp_path / "pictures.parquet"), "validation_split": "train"}
    given |= {"output_dir": str(tmp_path / "run"), "crop_size": 24, "num_epochs": 1}
    run_for_data(train.WORKS, given | SMALL_IMAGES | {"balance": True})
    assert seen == {0: 6, 1: 6}


def test_a_balanced_training_resumes_as_if_nothing_had_been(run, tmp_path, monkeypatch):
    options = {"balance": True, "num_epochs": 2, "batch_size": 8}
    run("whole", **options)
    steps, step = [], torch.optim.AdamW.step

    def stop(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 12:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint_steps=1, **options)
    run(checkpoint_steps=1, resume=True, **options)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_lists_of_labels_cannot_be_balanced(tmp_path):
    rows = {"text": ["superb plot", "dreadful plot"] * 8, "label": [["good"], []] * 8}
    rows["label"][0] = ["good", "bad"]
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    given = {"dataset": str(tmp_path / "data.parquet"), "validation_split": "train", **SMALL}
    with pytest.raises(ValueError, match="`balance` must be False unless each row has exactly one"):
        run_for_data(train.WORKS, given | {"output_dir": str(tmp_path / "run"), "balance": True})


@pytest.mark.usefixtures("short_passes")
def test_a_stream_cannot_be_balanced(tmp_path):
    given = {"dataset": plant(tmp_path / "data", 32), "output_dir": str(tmp_path / "run"), **SMALL}
    with pytest.raises(ValueError, match="`balance` must be False with `streaming`, got True"):
        run_for_data(train.WORKS, given | {"streaming": True, "balance": True})
