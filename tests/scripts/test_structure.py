"""The numbers of the layout, on a package of a few files and on ours."""

import sys

import pytest

from scripts import structure
from scripts.structure import (
    Number,
    count_code,
    find_carried,
    find_circles,
    find_missed,
    find_unreachable,
    find_upward,
    format_numbers,
    list_files,
    make_graph,
    measure,
)


@pytest.fixture
def write_files(tmp_path):
    """Writes a package's files from their contents by dotted name; their paths by that name."""

    def write(contents):
        for name, content in contents.items():
            path = tmp_path / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, "utf-8")
        return list_files(tmp_path)

    return write


def test_imports_of_the_same_or_a_higher_floor_are_listed(write_files):
    files = write_files(
        {
            "model.geometry": "def f():\n    from hf_anchornet.data.texts import tokenize",
            "data.texts": "from hf_anchornet.views.base import A\nimport hf_anchornet.files",
            "views.base": "from hf_anchornet.model.geometry import Window\nfrom .colors import RED",
            "views.colors": "",
            "files": "",
        }
    )
    expected = [("data.texts", "views.base"), ("model.geometry", "data.texts")]
    assert find_upward(make_graph(files)) == expected


def test_a_circle_is_found_through_imports_in_functions(write_files):
    files = write_files(
        {
            "data.a": "from .b import one",
            "data.b": "def f():\n    from .c import two",
            "data.c": "from hf_anchornet.data import a",
            "data.d": "from .a import three",
        }
    )
    assert find_circles(make_graph(files)) == ["data.a", "data.b", "data.c"]


def test_code_is_reached_by_imports_by_command_tables_and_as_a_metric(write_files):
    files = write_files(
        {
            "__init__": 'LAZY = {"evaluate": ("hf_anchornet.evaluation.evaluate", "run")}',
            "cli.__init__": "",
            "cli.main": 'TABLE = ["hf_anchornet.cli.train:run", ".serve:run", "export:run"]',
            "cli.train": "from hf_anchornet.training.loop import train",
            "cli.serve": "import hf_anchornet.serve.app",
            "cli.export": "",
            "cli.forgotten": "",
            "evaluation.evaluate": "",
            "metrics.f1": "",
            "serve.app": 'NAME = "training.unused"',
            "training.loop": "",
            "training.unused": "",
        }
    )
    assert find_unreachable(files, make_graph(files)) == ["cli.forgotten", "training.unused"]


def test_a_published_model_carries_what_its_code_imports(write_files):
    files = write_files(
        {
            "model.configuration_anchornet": "",
            "model.modeling_anchornet_text": "from .configuration_anchornet import Config",
            "model.pipeline_anchornet_text": "from .text_words import Words",
            "model.text_words": "",
            "model.image_boxes": "",
        }
    )
    assert find_carried(make_graph(files), "text") == set(files) - {"model.image_boxes"}


def test_a_number_above_its_limit_is_missed_and_shown():
    numbers = [Number("lines", 18_001, 18_000), Number("circles", 0, 0), Number("carried", 9)]
    assert find_missed(numbers) == ["lines"]
    assert format_numbers(numbers).splitlines()[2:] == [
        "| lines | 18,001 | 18,000 |  |",
        "| circles | 0 | 0 |  |",
        "| carried | 9 |  |  |",
    ]


@pytest.mark.parametrize(("value", "code"), [(1, 0), (2, "above the limit: files")])
def test_the_check_fails_above_a_limit(value, code, monkeypatch, capsys):
    monkeypatch.setattr(structure, "measure", lambda: [Number("files", value, 1)])
    monkeypatch.setattr(sys, "argv", ["structure.py", "--check"])
    if code:
        with pytest.raises(SystemExit, match=code):
            structure.main()
    else:
        structure.main()
    assert f"| files | {value} | 1 |" in capsys.readouterr().out


def test_the_package_keeps_its_limits():
    assert find_missed(measure()) == []


def test_code_is_counted_without_docstrings_comments_and_blanks(tmp_path):
    path = tmp_path / "file.py"
    path.write_text('"""Docstring."""\n\n# comment\nX = 1  # kept\n"""About X,\nin two lines."""\n')
    assert count_code(path) == 1
