"""`anchornet calibrate`: what it prints, warns of and saves."""

import logging
from pathlib import Path

import pytest
from conftest import relabel
from datasets import Dataset

from hf_anchornet.cli.main import main
from hf_anchornet.cli.modalities import suggest_next
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.localizer import load_localizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def argv(localizer_folder, classifier_folder, tmp_path):
    """A calibration of a localizer that is always right and a classifier that is not."""
    localizer = load_localizer(localizer_folder)
    relabel(localizer.model, ["sad", "glad"])
    localizer.save_pretrained(localizer_folder)
    rows = {"text": ["good film", "bad film"] * 10, "label": ["glad", "sad"] * 10}
    Dataset.from_dict(rows).to_parquet(tmp_path / "validation.parquet")
    return [
        "calibrate", "--dataset", str(tmp_path / "{split}.parquet"), "--train-split", "validation",
        "--localizer", localizer_folder, "--classifier", classifier_folder, "--stages", "4", "full",
        "--output-dir", str(tmp_path / "out"),
    ]  # fmt: skip


def test_the_choice_is_printed_and_a_useless_classifier_is_left_out(argv, tmp_path, capsys, caplog):
    with caplog.at_level(logging.WARNING):
        assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "20 rows of split validation:" in printed
    assert "chosen stages:\n  localizer" in printed
    assert f"saved the localizer alone, without the classifier in {tmp_path / 'out'}" in printed
    assert "next: anchornet evaluate --dataset" in printed
    assert "the classifier is never asked" in caplog.text
    assert "never saw what it gets at 4 (`anchornet adapt` did not train it)" in caplog.text
    assert find_cascade(tmp_path / "out") is None


def test_the_classifier_is_kept_if_that_is_wanted(argv, tmp_path, capsys):
    assert main([*argv, "--keep-classifier"]) == 0
    assert "saved a cascade in" in capsys.readouterr().out
    assert find_cascade(tmp_path / "out") is not None


@pytest.mark.parametrize(
    ("command", "options", "following"),
    [
        ("train", {}, "anchornet evaluate --dataset 'my data' --model out"),
        ("adapt", {"localizer": "one"}, "anchornet calibrate --dataset 'my data' --localizer one"),
        ("adapt", {"localizer": None}, "anchornet publish --folder out --repo-id you/name"),
    ],
)
def test_a_training_names_the_command_that_follows(command, options, following):
    report = {"options": {"dataset": "my data", "output_dir": "out", **options}}
    assert suggest_next(command, report).startswith(following)


def test_the_folder_of_the_classifier_is_no_output(argv, classifier_folder, capsys):
    before = sorted((path.name, path.stat().st_size) for path in Path(classifier_folder).iterdir())
    argv[-1] = classifier_folder
    assert main(argv) == 2
    assert "`--output-dir` must not be the folder of the `--classifier`" in capsys.readouterr().err
    after = sorted((path.name, path.stat().st_size) for path in Path(classifier_folder).iterdir())
    assert after == before


def test_neither_is_that_of_another_model_or_of_the_data(argv, tmp_path, capsys):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    argv[-1] = str(tmp_path / "bert")
    assert main(argv) == 2
    assert 'that of a model of type "bert"; choose another folder' in capsys.readouterr().err
    argv[2], argv[-1] = str(tmp_path), str(tmp_path / "out")
    assert main(argv) == 2
    assert "`--output-dir` must lie outside of the folder of the data" in capsys.readouterr().err


def test_a_multi_label_classifier_is_not_to_be_calibrated(tmp_path):
    (tmp_path / "config.json").write_text('{"problem_type": "multi_label_classification"}')
    options = {"dataset": "d", "output_dir": str(tmp_path), "localizer": "one"}
    wanted = f"anchornet evaluate --dataset d --model one --classifier {tmp_path}"
    assert suggest_next("adapt", {"options": options}) == wanted
