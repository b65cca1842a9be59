"""JSON lines in and out, by the shipped text localizer."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from hf_anchornet.cli.main import main

SENTENCES = ["A wonderful film.", "A dull film, and a waste of time."]


def write_lines(path, *records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return str(path)


def run(capsys, *argv):
    code = main(["localize", "--format", "jsonl", *argv])
    shown = capsys.readouterr()
    return code, [json.loads(line) for line in shown.out.splitlines()], shown.err


def test_a_jsonl_file_comes_back_with_its_fields_and_the_answers(tmp_path, capsys):
    records = [{"id": i, "label": None, "text": text} for i, text in enumerate(SENTENCES)]
    code, answers, error = run(capsys, "--file", write_lines(tmp_path / "in.jsonl", *records))
    assert (code, error) == (0, "")
    assert [answer.pop("localization")["label"] for answer in answers] == ["positive", "negative"]
    assert answers == records


def test_spans_are_characters_of_the_text_in_its_field(tmp_path, capsys):
    file = write_lines(tmp_path / "in.jsonl", {"review": "\u00e9 \U0001f3ac wonderful!", "text": 1})
    _, (answer,), _ = run(capsys, "--file", file, "--text-field", "review", "--top-k", "1")
    (span,) = answer["localization"]["spans"]
    assert answer["review"][span["start"] : span["end"]] == span["text"]


def test_standard_input_may_be_json_lines_and_blank_ones_are_skipped(monkeypatch, capsys):
    lines = "".join(f"{json.dumps({'text': text})}\n\n" for text in SENTENCES)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    _, answers, _ = run(capsys, "--jsonl")
    assert [answer["text"] for answer in answers] == SENTENCES


def test_lines_of_a_jsonl_file_may_be_texts_themselves(tmp_path, capsys):
    file = write_lines(tmp_path / "in.jsonl", {"text": "good"})
    _, (answer,), _ = run(capsys, "--file", file, "--lines")
    assert "localization" not in answer


def test_json_lines_are_printed_as_texts_too(tmp_path, capsys):
    file = write_lines(tmp_path / "in.jsonl", {"text": "wonderful"})
    assert main(["localize", "--file", file]) == 0
    assert "[[wonderful|+100%]]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "must be JSON, got Expecting property name"),
        ("[1]", "must be an object with a string in `text`, got list; correct the line"),
        ('{"txt": "good"}', "must be an object with a string in `text`, got ['txt']"),
        ('{"text": 3}', "must be an object with a string in `text`, got ['text']"),
        ('{"text": "", "localization": 1}', "must not have a field `localization`"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path, capsys, line, message):
    file = tmp_path / "in.jsonl"
    file.write_text(f'{{"text": "good"}}\n\n{line}\n')
    code, answers, error = run(capsys, "--file", str(file))
    assert code == 2
    assert [answer["text"] for answer in answers] == ["good"]  # what came before is answered
    assert error.startswith(f"anchornet: error: `--file` {file}, line 3, {message}")
    assert error.count("\n") == 1


def test_a_threshold_and_a_backend_reach_the_shipped_models(capsys):
    argv = ["A wonderful film.", "--classifier", "default", "--exit-threshold", "0"]
    code, (answer,), _ = run(capsys, *argv, "--backend", "eager")
    assert code == 0
    assert answer["classifier"]["stage"] == 0
    assert answer["cost"]["classifier_multiply_adds"] == 0


def test_a_threshold_needs_a_classifier(capsys):
    code, _, error = run(capsys, "good", "--exit-threshold", "0.9")
    assert code == 2
    assert "`--exit-threshold` must come with a `--classifier`" in error


def test_an_explained_answer_is_printed_with_what_each_part_adds(localizer_folder, capsys):
    argv = ["localize", "good , a film", "--model", localizer_folder]
    assert main([*argv, "--explain-answer"]) == 0
    shown = capsys.readouterr().out
    assert "for positive by the localizer" in shown
    assert re.search(r"^ +\+\d\.\d{3}  good$", shown, flags=re.MULTILINE)
    assert main(argv) == 0
    assert "by the localizer" not in capsys.readouterr().out


def test_the_folder_of_a_cascade_answers_as_a_cascade_unless_it_must_not(
    text_cascade, tmp_path, capsys
):
    text_cascade.save_pretrained(tmp_path / "cascade")
    argv = ["--model", str(tmp_path / "cascade"), "--exit-threshold", "1", "good film, a bad film"]
    _, (answer,), error = run(capsys, *argv)
    assert answer["classifier"]["stage"] > 0
    assert error == ""
    _, (alone,), error = run(capsys, *argv[:2], "--classifier", "none", argv[-1])
    assert error == ""
    assert "classifier" not in alone
    assert alone["score"] == answer["score"]


def test_a_folder_without_weights_is_told_in_one_line(localizer_folder, capsys):
    Path(localizer_folder, "model.safetensors").unlink()
    code, _, error = run(capsys, "--model", localizer_folder, "good")
    assert code == 2
    assert error.startswith("anchornet: error: `--model` must hold the weights of a model, got the")
    assert len(error) < 300
