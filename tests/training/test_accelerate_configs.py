"""Each example in docs/accelerate and option in docs/scale.md is one that exists."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions

FOLDER = Path(__file__).parents[2] / "docs" / "accelerate"
FILES = sorted(FOLDER.glob("*.yaml"))
OPTIONS = DataOptions, TextLocalizerOptions, TrainingOptions
KINDS = {
    "deepspeed": "DEEPSPEED",
    "fsdp": "FSDP",
    "one_machine": "MULTI_GPU",
    "two_machines": "MULTI_GPU",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_accelerate_reads_the_example(path):
    config = load_config_from_file(str(path))  # refuses unknown keys
    assert config.distributed_type == KINDS[path.stem]
    assert config.num_processes == 4 * config.num_machines
    assert not config.use_cpu


def test_there_is_an_example_of_each_kind():
    assert [path.stem for path in FILES] == sorted(KINDS)


def test_every_option_in_the_page_exists():
    page = FOLDER.with_name("scale.md").read_text("utf-8")
    own = {field.name for kind in OPTIONS for field in fields(kind)}
    launcher = {
        name for action in launch_command_parser()._actions for name in action.option_strings
    }
    used = set(re.findall(r"--[a-z_-]{3,}", page)) - {"--logdir"}  # TensorBoard's
    assert len(used) > 10
    assert used <= launcher | {f"--{name.replace('_', '-')}" for name in own}
