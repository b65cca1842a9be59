"""The command in training.json repeats the training."""

import shlex

import pytest

from hf_anchornet.cli.adapt import WORKS as ADAPT
from hf_anchornet.cli.modalities import group_options
from hf_anchornet.cli.options import OptionParser, build_options
from hf_anchornet.cli.train import WORKS as TRAIN
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.command import write_command
from hf_anchornet.training.options import TrainingOptions

GIVEN = {
    "train": {
        "dataset": "it's a/folder",
        "output_dir": "runs/one",
        "kernel_sizes": [3, 5],
        "trunk": False,
        "num_epochs": 7,
        "linear_weight": 0.0,
    },
    "adapt": {
        "dataset": "x",
        "output_dir": "y",
        "localizer": "z",
        "reading": "mix",
        "budgets": [16, 64],
        "balance": True,
        "text_column": "-odd",
    },
}


@pytest.mark.parametrize(("name", "works"), [("train", TRAIN), ("adapt", ADAPT)])
def test_the_command_gives_the_same_options_again(name, works):
    work = works["text"]
    built = build_options(work.option_types, GIVEN[name])
    options = {key: value for each in built for key, value in vars(each).items()}
    words = shlex.split(write_command(name, work.option_types, options))
    assert words[:2] == ["anchornet", name]
    parser = OptionParser(name, group_options(works), "", "")
    assert parser.parse(words[2:]) == GIVEN[name]


def test_how_far_an_earlier_attempt_came_is_left_out():
    options = {"dataset": "x", "output_dir": "y", "resume": True}
    command = write_command("train", [DataOptions, TrainingOptions], options)
    assert command == "anchornet train --dataset x --output-dir y"
