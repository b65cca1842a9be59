"""Checkpoints: an interrupted training ends as an uninterrupted one."""

import json
import logging
import os
import pickle
import random
import re
import shutil
from contextlib import suppress

import pytest
import torch
from compared_trainings import SMALL_IMAGES, STEPS, assert_same_training, kill_and_compare
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from planted_texts import FAST, SMALL, plant
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import SUMS_FILE, finish_folder
from hf_anchornet.publishing.check import check_folder
from hf_anchornet.training import checkpoints
from hf_anchornet.training import loop as training_loop
from hf_anchornet.training.epochs import RowEpochs
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import train_image_localizer
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

LOCALIZER = SMALL | {"crop_tokens": 8}
ROWS = 96  # 6 steps an epoch


class InterruptedTraining(Exception):
    """What stops a training in these tests."""


def stop_training(*args):
    raise InterruptedTraining("stopped")


@pytest.fixture
def source(tmp_path):
    """Texts with a planted word."""
    return plant(tmp_path / "data", ROWS)


@pytest.fixture
def run(source, tmp_path):
    """A training of two epochs of six steps; its report."""

    def run(name="run", localizer=None, **options):
        settings = FAST | {"num_epochs": 2, "warmup_ratio": 0.2} | options
        return train_text_localizer(
            DataOptions(source),
            TextLocalizerOptions(**LOCALIZER | (localizer or {})),
            TrainingOptions(str(tmp_path / name), **settings),
        )

    return run


@pytest.fixture
def interrupt(monkeypatch):
    """Stop the training that is run before this step."""

    def interrupt(step, train, **options):
        counted, before = [], torch.optim.AdamW.step

        def stop(self, *args, **kwargs):
            if len(counted) == step:
                stop_training()
            counted.append(step)
            return before(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", stop)
            with pytest.raises(InterruptedTraining, match="stopped"):
                train(**options)

    return interrupt


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_resumed_training_ends_as_an_undisturbed_one(
    run, interrupt, tmp_path, step, accumulation
):
    options = {"batch_size": 8, "gradient_accumulation_steps": accumulation}
    run("whole", **options)
    interrupt(step, run, checkpoint_steps=1, **options)
    run(checkpoint_steps=1, resume=True, **options)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("step", [6, 7, 11])
def test_a_training_resumes_at_and_after_the_end_of_an_epoch(run, interrupt, tmp_path, step):
    run("whole")
    interrupt(step, run, checkpoint_steps=step)
    assert f"step_{step}" in names(tmp_path / "run")
    run(checkpoint_steps=5, resume=True)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_a_training_resumes_after_its_last_step(run, tmp_path, monkeypatch):
    run("whole")
    describe = training_loop._Run.describe
    with monkeypatch.context() as patch:
        patch.setattr(
            training_loop._Run,
            "describe",
            lambda self, finished: stop_training() if finished else describe(self, finished),
        )
        with pytest.raises(InterruptedTraining, match="stopped"):
            run(checkpoint_steps=4)
    kept = [name for name in names(tmp_path / "run") if not name.startswith("best_")]
    assert kept == ["step_12", "step_8"]
    run(resume=True)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_a_training_killed_at_any_step_goes_on_to_the_last_bit(source, launch_training, tmp_path):
    step = random.SystemRandom().randrange(3, STEPS)
    options = "--vocab_size 200 --hidden_size 16 --ngram_min_count 2 --crop_tokens 8"
    options += " --num_epochs 2 --batch_size 16 --learning_rate 1e-2 --metric_for_best_model"
    options += " accuracy --checkpoint_steps 2"
    kill_and_compare(launch_training, tmp_path, source, step, options.split())
    one, other = (load_file(tmp_path / name / "final.safetensors") for name in ("a", "c"))
    assert all(one[name].equal(other[name]) for name in one), f"killed before step {step}"
    assert_same_training(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_two_killed_processes_go_on_with_the_same_samples(source, launch_training, tmp_path):
    step = random.SystemRandom().randrange(3, STEPS)
    options = "--vocab_size 200 --hidden_size 16 --ngram_min_count 2 --crop_tokens 8"
    options += " --num_epochs 2 --batch_size 8 --learning_rate 1e-2 --checkpoint_steps 2"
    kill_and_compare(launch_training, tmp_path, source, step, options.split(), num_processes=2)
    one, other = (load_file(tmp_path / name / "final.safetensors") for name in ("a", "c"))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_from_before_an_option_was_there_resumes_if_it_is_off(
    run, interrupt, tmp_path
):
    run("whole", patience=0)
    interrupt(7, run, checkpoint_steps=5, patience=0)
    last = tmp_path / "run" / "checkpoints" / "step_5"
    content = json.loads((last / "progress.json").read_text("utf-8"))
    for name in ("patience", "balance", "from_localizer", "encoder"):
        del content["settings"][name]
    (last / "progress.json").write_text(json.dumps(content), "utf-8")
    (last / SUMS_FILE).unlink()
    finish_folder(last.rename(last.with_name("step_5.partial")), last)
    with pytest.raises(ValueError, match="`patience` must be as in the checkpoint, None"):
        run(resume=True, patience=2)
    run(resume=True, patience=0)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("damage", ["a bit", "a file", "progress", "the best model"])
def test_a_damaged_checkpoint_is_skipped_and_the_one_before_taken(
    run, interrupt, tmp_path, caplog, damage
):
    run("whole", num_epochs=3)
    interrupt(17, run, checkpoint_steps=5, keep_checkpoints=3, num_epochs=3)
    last = tmp_path / "run" / "checkpoints" / "step_15"
    before = 10
    if damage == "a bit":
        content = bytearray((last / "optimizer.bin").read_bytes())
        content[len(content) // 2] ^= 1
        (last / "optimizer.bin").write_bytes(content)
    elif damage == "a file":
        (last / "random_states_0.pkl").unlink()
    elif damage == "progress":
        (last / "progress.json").write_text("{")
    else:  # Both checkpoints after the first epoch have it.
        (tmp_path / "run" / "checkpoints" / "best_1" / "model.safetensors").unlink(missing_ok=True)
        best = json.loads((last / "progress.json").read_text())["progress"]["best_epoch"]
        shutil.rmtree(tmp_path / "run" / "checkpoints" / f"best_{best}")
        before = 5
    run(checkpoint_steps=5, resume=True, num_epochs=3)
    assert "skipped the damaged checkpoint" in caplog.text
    assert str(last) in caplog.text
    assert f"resumed after step {before} from" in caplog.text
    assert_same_training(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    "name",
    ["optimizer.bin", "scheduler.bin", "random_states_0.pkl", "custom_checkpoint_0.pkl"],
)
def test_a_checkpoint_from_elsewhere_runs_no_code(run, interrupt, tmp_path, name):
    """Its sums fit: somebody wrote it so. It is refused or left unread, and nothing is written."""
    interrupt(7, run, checkpoint_steps=5)
    last = tmp_path / "run" / "checkpoints" / "step_5"
    (last / name).write_bytes(pickle.dumps(RunsCode(tmp_path / "written"), 2))
    (last / SUMS_FILE).unlink()
    finish_folder(last.rename(last.with_name("step_5.partial")), last)
    with suppress(pickle.UnpicklingError, RuntimeError):
        run(checkpoint_steps=5, resume=True)
    assert not (tmp_path / "written").exists()


class RunsCode:
    """Pickled, it writes a file where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_half_written_checkpoint_is_none(run, interrupt, tmp_path, caplog, monkeypatch):
    run("whole")

    with monkeypatch.context() as patch:
        interrupt(5, run, checkpoint_steps=4)
        patch.setattr(checkpoints, "finish_folder", stop_training)
        with pytest.raises(InterruptedTraining, match="stopped"):
            run(checkpoint_steps=2, resume=True)
    assert names(tmp_path / "run") == ["step_4", "step_6.partial"]
    run(checkpoint_steps=4, resume=True)
    assert "resumed after step 4 from" in caplog.text
    assert "damaged" not in caplog.text
    assert_same_training(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(("keep", "kept"), [(1, [10]), (2, [8, 10]), (9, [2, 4, 6, 8, 10])])
def test_the_last_checkpoints_are_kept_and_the_best_models_they_need(
    run, interrupt, tmp_path, keep, kept
):
    interrupt(11, run, checkpoint_steps=2, keep_checkpoints=keep)
    assert names(tmp_path / "run") == sorted(["best_1", *(f"step_{step}" for step in kept)])


def test_checkpoints_after_the_one_that_was_taken_do_not_push_out_new_ones(
    run, interrupt, tmp_path
):
    interrupt(11, run, checkpoint_steps=5)
    (tmp_path / "run" / "checkpoints" / "step_10" / "scheduler.bin").unlink()
    interrupt(2, run, checkpoint_steps=1, keep_checkpoints=1, resume=True)
    assert names(tmp_path / "run") == ["best_1", "step_7"]


def test_the_best_model_is_that_of_the_checkpoint_again(run, interrupt, tmp_path):
    interrupt(8, run, checkpoint_steps=7)
    best = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"damaged")
    interrupt(2, run, checkpoint_steps=7, resume=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == best
    assert not (tmp_path / "run" / "sha256.json").exists()


def test_without_a_checkpoint_training_starts_anew_and_says_so(run, tmp_path, caplog):
    run("whole", num_epochs=1)
    with caplog.at_level(logging.INFO):
        run(num_epochs=1, resume=True)
    assert re.search("no checkpoint in .*checkpoints to resume from: starting anew", caplog.text)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_checkpoints_are_gone_when_training_has_ended_well(run, tmp_path):
    run(checkpoint_steps=2)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_what_an_interrupted_training_has_learned_may_be_published(run, interrupt, tmp_path):
    interrupt(8, run, checkpoint_steps=7)
    assert list((tmp_path / "run" / "checkpoints").rglob("*.pkl"))
    check_folder(tmp_path / "run")


def test_checkpoints_of_an_earlier_training_are_not_overwritten(run, interrupt):
    interrupt(3, run, checkpoint_steps=2)
    with pytest.raises(ValueError, match=r"`output_dir` must hold no checkpoint .* set `resume`"):
        run(checkpoint_steps=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 8), ("seed", 1), ("num_epochs", 3), ("learning_rate", 0.5)],
)
def test_a_checkpoint_of_other_training_options_is_refused(run, interrupt, name, value):
    interrupt(3, run, checkpoint_steps=2)
    with pytest.raises(ValueError, match=f"`{name}` must be as in the checkpoint, .*got {value}"):
        run(resume=True, **{name: value})


@pytest.mark.parametrize(("name", "value"), [("hidden_size", 8), ("crop_tokens", 9)])
def test_a_checkpoint_of_another_model_is_refused(run, interrupt, name, value):
    interrupt(3, run, checkpoint_steps=2)
    with pytest.raises(ValueError, match=f"`{name}` must be as in the checkpoint, .*got {value}"):
        run(resume=True, localizer={name: value})


def test_a_checkpoint_of_other_data_is_refused(run, interrupt, source):
    interrupt(3, run, checkpoint_steps=2)
    rows = Dataset.from_parquet(f"{source}/train.parquet").to_dict()
    rows["text"] = [text.replace("film", "plot") for text in rows["text"]]
    Dataset.from_dict(rows).to_parquet(f"{source}/train.parquet")
    with pytest.raises(ValueError, match="`dataset` must hold the rows of the checkpoint"):
        run(resume=True)


def test_options_that_change_no_weight_may_change(run, interrupt, tmp_path):
    run("whole")
    interrupt(5, run, checkpoint_steps=2)
    run(resume=True, keep_checkpoints=5, checkpoint_steps=3)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_an_order_that_cannot_be_found_again_is_refused():
    with pytest.raises(ValueError, match=r"`loader` must have the order .* got RandomSampler"):
        RowEpochs(DataLoader([1, 2], shuffle=True), TrainingOptions("unused")).describe()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_augmented_images_go_on_as_they_would_have(
    planted_images, interrupt, tmp_path, num_workers
):
    def run(name="run", **options):
        return train_image_localizer(
            DataOptions(planted_images),
            ImageLocalizerOptions(**SMALL_IMAGES, hidden_dropout_prob=0.2),
            AugmentationOptions(crop_size=24, min_crop=0.75),
            TrainingOptions(str(tmp_path / name), num_epochs=2, batch_size=8, **options),
        )

    run("whole")
    interrupt(5, run, checkpoint_steps=2, num_workers=num_workers)
    run(resume=True)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


@pytest.fixture
def planted_images(tmp_path):
    """24 pictures of grey noise with a red or a blue square."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(90, 160, (24, 32, 40, 3), generator=generator, dtype=torch.uint8)
    pixels[::2, 8:16, 8:16, 0] = 255
    pixels[1::2, 8:16, 8:16, 2] = 255
    rows = {
        "image": [Image.fromarray(picture.numpy()) for picture in pixels],
        "label": ["red", "blue"] * 12,
    }
    folder = tmp_path / "images"
    folder.mkdir()
    for split in ("train", "validation"):
        dataset = Dataset.from_dict(rows).cast_column("image", ImageFeature())
        dataset.to_parquet(folder / f"{split}.parquet")
    return str(folder)
