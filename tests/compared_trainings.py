"""Trainings beside each other: an undisturbed one, and one that was killed and went on."""

import json
from pathlib import Path

from safetensors.torch import load_file

SMALL_IMAGES = {
    "image_size": 32,
    "hidden_size": 16,
    "channels": [8, 16],
    "expand_ratios": [1.0, 1.0],
    "kernel_sizes": [3, 3],
    "strides": [2, 1],
    "branch_depths": [1, 2],
}
"""Options of an image localizer that learns in seconds."""

KILLED = Path(__file__).with_name("killed_training.py")
STEPS = 12
"""Of each training that `kill_and_compare` starts."""


def assert_same_training(folder, other):
    """The same scores and losses of each epoch, the same best model, to the last bit."""
    reports = [json.loads((path / "training.json").read_text("utf-8")) for path in (folder, other)]
    assert reports[0]["history"] == reports[1]["history"]
    weights = [load_file(path / "model.safetensors") for path in (folder, other)]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def kill_and_compare(launch_training, folder, source, step, options, num_processes=1):
    """An undisturbed training in `a`, a killed one in `b`, which goes on in `c`."""

    def launch(name, kill_at, output, *more):
        arguments = [str(kill_at), str(folder / name), "--dataset", source]
        arguments += ["--output_dir", str(folder / output), *options, *more]
        return launch_training(KILLED, *arguments, num_processes=num_processes)

    done = launch("a", 0, "whole")
    assert done.returncode == 0, done.stderr[-3000:]
    killed = launch("b", step, "killed")
    assert killed.returncode != 0
    assert num_processes > 1 or killed.returncode == -9
    done = launch("c", 0, "killed", "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"resumed after step {(step // 2) * 2} from" in done.stderr
    for process in range(num_processes):
        seen = {}
        for name in "abc":
            lines = (folder / name / f"seen_{process}.txt").read_text().splitlines()
            seen[name] = dict(line.split() for line in lines)
        assert len(seen["a"]) == STEPS
        assert len(seen["b"]) == step
        assert len(seen["c"]) == STEPS - (step // 2) * 2
        assert seen["b"] | seen["c"] == seen["a"]
        assert seen["b"].items() <= seen["a"].items()
    if num_processes > 1:  # each has rows of its own
        one, other = ((folder / "a" / f"seen_{process}.txt").read_text() for process in (0, 1))
        assert not set(one.split()[1::2]) & set(other.split()[1::2])
