"""The command line of the server: what it serves, where, and under which limits."""

import sys

import pytest
import uvicorn

from hf_anchornet.cli import serve
from hf_anchornet.cli.main import main


@pytest.fixture
def served(monkeypatch):
    """What uvicorn is given instead of serving it: its settings."""
    given = {}

    def note(server):
        given.update(vars(server.config))

    monkeypatch.setattr(uvicorn.Server, "run", note)
    return given


def test_models_limits_and_address_are_those_of_the_command_line(localizer_folder, served):
    argv = ["--text-localizer", localizer_folder, "--image-localizer", "none", "--port", "8123"]
    assert main(["serve", *argv, "--max_held", "7", "--shutdown-s", "3"]) == 0
    app = served["app"]
    assert (app.options.max_held, app.options.max_batch_size) == (7, 32)
    assert (served["host"], served["port"]) == ("127.0.0.1", 8123)
    assert served["timeout_graceful_shutdown"] == 3
    assert {route.path for route in app.app.routes} >= {"/spans", "/health", "/ready"}
    assert "/patches" not in {route.path for route in app.app.routes}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--text-localizer", "none", "--image-localizer", "none"], 'must not both be "none"'),
        (["--max-held", "0"], "`--max-held` must be at least 1, got 0"),
        (["--text-localizer", "no/such/folder"], "no/such/folder"),
    ],
)
def test_what_cannot_be_served_is_told_at_once(argv, message, served, capsys):
    assert main(["serve", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not served


def test_a_missing_server_is_named_with_its_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in ("cli.serve", "serve.app", "serve.libraries"):
        monkeypatch.delitem(sys.modules, f"hf_anchornet.{name}", raising=False)
    assert main(["serve"]) == 2
    assert "pip install 'hf-anchornet[serve]'" in capsys.readouterr().err


def test_the_folder_of_a_cascade_is_served_as_one_unless_it_must_not(
    text_cascade, served, tmp_path, monkeypatch
):
    made = []
    monkeypatch.setattr(serve, "make_app", lambda pipelines, *_: made.append(pipelines))
    monkeypatch.setattr(serve, "run_app", lambda *_: None)
    text_cascade.save_pretrained(tmp_path)
    argv = ["serve", "--image-localizer", "none", "--text-localizer", str(tmp_path)]
    for more in ([], ["--text-classifier", "none"]):
        assert main([*argv, *more]) == 0
    with_it, without = (pipelines["span-localization"] for pipelines in made)
    assert with_it.cascade is not None
    assert without.reader is None
