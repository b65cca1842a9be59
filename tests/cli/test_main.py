import ast
import io
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from hf_anchornet.cli import main as cli
from hf_anchornet.cli.main import COMMANDS, main
from hf_anchornet.cli.shared import show_progress, wants_color

REVIEW = "The plot is thin, yet a wonderful cast carries it. " * 4


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["localize", "good", "--model", "missing"], "missing is not a local folder and is not"),
        (["localize", "--file", "/no/such/file"], "`--file` must be a file, got '/no/such/file'"),
        (["localize", "--file", "many.CSV"], "`--file` must be a text or JSON lines"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(fake, capsys, argv, message):
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("anchornet: error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["localise"],
        ["localize", "text", "--file", "path"],
        ["localize", "text", "--format", "pdf"],
        ["localize", "text", "--top-k", "few"],
        ["localize", "text", "--scales", "3;9"],
        ["localize", "text", "--exit-threshold", "high"],
        ["localize", "text", "--backend", "tensorrt"],
        ["localize", "--lines", "--jsonl"],
    ],
)
def test_bad_usage_exits_with_code_2(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["localize", "--help"], ["demo", "--help"]])
def test_help_exits_with_code_0(argv, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(argv)
    assert "usage: anchornet" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["localize", "demo"])
def test_help_shows_an_example_and_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert f"\n  anchornet {command}" in shown
    assert "exit codes: 0 success; 2 bad usage or input" in shown


def test_an_interrupt_exits_with_code_130(fake, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "localize", interrupt)
    assert main(["localize", "good"]) == 130
    assert capsys.readouterr().err == "anchornet: interrupted\n"


def test_an_interrupted_build_says_how_it_goes_on(monkeypatch, capsys):
    def interrupt(given):
        raise KeyboardInterrupt

    monkeypatch.setattr("hf_anchornet.cli.build.run", interrupt)
    assert main(["build", "--dataset", "data", "--output-dir", "new"]) == 130
    assert capsys.readouterr().err.endswith("run the same command again to continue\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_and_only_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    assert list(show_progress(range(3), "texts", None)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("hf_anchornet.cli.shared.DELAY", 0)
    assert list(show_progress(range(3), "texts", None)) == [0, 1, 2]
    assert "texts" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_a_closed_pipe_is_no_error(fake, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["localize", "good"]) == 0


def test_colour_needs_a_terminal_and_respects_no_color(monkeypatch):
    terminal, file = SimpleNamespace(isatty=lambda: True), SimpleNamespace(isatty=lambda: False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert wants_color(terminal)
    assert not wants_color(file)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color(terminal)


def test_no_command_is_imported_before_it_is_run():
    tree = ast.parse(Path(cli.__file__).read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {
        "collections.abc",
        "importlib",
        "typing",
        "hf_anchornet.version",
        "hf_anchornet.views.base",
        "checks",
        "options",
    }


@pytest.mark.parametrize(("command", "module"), COMMANDS.items())
def test_each_command_has_a_parser_and_a_function(command, module):
    assert import_module(module).make_parser().prog == f"anchornet {command}"
    assert callable(import_module(module).run)


def test_the_help_of_the_command_line_lists_each_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    listed = re.findall(r"^  (\w+) +\w", capsys.readouterr().out, flags=re.MULTILINE)
    assert listed == [*COMMANDS]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown command `trian`; did you mean `train`?"),
        (["xyz"], "unknown command `xyz`; `anchornet --help` lists the commands"),
        ([], "missing COMMAND, one of demo, localize, build, train"),
        (["localize", "good", "--topk", "2"], "unknown option `--topk`; did you mean `--top-k`?"),
        (["demo", "good"], "unexpected argument `good`"),
    ],
)
def test_a_slip_is_reported_with_the_nearest_name(argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert message in capsys.readouterr().err


def test_underscores_are_accepted_for_dashes(fake, capsys):
    assert main(["localize", "good", "--top_k=2", "--max_tokens", "64"]) == 0
    assert fake.options == {"model": str(Path("shipped/localizer")), "top_k": 2, "max_tokens": 64}


def test_a_text_after_two_dashes_is_taken_as_it_is(fake, capsys):
    assert main(["localize", "--", "--so_good"]) == 0
    assert "--so_[[good|+31%]]" in capsys.readouterr().out


class PanicException(BaseException):
    """As pyo3 raises it: not an `Exception`."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PanicException("unwrap"),
            "written in Rust, such as tokenizers, failed: unw",
        ),
        (RecursionError("maximum depth"), "must not be nested so deeply, got: maximum depth"),
        (MemoryError(), "MemoryError"),
        (OverflowError("too large"), "too large"),
        (EOFError("cut short"), "cut short"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "CUDA out of memory"),
    ],
)
def test_errors_of_input_and_machine_are_one_line_and_exit_code_2(
    fake, monkeypatch, capsys, error, message
):
    def fail(*_):
        raise error

    monkeypatch.setattr(fake, "localize", fail)
    assert main(["localize", "good"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("anchornet: error: ")
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("error", [KeyError, AttributeError, AssertionError, RuntimeError])
def test_a_bug_shows_its_traceback_and_asks_for_a_report(fake, monkeypatch, capsys, error):
    def fail(*_):
        raise error("surprise")

    monkeypatch.setattr(fake, "localize", fail)
    assert main(["localize", "good"]) == 1
    *traceback, hint = capsys.readouterr().err.splitlines()
    assert traceback[0] == "Traceback (most recent call last):"
    assert hint.startswith("anchornet: this is a bug in hf_anchornet ")
    assert "please report it with the lines above" in hint


def test_a_name_that_the_package_lacks_is_a_bug_and_a_missing_library_is_not(
    fake, monkeypatch, capsys
):
    for name, code in (("hf_anchornet.model.cascade", 1), ("onnx", 2)):
        monkeypatch.setattr(fake, "localize", Mock(side_effect=ImportError("no", name=name)))
        assert main(["localize", "good"]) == code
    assert "anchornet: error: no" in capsys.readouterr().err


@pytest.mark.parametrize("streaming", [[], ["--streaming", "--max-steps", "1"]])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\ncaf\xe9,a\n", "a.csv, line 2, must be UTF-8"),
        ("a.csv", b"text,label\ngood,a\nso, so,a\n", "must have 2 cells as its header has, got 3"),
        ("a.jsonl", b'{"text": "a", "label": 0}\n{"te', "a.jsonl, line 2, must be valid JSON"),
        ("a.csv", b"text,label\na,x\nb,\nc,y\n", "of `label` must have a label, got ''"),
        ("a.jsonl", b'{"text": "a", "label": [1, 0]}\n' * 2, "got 0/1 vectors, [1, 0] in row 0"),
    ],
)
@pytest.mark.usefixtures("cache_nothing_at_home")
def test_unreadable_data_is_one_sentence_and_exit_code_2(
    tmp_path, capsys, streaming, name, content, message
):
    (tmp_path / name).write_bytes(content)
    argv = ["train", "--dataset", str(tmp_path / name), "--validation-split", "train"]
    assert main([*argv, "--output-dir", str(tmp_path / "out"), *streaming]) == 2
    *_, shown = capsys.readouterr().err.splitlines()
    assert shown.startswith("anchornet: error: ")
    assert message in shown


def test_a_stage_that_is_no_number_is_refused_before_anything_is_loaded(capsys):
    argv = "calibrate --dataset x --localizer y --classifier z --output-dir w --stages 16 x"
    assert main(argv.split()) == 2
    message = (
        "`--stages` must be 'glance', 'ngrams', 'localizer', whole numbers and 'full', got 'x'"
    )
    assert message in capsys.readouterr().err


def test_a_config_that_transformers_refuses_is_one_line_and_exit_code_2(fake, monkeypatch, capsys):
    def fail(*_):
        kind = type("StrictDataclassClassValidationError", (Exception,), {})
        raise kind("validate_sizes") from ValueError("`hidden_size` must be smaller")

    monkeypatch.setattr(fake, "localize", fail)
    assert main(["localize", "good"]) == 2
    assert capsys.readouterr().err == "anchornet: error: `hidden_size` must be smaller\n"
