"""The scripts: short, and their help names the options."""

import runpy
import sys
from pathlib import Path

import pytest

from hf_anchornet.cli import train
from hf_anchornet.cli.main import COMMANDS, main

SCRIPTS = Path(__file__).parents[2] / "scripts"
OPTIONS = {
    "train": ["--dataset", "--output-dir", "--teacher", "--streaming", "--crop-size"],
    "benchmarks.run_backends": ["--text_localizer", "--image_localizer", "--rounds", "--output"],
    "benchmarks.run_speed": [
        "--dataset",
        "--localizer",
        "--classifiers",
        "--rounds",
        "--precision",
    ],
    "reference.convert_efficientnet_lite": ["--source", "--target"],
    "benchmarks.run_corpus": ["--dataset", "--num_rows", "--lengths", "--workers", "--output"],
    "benchmarks.run_streaming": ["--num_rows", "--shuffle_buffer", "--marks", "--output"],
    "benchmarks.run_long_input": ["--text_tokens", "--image_sides", "--rounds", "--output"],
    "benchmarks.run_image_measurement": [
        "--localizer",
        "--other_sets",
        "--classifiers",
        "--boxes_column",
    ],
    "benchmarks.run_serving": ["--dataset", "--clients", "--long_seconds", "--server", "--output"],
    "benchmarks.run_text_measurement": ["--localizer", "--dataset", "--classifiers", "--output"],
    "benchmarks.run_retrieval": ["--dataset", "--model", "--label", "--passage_tokens", "--output"],
    "ablations.run_evidence": ["--dataset", "--span_sets", "--ideas", "--teacher", "--smoothing"],
    "reference.convert_checkpoint": ["--source", "--target"],
    "reference.check": ["--reference", "--output", "--rounds", "--example"],
    "benchmarks.shrink": ["--source", "--target"],
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_help_names_the_options(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_module(f"scripts.{name}", run_name="__main__")
    shown = capsys.readouterr().out
    assert all(option in shown for option in OPTIONS[name])


def test_the_training_script_is_the_command_of_the_package(monkeypatch):
    asked = []
    monkeypatch.setattr(train, "run", asked.append)
    monkeypatch.setattr(sys, "argv", ["train.py", "--dataset", "x"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPTS / "train.py"), run_name="__main__")
    assert asked == [["--dataset", "x"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert f"usage: anchornet {command}" in shown
    assert f"examples:\n  anchornet {command}" in shown


def test_a_missing_option_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["shrink.py", "--source", "x"])
    with pytest.raises(SystemExit, match=r"^2$"):
        runpy.run_module("scripts.benchmarks.shrink", run_name="__main__")
    assert "--target" in capsys.readouterr().err
