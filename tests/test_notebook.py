"""The notebook runs from top to bottom, and shows what it promises."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "quickstart.ipynb"


@pytest.mark.slow
def test_every_cell_runs_in_order(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(sources) >= 5
    names = {}
    for source in sources:
        exec(compile(source, NOTEBOOK.name, "exec"), names)
    printed = capsys.readouterr().out
    left, right = next(line for line in printed.splitlines() if " = " in line).split(" = ")
    assert abs(float(left) - float(right)) < 1e-4
    assert names["report"]["verdict"]["text"] in printed


def test_the_notebook_holds_no_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code"] == [[]] * sum(
        cell["cell_type"] == "code" for cell in cells
    )
