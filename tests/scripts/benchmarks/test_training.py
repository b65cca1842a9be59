"""Two processes learn what one learns at the same global batch, and the comparison is right."""

import json
from pathlib import Path

import pytest

from scripts.benchmarks.training import (
    ScalingOptions,
    compare_rounds,
    launch_processes,
    make_random_texts,
    train_on_random_texts,
)

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

ROOT = Path(__file__).parents[3]
WORKER = ["-m", "scripts.benchmarks.training"]
SMALL = {"num_rows": 64, "num_tokens": 20, "hidden_size": 8, "global_batch_size": 16}


def losses(report):
    return [value for epoch in report["history"] for value in (epoch["train_loss"], epoch["loss"])]


@pytest.fixture
def alone(tmp_path):
    """A training of one process in float64."""
    return train_on_random_texts(ScalingOptions(**SMALL, double=True), str(tmp_path / "alone"))


def test_two_processes_have_the_loss_curve_of_one_at_the_same_global_batch(
    alone, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    arguments = [f"--{name}={value}" for name, value in SMALL.items()]
    report = tmp_path / "report.json"
    launch_processes(2, [*WORKER, *arguments, "--double=True", "--worker", str(report)])
    both = json.loads(report.read_text("utf-8"))
    assert both["num_processes"] == 2
    assert losses(alone)[0] > losses(alone)[-1] + 0.01  # it learns
    assert losses(both) == pytest.approx(losses(alone), abs=1e-6)


@pytest.mark.parametrize("accumulated", [2, 4])
def test_accumulated_batches_have_the_loss_curve_of_one_large_batch(alone, tmp_path, accumulated):
    options = ScalingOptions(**SMALL, double=True, gradient_accumulation_steps=accumulated)
    split = train_on_random_texts(options, str(tmp_path / "split"))
    assert losses(split) == pytest.approx(losses(alone), abs=1e-6)


def test_random_texts_hold_their_label_once():
    for row in make_random_texts(20, 12):
        assert [token for token in row["input_ids"] if token < 3] == [1 + row["labels"]]
        assert 6 <= row["length"] == len(row["input_ids"]) <= 12


def test_speeds_are_medians_without_the_first_epoch():
    def report(num_processes, seconds, loss):
        history = [{"train_loss": loss, "loss": 0.5}] * 3
        return {
            "num_processes": num_processes,
            "seconds": seconds,
            "num_steps": 10,
            "history": history,
        }

    rounds = [report(1, [99, 2, 2], 0.25), report(2, [99, 1, 1], 0.375)]
    rounds += [report(1, [99, 4, 4], 0.25), report(2, [99, 1.25, 1.25], 0.25)]
    compared = compare_rounds(rounds)
    assert compared["steps_per_second"] == {"1": (5 + 2.5) / 2, "2": (10 + 8) / 2}
    assert compared["speedup"] == 9 / 3.75
    assert compared["largest_loss_difference"] == 0.125


def test_a_process_that_fails_shows_what_it_wrote(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('no such luck')")
    with pytest.raises(RuntimeError, match="training on 1 processes failed: no such luck"):
        launch_processes(1, [str(script)])
