"""The web demo's controls, messages and Space; its page is in test_demo_page.py."""

import asyncio
import gc
import re
import subprocess
import sys
import warnings

import pytest

from hf_anchornet.demo.answers import load_models
from hf_anchornet.demo.space import write_space

# Gradio closes none of the event loops that it makes for its own startup.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def demo_app():
    yield pytest.importorskip("hf_anchornet.demo.app", exc_type=ImportError)
    asyncio.set_event_loop(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_missing_gradio_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "hf_anchornet.demo.app", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[demo\]'"):
        __import__("hf_anchornet.demo.app")


def test_every_control_of_the_page_has_a_label(demo_app):
    config = demo_app.build_app().get_config_file()
    kinds = {"textbox", "slider", "checkbox", "checkboxgroup", "image", "button"}
    controls = [part for part in config["components"] if part["type"] in kinds]
    assert len(controls) == 22
    assert all(part["props"].get("label") or part["props"].get("value") for part in controls)


def test_nothing_is_sent_to_others(demo_app):
    app = demo_app.build_app()
    assert not app.analytics_enabled
    assert all(event["api_visibility"] == "private" for event in app.config["dependencies"])


def test_errors_become_messages_without_markup(demo_app):
    refusal = pytest.raises(demo_app.gr.Error, match="&lt;b&gt; is no folder")
    with refusal as raised, demo_app.shown_errors():
        raise OSError("<b> is no folder")
    assert not raised.value.print_exception


def test_models_that_are_not_there_are_named(demo_app):
    with pytest.raises(demo_app.gr.Error, match=r"`localizer` must be .* got .*nowhere/at-all"):
        demo_app._load(demo_app._TEXT, "nowhere/at-all", "")


def test_loading_a_cascade_fits_the_controls_to_it(demo_app, text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path)
    names, windows, budget, threshold, calibrated, loaded = demo_app._load(
        demo_app._TEXT, f" {tmp_path} ", ""
    )
    assert names == (str(tmp_path), "")
    assert windows.choices == [("1-token window", 1)]
    assert [part.visible for part in (budget, threshold, calibrated)] == [False, True, True]
    assert "a calibrated cascade" in loaded
    assert (
        "positive" in demo_app._run(demo_app._TEXT, "good", names, 5, [1], 8, 0.9, True, False)[0]
    )


def test_the_shipped_models_are_loaded_once():
    assert load_models("span-localization") is load_models("span-localization", "", "")


@pytest.mark.slow
def test_a_space_holds_the_app_and_what_it_needs(tmp_path):
    write_space(tmp_path / "space")
    readme = (tmp_path / "space" / "README.md").read_text("utf-8")
    front = re.match(r"---\n(.*?)\n---\n", readme, flags=re.DOTALL)[1]
    assert {"sdk: gradio", "app_file: app.py"} <= set(front.splitlines())
    needed = (tmp_path / "space" / "requirements.txt").read_text("utf-8").splitlines()
    assert any(line.startswith("transformers>=") for line in needed)
    assert any(line.startswith("peft>=") for line in needed)  # for the shipped cascade
    assert not any("extra" in line or "gradio" in line for line in needed)
    code = "import hf_anchornet, sys; print(hf_anchornet.__file__); open('app.py').read()"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path / "space", capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(tmp_path / "space"))


def test_a_space_is_not_written_over_something_else(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="`folder` must be empty"):
        write_space(tmp_path)


def test_a_path_that_was_made_up_is_not_read(demo_app, tmp_path):
    (tmp_path / "private.png").write_bytes(b"secret")
    controls = (3, [8], 1, 1.0, True, False)
    with pytest.raises(demo_app.gr.Error, match="`Photo` must be a file that was uploaded here"):
        demo_app._run(demo_app._PHOTO, {"path": str(tmp_path / "private.png")}, ("", ""), *controls)
