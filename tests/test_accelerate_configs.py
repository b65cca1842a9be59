"""Each example in docs/accelerate is one that Accelerate reads as it is meant."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

FOLDER = Path(__file__).parent.parent / "docs" / "accelerate"
FILES = sorted(FOLDER.glob("*.yaml"))
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
