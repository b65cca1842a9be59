"""Options that the training loop passes to Accelerate: clipping, precision, trackers."""

import sqlite3
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType
from planted_texts import FAST, SMALL, plant
from safetensors.torch import load_file

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training import options as training_options
from hf_anchornet.training.loop import _Run, _save_best
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")


@pytest.fixture
def source(tmp_path):
    """Texts with a planted word."""
    return plant(tmp_path / "data", 96)


@pytest.fixture
def run(source, tmp_path):
    """A training of two epochs of six steps; its report."""

    def run(name="run", **options):
        return train_text_localizer(
            DataOptions(source),
            TextLocalizerOptions(**SMALL),
            TrainingOptions(str(tmp_path / name), **FAST | {"num_epochs": 2} | options),
        )

    return run


@pytest.fixture
def norms(monkeypatch):
    """Norms of the gradients of each step."""
    norms, step = [], torch.optim.AdamW.step

    def record(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.cat([g.flatten() for g in gradients if g is not None]).norm()))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    return norms


@pytest.mark.parametrize("accumulation", [1, 3])
def test_gradients_are_clipped_once_a_step_to_the_norm_that_was_asked_for(run, norms, accumulation):
    options = {"batch_size": 8, "gradient_accumulation_steps": accumulation}
    run("free", max_grad_norm=1e9, **options)
    free = norms.copy()
    norms.clear()
    run("clipped", max_grad_norm=0.01, **options)
    assert len(free) == len(norms) == 2 * 12 // accumulation
    assert min(free) > 0.02
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)


def test_bfloat16_learns_and_saves_float32(run, tmp_path, monkeypatch):
    types, linear = set(), torch.nn.functional.linear

    def record(*args, **kwargs):
        output = linear(*args, **kwargs)
        types.add(output.dtype)
        return output

    monkeypatch.setattr(torch.nn.functional, "linear", record)
    report = run(mixed_precision="bf16", num_epochs=6)
    assert torch.bfloat16 in types
    assert report["history"][-1]["train_loss"] < 0.8 * report["history"][0]["train_loss"]
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float32}


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard's own imports
def test_tensorboard_gets_loss_rate_and_scores(run, tmp_path):
    pytest.importorskip("tensorboard")
    report = run(log_with="tensorboard", warmup_ratio=0.5, learning_rate=0.01)
    found = read_tensorboard(tmp_path / "run" / "logs" / "anchornet")
    assert [step for step, _ in found["train/loss"]] == list(range(1, 13))
    assert [step for step, _ in found["train/learning_rate"]] == list(range(1, 13))
    peak = max(found["train/learning_rate"], key=lambda event: event[1])
    assert peak[0] == 7
    for name, key in {"validation/accuracy": "accuracy", "train/epoch_loss": "train_loss"}.items():
        assert [step for step, _ in found[name]] == [6, 12]
        assert [value for _, value in found[name]] == pytest.approx(
            [epoch[key] for epoch in report["history"]]
        )


@pytest.mark.filterwarnings("ignore")  # of Trackio's own imports and threads
def test_trackio_gets_loss_rate_and_scores(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    run(log_with="trackio")
    (file,) = (tmp_path / "trackio").rglob("*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("select metrics from metrics order by step").fetchall()
    assert sum("train/learning_rate" in str(row) for row in rows) == 12
    assert sum("validation/accuracy" in str(row) for row in rows) == 2


def test_a_tracker_changes_no_weight(run, tmp_path):
    pytest.importorskip("tensorboard")
    run("plain")
    run("tracked", log_with="tensorboard")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "tracked"))
    assert all(one[name].equal(other[name]) for name in one)


def test_a_tracker_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(training_options, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"`log_with` 'tensorboard' .*hf-anchornet\[track\]"):
        TrainingOptions("unused", log_with="tensorboard")


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ValueError, match=r"`log_with` must be one of .* got 'paper'"):
        TrainingOptions("unused", log_with="paper")


@pytest.mark.parametrize(("name", "least"), [("checkpoint_steps", 0), ("keep_checkpoints", 1)])
def test_numbers_of_checkpoints_are_checked(name, least):
    with pytest.raises(ValueError, match=f"`{name}` must be at least {least}, got {least - 1}"):
        TrainingOptions("unused", **{name: least - 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", -1.0), ("weight_decay", float("nan")), ("max_grad_norm", float("inf"))],
)
def test_rates_are_numbers_of_at_least_0(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0, got {value}"):
        TrainingOptions("unused", **{name: value})


def test_a_warm_up_is_a_share_and_an_output_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r"`warmup_ratio` must be at most 1, got 1\.5"):
        TrainingOptions("unused", warmup_ratio=1.5)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`output_dir` must be a folder, got the file"):
        TrainingOptions(str(tmp_path / "file"))


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_of_a_sharded_model_the_gathered_weights_are_saved(model, tmp_path, kind):
    gathered = {name: torch.full_like(weight, 3) for name, weight in model.state_dict().items()}
    accelerator = SimpleNamespace(
        distributed_type=kind,
        is_main_process=True,
        num_processes=1,
        unwrap_model=lambda wrapped: wrapped[0],
        get_state_dict=lambda wrapped: gathered,
    )
    options = TrainingOptions(str(tmp_path))
    _save_best(
        _Run([model], None, None, None, options, accelerator, None),
        lambda best, folder: best.save_pretrained(folder),
    )
    saved = load_file(tmp_path / "model.safetensors")
    assert all((weight == 3).all() for weight in saved.values())
    assert "save_pretrained" not in vars(model)


def test_a_norm_of_0_leaves_gradients_as_they_are(run, norms):
    run("free", max_grad_norm=1e9)
    free = norms.copy()
    norms.clear()
    run("as they are", max_grad_norm=0)
    assert norms == free


def test_a_last_step_of_fewer_batches_weighs_them_as_much(run, norms):
    same = {"learning_rate": 0, "embedding_learning_rate": 0, "ngram_learning_rate": 0}
    free = {"batch_size": 96, "num_epochs": 1, "max_grad_norm": 0} | same
    run("one", **free)
    run("two", gradient_accumulation_steps=2, **free)
    assert norms[0] > 0
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixed_precision": "bf17"}, "`mixed_precision` must be one of no, bf16, fp16, fp8, got"),
        ({"seed": -1}, r"`seed` must be in \[0, 2\*\*32\), got -1"),
    ],
)
def test_a_precision_and_a_seed_are_checked_early(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingOptions("out", **options)
