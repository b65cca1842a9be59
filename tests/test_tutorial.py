"""Every snippet of docs/tutorial.md runs, on small data with a planted signal."""

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_anchornet.cli.main import main

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
FILLERS = ["the", "a", "film", "was", "thin", "and", "of", "plot", "actor", "scene", "sound"]
SIZES = {"train": 240, "validation": 40, "test": 40}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("cache_nothing_at_home"),
    pytest.mark.filterwarnings("ignore:.*without specifying a model name"),
]


def write_reviews(folder):
    """Filler words, and at a random position one word that determines the label."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in SIZES.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for row in range(count):
                words = [*rng.choice(FILLERS, 12)]
                words.insert(int(rng.integers(12)), ["superb", "dreadful"][row % 2])
                writer.writerow([" ".join(words), ["positive", "negative"][row % 2]])


def write_photos(folder):
    """Grey noise, and at a random position a square whose colour determines the label."""
    rng = np.random.default_rng(0)
    for split, count in {"train": 64, "validation": 8, "test": 8}.items():
        for row in range(count):
            name, colour = [("blue", (30, 60, 220)), ("red", (220, 40, 30))][row % 2]
            pixels = np.repeat(rng.integers(90, 160, (128, 128, 1), dtype=np.uint8), 3, axis=2)
            left, top = rng.integers(8, 80, 2)
            pixels[top : top + 40, left : left + 40] = colour
            path = folder / split / name / f"{row // 2}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


@pytest.fixture
def run_line(tmp_path):
    """Runs a shell line and returns its output; `anchornet` runs in this process."""
    launcher = tmp_path / "bin" / "accelerate"
    launcher.parent.mkdir()
    launch = f'exec "{sys.executable}" -m accelerate.commands.accelerate_cli "$@"'
    launcher.write_text(f"#!/bin/sh\n{launch}\n")
    launcher.chmod(0o755)
    (launcher.parent / "python").symlink_to(sys.executable)
    environment = os.environ | {
        "PATH": f"{launcher.parent}:/usr/bin:/bin",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }

    def run(line):
        if line.startswith("anchornet "):
            return run_here(line)
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"
        return done.stdout

    return run


def run_here(line):
    """The output of an `anchornet` line; empty if it is redirected to a file."""
    words = shlex.split(line)[1:]
    target = words.pop() if ">" in words else None
    with redirect_stdout(io.StringIO()) as printed:
        assert main([word for word in words if word != ">"]) == 0, line
    if target is None:
        return printed.getvalue()
    Path(target).write_text(printed.getvalue(), "utf-8")
    return ""


def follow(section, run_line):
    """Run all snippets of a section in order and return what the shell lines printed."""
    page = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    printed, names = "", {}
    for language, snippet in re.findall(r"```(sh|python)\n(.*?)```", page, flags=re.DOTALL):
        if language == "sh":
            lines = snippet.replace("\\\n", " ").splitlines()
            printed += "".join(map(run_line, lines))
        else:
            exec(snippet, names)
    return printed


def read_accuracy(scores):
    """Of the localizer and, unless calibration left it out, of the classifier."""
    return [scores[name]["accuracy"] for name in ("localizer", "classifier") if name in scores]


def test_the_part_on_texts(tmp_path, monkeypatch, run_line, capsys):
    write_reviews(tmp_path / "reviews")
    monkeypatch.chdir(tmp_path)
    printed = follow("Texts", run_line)
    assert re.search(r"\[\[[^\]]*superb", printed)
    (line,) = (tmp_path / "answers.jsonl").read_text().splitlines()
    answer = json.loads(line)
    assert (answer["id"], answer["localization"]["label"]) == (7, "negative")
    assert "<mark" in (tmp_path / "page.html").read_text()
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert min(read_accuracy(scores)) > 0.9
    assert "runs/localizer/onnx/model.onnx" in printed
    assert printed.endswith("dry run: nothing was uploaded to you/reviews\n")
    assert "positive" in capsys.readouterr().out


def test_the_part_on_images(tmp_path, monkeypatch, run_line):
    write_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    printed = follow("Images", run_line)
    with Image.open(tmp_path / "patches.png") as drawn:
        assert drawn.format == "PNG"
    scores, _ = json.JSONDecoder().raw_decode(printed, printed.index('{\n  "dataset"'))
    assert scores["localizer"]["accuracy"] > 0.7
    assert "dry run: nothing was uploaded to you/photos\n" in printed
    assert "runs/photo_glance" in printed
    assert json.loads(Path("runs/pretrained_localizer/config.json").read_text())["gated"]


def test_every_command_of_the_page_is_in_a_snippet_that_runs():
    shown = "".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL))
    for command in [
        "build",
        "train",
        "localize",
        "adapt",
        "calibrate",
        "evaluate",
        "export",
        "publish",
    ]:
        assert f"anchornet {command}" in shown
