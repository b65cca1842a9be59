"""The scripts: short, and their help names the options."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from hf_anchornet.cli import TOOLS, main

SCRIPTS = Path(__file__).parent.parent / "scripts"
OPTIONS = {
    "app.py": ["--port", "--space"],
    "train.py": ["--dataset", "--output_dir", "--teacher", "--streaming", "--crop_size"],
    "adapt_classifier.py": ["--dataset", "--localizer", "--reading", "--budgets", "--turn"],
    "benchmark_backends.py": ["--text_localizer", "--image_localizer", "--rounds", "--output"],
    "export_onnx.py": ["--model", "--output", "--int8", "--dataset", "--split"],
    "benchmark.py": ["--dataset", "--localizer", "--classifiers", "--rounds", "--precision"],
    "convert_efficientnet_lite.py": ["--source", "--target"],
    "measure_corpus.py": ["--dataset", "--num_rows", "--lengths", "--workers", "--output"],
    "measure_streaming.py": ["--num_rows", "--shuffle_buffer", "--marks", "--output"],
    "measure_long_input.py": ["--text_tokens", "--image_sides", "--rounds", "--output"],
    "measure_image.py": ["--localizer", "--other_sets", "--classifiers", "--boxes_column"],
    "measure_serving.py": ["--dataset", "--clients", "--long_seconds", "--server", "--output"],
    "measure_text.py": ["--localizer", "--dataset", "--classifiers", "--output"],
    "measure_retrieval.py": ["--dataset", "--model", "--label", "--passage_tokens", "--output"],
    "ablate_evidence.py": ["--dataset", "--span_sets", "--ideas", "--teacher", "--smoothing"],
    "evaluate.py": ["--dataset", "--model", "--explainers", "--records", "--output"],
    "calibrate.py": ["--dataset", "--localizer", "--max_loss", "--max_cost", "--full_size"],
    "convert_reference_checkpoint.py": ["--source", "--target"],
    "check_reference.py": ["--reference", "--output", "--rounds", "--example"],
    "publish.py": ["--folder", "--repo_id", "--dry_run", "--private", "--revision", "--results"],
    "serve.py": ["--text_localizer", "--max_batch_size", "--max_held", "--deadline_s", "--port"],
    "shrink.py": ["--source", "--target"],
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_help_names_the_options(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    shown = capsys.readouterr().out
    assert all(option in shown for option in OPTIONS[name])


SAME = {
    "train.py": "train",
    "adapt_classifier.py": "adapt",
    "calibrate.py": "calibrate",
    "publish.py": "publish",
    "export_onnx.py": "export",
    "evaluate.py": "evaluate",
}


@pytest.mark.parametrize(("name", "command"), SAME.items())
def test_a_script_is_the_command_of_the_package(name, command, monkeypatch):
    asked = []
    monkeypatch.setitem(TOOLS, command, (asked.append, ""))
    monkeypatch.setattr(sys, "argv", [name, "--dataset", "x"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    assert asked == [["--dataset", "x"]]


@pytest.mark.parametrize("command", TOOLS)
def test_the_help_of_a_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert f"usage: anchornet {command}" in shown
    assert f"example:\n  anchornet {command} --" in shown


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_a_script_is_at_most_120_lines_long(path):
    assert len(path.read_text("utf-8").splitlines()) <= 120


def test_a_missing_option_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["shrink.py", "--source", "x"])
    with pytest.raises(SystemExit, match=r"^2$"):
        runpy.run_path(str(SCRIPTS / "shrink.py"), run_name="__main__")
    assert "--target" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["evaluate.py", "train.py"])
def test_no_script_hides_a_library_from_those_beside_it(name):
    shown = subprocess.run(
        [sys.executable, str(SCRIPTS / name), "--help"], capture_output=True, text=True, check=True
    )
    assert "--dataset" in shown.stdout
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import evaluate; evaluate.Metric"
    subprocess.run([sys.executable, "-c", code], check=True)
