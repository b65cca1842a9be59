"""Texts on the command line: from an argument, files and standard input, to every format."""

import io
import json
import sys
from pathlib import Path

import pytest

from hf_anchornet.cli import localize_text as cli_text
from hf_anchornet.cli.main import main


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


def test_texts_cannot_be_drawn(fake, capsys):
    assert main(["localize", "good", "--format", "png"]) == 2
    shown = capsys.readouterr().err
    assert "`--format` must be text, jsonl or html for texts, got png" in shown


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
