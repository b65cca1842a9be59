"""The commands under scripts/: their help names the options, the Makefile runs them."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hf_anchornet.cli import train
from hf_anchornet.cli.main import main

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "ablations.evidence": ["--dataset", "--span-sets", "--ideas", "--teacher", "--smoothing"],
    "ablations.readings": ["--dataset", "--localizer", "--ideas", "--seeds", "--output"],
    "benchmarks.backends": ["--text-localizer", "--image-localizer", "--rounds", "--output"],
    "benchmarks.cold_start": ["--rounds", "--output"],
    "benchmarks.corpus": ["--dataset", "--num-rows", "--lengths", "--workers", "--output"],
    "benchmarks.hostile": ["--seconds", "--attackers", "--slow-bodies", "--output"],
    "benchmarks.image_measurement": ["--localizer", "--dataset", "--boxes-column", "--output"],
    "benchmarks.linear_evidence": ["--dataset", "--rivals", "--fit-on", "--mass", "--output"],
    "benchmarks.long_input": ["--text-tokens", "--image-sides", "--rounds", "--output"],
    "benchmarks.retrieval": ["--dataset", "--model", "--label", "--passage-tokens", "--output"],
    "benchmarks.serving": ["--dataset", "--clients", "--long-seconds", "--output", "--note"],
    "benchmarks.speed": [
        *("--dataset", "--localizer", "--classifiers", "--rounds", "--precision", "--rivals"),
    ],
    "benchmarks.streaming": ["--num-rows", "--shuffle-buffer", "--marks", "--output"],
    "benchmarks.text_measurement": ["--localizer", "--dataset", "--classifiers", "--output"],
    "benchmarks.training": ["--num-rows", "--rounds", "--output"],
    "fuzz": ["--cases", "--targets", "--engine", "--replay", "--output"],
    "reference.check": ["--reference", "--output", "--rounds", "--example"],
    "reference.convert_anchornet": ["--source", "--target"],
    "reference.convert_efficientnet_lite": ["--source", "--target"],
    "shrink": ["--source", "--target"],
    "structure": ["--check"],
    "train": ["--dataset", "--output-dir", "--teacher", "--streaming", "--crop-size"],
}
COMMANDS = ["train", "adapt", "calibrate", "evaluate", "export", "publish", "serve"]
RECIPES = sorted(
    {
        name
        for path in (ROOT / "Makefile", *(ROOT / "scripts").rglob("*.mk"))
        for name in re.findall(r"^([a-z][\w-]*):.*## ", path.read_text("utf-8"), re.MULTILINE)
    }
)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules after import:RuntimeWarning")
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
    monkeypatch.setattr(sys, "argv", ["train.py", "--dataset", "x", "--output-dir", "y"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "scripts" / "train.py"), run_name="__main__")
    assert asked == [{"dataset": "x", "output_dir": "y"}]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert f"usage: anchornet {command}" in shown
    assert f"examples:\n  anchornet {command}" in shown


def test_a_missing_option_is_named(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "scripts.shrink", raising=False)  # else runpy warns
    monkeypatch.setattr(sys, "argv", ["shrink.py", "--source", "x"])
    with pytest.raises(SystemExit, match=r"^2$"):
        runpy.run_module("scripts.shrink", run_name="__main__")
    assert "--target" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", RECIPES)
def test_a_recipe_names_modules_and_files_that_exist(target):
    """`make -n` prints the commands; each names what a clone has."""
    command = ["make", "-n", target, "DATA=data", "RUNS=runs", "REFERENCE=theirs"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for module in re.findall(r"-m (scripts[\w.]*)", shown):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    for file in re.findall(r"(?:scripts|tests)/[\w/]+\.py", shown):
        assert (ROOT / file).exists()
    for words in re.findall(r"anchornet (\w+)", shown):
        assert words in {*COMMANDS, "demo", "localize"}
    assert not re.search(r"--[a-z]+_", re.sub(r"accelerate launch .* -m", "", shown))
