import ast
import io
import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from transformers import BertConfig

from hf_anchornet import registration
from hf_anchornet.cli import demo
from hf_anchornet.cli import localize_text as cli_text
from hf_anchornet.cli import main as cli
from hf_anchornet.cli.main import COMMANDS, main
from hf_anchornet.cli.shared import show_progress, wants_color

REVIEW = "The plot is thin, yet a wonderful cast carries it. " * 4


class FakePipeline:
    """Finds the word "good", or the first word; remembers how it was asked for."""

    def __init__(self):
        self.task, self.options = None, {}

    def load(self, task, **options):
        if options["model"] == "missing":
            raise OSError("missing is not a local folder\nand is not a valid model identifier")
        self.task, self.options = task, options
        if task == "patch-localization":
            return self.localize_images
        return lambda texts: (
            [*map(self.localize, texts)]
            if isinstance(texts, list)
            else (self.localize(text) for text in texts)
        )

    def localize(self, text):
        result = {"label": "positive", "score": 0.97, "spans": [], "coverage": 0.0}
        if text.strip():
            shown = "good" if "good" in text else text.split()[0]
            start = text.index(shown)
            result["spans"] = [
                {
                    "start": start,
                    "end": start + len(shown),
                    "text": shown,
                    "label": "positive",
                    "evidence": 1.42,
                    "share": 0.31,
                    "scale": 1,
                }
            ]
        if "classifier" in self.options:
            answer = {
                "label": "positive",
                "score": 0.99,
                "stage": 1,
                "text": "it read \x1b[2J this",
            }
            result["classifier"] = answer
            result["cost"] = {"localizer_tokens": 290, "classifier_tokens": 61, "full_tokens": 288}
        return result

    def localize_images(self, images):
        if isinstance(images, list):
            return [*map(self.localize_image, images)]
        return (self.localize_image(image) for image in images)

    def localize_image(self, path):
        box = {"xmin": 2, "ymin": 1, "xmax": 12, "ymax": 11}
        patch = {"box": box, "label": "nut", "evidence": 1.42, "share": 0.31, "scale": 10}
        result = {"label": "nut", "score": 0.97, "patches": [patch], "coverage": 0.25}
        if self.options.get("return_maps"):
            result["maps"] = {"nut": [[0.5, -0.1], [0.0, 1.0]]}
        if "classifier" in self.options:
            result["classifier"] = {"label": "nut", "score": 0.99, "stage": 1}
        return result


class FakeModels:
    """Models of the demo with the answers of a `FakePipeline`, and costs that are given."""

    sizes = (1,)

    def __init__(self, fake, calibrated=False, parts=("it read this",), **costs):
        self.fake, self.calibrated = fake, calibrated
        first = "ngrams" if calibrated else "localizer"
        self.comparison = SimpleNamespace(first=first, parts=parts, **costs)

    def ask(self, text, options):
        self.fake.options = {"classifier": "shipped/classifier"}
        return SimpleNamespace(result=self.fake.localize(text), comparison=self.comparison)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (20, 20), "grey").save(path)
    return str(path)


@pytest.fixture
def fake(monkeypatch, tmp_path, photo):
    sample = tmp_path / "sample_review.txt"
    sample.write_text(REVIEW, encoding="utf-8")
    fake = FakePipeline()
    monkeypatch.setattr(registration, "pipeline", fake.load)
    monkeypatch.setattr(registration, "read_config", lambda source: BertConfig())  # no model
    shipped = {
        "span-localization": (Path("shipped/localizer"), Path("shipped/classifier")),
        "patch-localization": (Path("shipped/images"), Path("shipped/patches")),
    }
    monkeypatch.setattr(registration, "DEFAULTS", shipped)
    monkeypatch.setattr(demo.DemoModels, "load", lambda task: FakeModels(fake))
    monkeypatch.setattr(demo, "SAMPLE_REVIEW", sample)
    monkeypatch.setattr(demo, "SAMPLE_IMAGE", Path(photo))
    return fake


def feed(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def read_jsonl(text):
    return [json.loads(line) for line in text.splitlines()]


def test_an_argument_is_localized_by_the_shipped_model(fake, capsys):
    assert main(["localize", "a good film"]) == 0
    shown = capsys.readouterr()
    assert shown.out == (
        "a [[good|+31%]] film\n\npositive (97.0%), shown by 1 span, 0.0% of the text.\n\n"
    )
    assert shown.err == ""
    assert fake.task == "span-localization"
    assert fake.options == {"model": str(Path("shipped/localizer"))}


def test_every_option_reaches_the_pipeline(fake, capsys):
    argv = "localize good --model m --classifier c --top-k 3 --scales 3,9 --max-tokens 64"
    argv += " --iou-threshold 0.5 --labels positive,negative --batch-size 8 --device cpu"
    argv += " --exit-threshold 0.9 --backend onnx"
    assert main(argv.split()) == 0
    assert fake.options == {
        "model": "m",
        "classifier": "c",
        "top_k": 3,
        "scales": [3, 9],
        "max_tokens": 64,
        "iou_threshold": pytest.approx(0.5),
        "labels": ["positive", "negative"],
        "batch_size": 8,
        "device": "cpu",
        "exit_threshold": pytest.approx(0.9),
        "backend": "onnx",
    }


def test_a_cascade_may_be_given_a_threshold_for_each_stage(fake, capsys):
    assert main(["localize", "good", "--exit-threshold", "0.9,0.8"]) == 0
    assert fake.options["exit_threshold"] == [0.9, 0.8]


def test_the_classifier_named_default_is_the_shipped_one(fake, capsys):
    assert main(["localize", "good", "--classifier", "default"]) == 0
    assert fake.options["classifier"] == str(Path("shipped/classifier"))
    assert "The classifier says positive (99.0%)." in capsys.readouterr().out


def test_standard_input_keeps_its_line_ends_and_its_offsets(fake, monkeypatch, capsys):
    text = "café 🎬\r\n\r\nso good\n"
    feed(monkeypatch, text.encode())
    assert main(["localize", "--format", "jsonl"]) == 0
    (result,) = read_jsonl(capsys.readouterr().out)
    (span,) = result["spans"]
    assert text[span["start"] : span["end"]] == "good"
    assert result == fake.localize(text)


def test_an_argument_is_split_into_lines_like_a_file(fake, capsys):
    assert main(["localize", "--lines", "--format", "jsonl", "a\u2028b\r\ngood\rc"]) == 0
    results = read_jsonl(capsys.readouterr().out)
    assert [result["spans"][0]["text"] for result in results] == ["a", "good", "c"]


def test_each_file_is_one_text_in_the_order_given(fake, tmp_path, capsys):
    texts = ["second good\r\n", "שלום good"]
    argv = ["localize", "--format", "jsonl"]
    for name, text in zip("ba", texts, strict=True):
        (tmp_path / name).write_bytes(text.encode())
        argv += ["--file", str(tmp_path / name)]
    assert main(argv) == 0
    assert read_jsonl(capsys.readouterr().out) == [fake.localize(text) for text in texts]


def test_each_line_is_a_text_of_its_own_and_a_blank_one_has_no_spans(fake, monkeypatch, capsys):
    feed(monkeypatch, b"one good\r\n\ntwo\n")
    assert main(["localize", "--lines", "--format", "jsonl"]) == 0
    results = read_jsonl(capsys.readouterr().out)
    assert [[span["text"] for span in result["spans"]] for result in results] == [
        ["good"],
        [],
        ["two"],
    ]


def test_lines_are_answered_while_the_input_still_flows(fake, monkeypatch, capsys):
    def flow():
        yield "first good\n"
        assert "first" in capsys.readouterr().out
        yield "second\n"

    feed(monkeypatch, b"")
    monkeypatch.setattr(
        cli_text, "_read_stream", lambda *_: (cli_text.Source(line.rstrip()) for line in flow())
    )
    assert main(["localize", "--lines"]) == 0
    assert "second" in capsys.readouterr().out


def test_no_line_gives_no_output(fake, monkeypatch, capsys):
    feed(monkeypatch, b"")
    assert main(["localize", "--lines"]) == 0
    assert capsys.readouterr().out == ""


def test_html_is_one_page_for_all_texts(fake, monkeypatch, tmp_path, capsys):
    feed(monkeypatch, b"one <b>good</b>\ntwo\n")
    page = tmp_path / "page.html"
    assert main(["localize", "--lines", "--format", "html", "--output", str(page)]) == 0
    assert capsys.readouterr().out == ""
    html = page.read_text("utf-8")
    assert (html.count("<!DOCTYPE html>"), html.count("<figure"), html.count("<mark")) == (1, 2, 2)
    assert "&lt;b&gt;" in html


def test_a_lone_surrogate_in_an_argument_gets_an_answer(fake, capsys):
    for form in ("text", "jsonl", "html"):
        assert main(["localize", "good \udcff", "--format", form]) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["localize", "good", "--model", "missing"], "missing is not a local folder and is not"),
        (["localize", "--file", "/no/such/file"], "No such file or directory: '/no/such/file'"),
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


def test_a_file_that_is_not_utf8_is_named(fake, tmp_path, capsys):
    path = tmp_path / "latin1.txt"
    path.write_bytes("café".encode("latin-1"))
    assert main(["localize", "--file", str(path)]) == 2
    assert f"`--file` {path} must be UTF-8" in capsys.readouterr().err


def test_the_output_must_not_be_the_input(fake, tmp_path, capsys):
    path = tmp_path / "text"
    path.write_text("good")
    assert main(["localize", "--file", str(path), "--output", str(path)]) == 2
    assert "`--output` must not be one of the input files" in capsys.readouterr().err
    assert path.read_text() == "good"


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
    def interrupt(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr("hf_anchornet.cli.build.run", interrupt)
    assert main(["build"]) == 130
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


def test_the_demo_tells_the_whole_story_within_80_columns(fake, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "[[The|+31%]]" in out
    assert "says positive (97.0%)" in out
    assert " +31.0%    +1.420       1  The\n" in out
    assert "It agrees: positive (99.0%). These are 4 of 40 words, 10% of the review." in out
    assert fake.options["classifier"] == str(Path("shipped/patches"))
    assert " +31.0%    +1.420   10 px  (2, 1, 12, 11)\n" in out
    assert "It agrees: nut\n(99.0%)." in out
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


def test_images_are_localized_by_the_shipped_model_in_their_order(fake, capsys, photo):
    assert main(["localize", "--image", photo, "--image", photo, "--top-k", "2"]) == 0
    assert fake.task == "patch-localization"
    assert fake.options == {"model": str(Path("shipped/images")), "top_k": 2}
    assert capsys.readouterr().out.count(f"{photo}: nut (97.0%), shown by 1 patch") == 2


def test_images_as_json_lines_carry_their_path(fake, capsys, photo):
    assert main(["localize", "--image", photo, "--format", "jsonl"]) == 0
    (record,) = read_jsonl(capsys.readouterr().out)
    assert record["image"] == photo
    assert record["patches"][0]["box"]["xmax"] == 12


def test_a_drawn_image_goes_to_a_file_and_several_to_a_folder(fake, capsys, photo, tmp_path):
    one, several = tmp_path / "one.png", tmp_path / "several"
    argv = ["localize", "--format", "png", "--image", photo]
    assert main([*argv, "--output", str(one)]) == 0
    assert fake.options["return_maps"] is True
    assert main([*argv, "--image", photo, "--output", str(several)]) == 0
    with Image.open(one) as drawn:
        assert drawn.format == "PNG"
    assert [path.name for path in sorted(several.iterdir())] == ["0000_photo.png", "0001_photo.png"]


def test_an_image_is_read_larger_on_demand(fake, photo, tmp_path):
    drawn = ["--format", "png", "--output", str(tmp_path / "drawn.png")]
    assert main(["localize", "--image", photo, "--full-resolution", *drawn]) == 0
    assert fake.options["full_resolution"] is fake.options["return_maps"] is True
    assert main(["localize", "--image", photo, "--zoom", "3", *drawn]) == 0
    assert fake.options["zoom"] == 3
    assert "return_maps" not in fake.options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lines"], "`--lines` must not be given with `--image`"),
        (["--jsonl"], "`--jsonl` must not be given with `--image`"),
        (["--format", "html"], "`--format` must be text, jsonl or png for images, got html"),
        (["--format", "png"], "`--format png` needs `--output`"),
    ],
)
def test_options_that_do_not_go_with_images_are_refused(fake, capsys, photo, options, message):
    assert main(["localize", "--image", photo, *options]) == 2
    assert message in capsys.readouterr().err


def test_texts_cannot_be_drawn(fake, capsys):
    assert main(["localize", "good", "--format", "png"]) == 2
    shown = capsys.readouterr().err
    assert "`--format` must be text, jsonl or html for texts, got png" in shown


def test_no_command_is_imported_before_it_is_run():
    tree = ast.parse(Path(cli.__file__).read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {
        "collections.abc",
        "importlib",
        "hf_anchornet.version",
        "hf_anchornet.views.base",
        "checks",
        "options",
    }


@pytest.mark.parametrize("target", COMMANDS.values())
def test_the_table_names_a_function_for_each_command(target):
    module, _, function = target.partition(":")
    assert callable(getattr(import_module(module), function))


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


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--web --space folder", "`web` and `space` must not both be given"),
        ("--port 7860", "`port` must come with `web`, got 7860 alone"),
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


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("a, b", ["a", "b"]),
        ('["a, b", " c ", "d"]', ["a, b", " c ", "d"]),
        ("[unk],b", ["[unk]", "b"]),
        ("[1]", ["[1]"]),
    ],
)
def test_labels_may_hold_commas_and_outer_blanks_in_a_json_list(fake, capsys, value, labels):
    assert main(["localize", "good", "--labels", value]) == 0
    assert fake.options["labels"] == labels


@pytest.mark.parametrize("name", ["a.jsonl", "A.JSONL", "a.ndjson"])
def test_json_lines_are_known_by_their_ending_in_any_case_and_may_have_a_bom(
    fake, tmp_path, capsys, name
):
    (tmp_path / name).write_bytes(b'\xef\xbb\xbf{"text": "so good"}\n{"text": "good"}\n')
    assert main(["localize", "--file", str(tmp_path / name), "--format", "jsonl"]) == 0
    records = read_jsonl(capsys.readouterr().out)
    assert [record["text"] for record in records] == ["so good", "good"]
    assert records[0]["localization"]["spans"][0]["start"] == 3


def test_a_deeply_nested_json_line_is_named(fake, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "good"}\n' + "[" * 100_000)
    assert main(["localize", "--file", str(tmp_path / "a.jsonl")]) == 2
    assert "a.jsonl, line 2, must not be nested so deeply" in capsys.readouterr().err


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
    message = "`stages` must be 'glance', 'ngrams', 'localizer', whole numbers and 'full', got 'x'"
    assert message in capsys.readouterr().err


def test_a_config_that_transformers_refuses_is_one_line_and_exit_code_2(fake, monkeypatch, capsys):
    def fail(*_):
        kind = type("StrictDataclassClassValidationError", (Exception,), {})
        raise kind("validate_sizes") from ValueError("`hidden_size` must be smaller")

    monkeypatch.setattr(fake, "localize", fail)
    assert main(["localize", "good"]) == 2
    assert capsys.readouterr().err == "anchornet: error: `hidden_size` must be smaller\n"
