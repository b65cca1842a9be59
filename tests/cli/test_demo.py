"""The demo on the command line: what it tells, and where the web demo goes."""

import sys
from types import SimpleNamespace

import pytest
from fake_pipeline import FakeModels
from PIL import Image

from hf_anchornet.cli import demo
from hf_anchornet.cli.main import main


def test_the_demo_tells_the_whole_story_within_80_columns(fake, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "[[The|+31%]]" in out
    assert "says positive (97.0%)" in out
    assert " +31.0%    +1.420       1  The\n" in out
    assert "It agrees: positive (99.0%). These are 4 of 40 words, 10% of the review." in out
    assert " +31.0%    +1.420   10 px  (2, 1, 12, 11)\n" in out
    assert "cut from the photo. It\nagrees: nut (99.0%)." in out
    assert "All of it took 2.0 ms.\n" in out
    with Image.open(tmp_path / "anchornet_demo.png") as drawn:
        assert drawn.width > 2 * 480
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("times", "told"), [(7.25, "58.0 ms, 7.2 times as long."), (None, "58.0 ms.")]
)
def test_the_demo_tells_what_the_shipped_cascade_saves(
    fake, monkeypatch, capsys, tmp_path, times, told
):
    monkeypatch.chdir(tmp_path)
    models = FakeModels(
        fake,
        calibrated=True,
        parts=(),
        together=SimpleNamespace(milliseconds=8.0),
        full=SimpleNamespace(milliseconds=58.0),
        times_faster=times,
    )
    monkeypatch.setattr(demo.DemoModels, "load", lambda task: models)
    assert main(["demo"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "The n-grams, added up, say positive (97.0%)." in out
    assert "Sure enough: the classifier is not asked. This took 8.0 ms." in out
    assert f"The classifier, MiniLM-L6, on the whole review takes {told}" in out
    assert f"The classifier, EfficientNet-Lite0, on the whole photo takes {told}" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--web --space folder", "`--web` and `--space` must not both be given"),
        ("--port 7860", "`--port` must come with `--web`, got 7860 alone"),
    ],
)
def test_options_of_the_demo_that_do_not_go_together_are_refused(argv, message, capsys):
    assert main(["demo", *argv.split()]) == 2
    assert message in capsys.readouterr().err


def test_the_web_demo_is_served_or_written_as_a_space(monkeypatch, tmp_path):
    done = []
    app = SimpleNamespace(launch=lambda port: done.append(("served", port)))
    monkeypatch.setitem(sys.modules, "hf_anchornet.demo.app", app)
    monkeypatch.setattr("hf_anchornet.demo.space.write_space", lambda f: done.append(("space", f)))
    for argv in (["--web"], ["--web", "--port", "7"], ["--space", str(tmp_path)]):
        assert main(["demo", *argv]) == 0
    assert done == [("served", None), ("served", 7), ("space", str(tmp_path))]
