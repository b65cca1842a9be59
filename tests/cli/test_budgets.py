"""A budget above what the classifier reads is refused on every way in, naming its limit."""

import json

import pytest
from conftest import relabel
from datasets import Dataset
from transformers import AutoModelForSequenceClassification

from hf_anchornet import Cascade
from hf_anchornet.cli.main import main

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")

LIMIT = "must be at most 128 for this classifier, got 600"


@pytest.fixture
def models(localizer_folder, classifier_folder, tmp_path):
    """Folders of a localizer, of a BERT of 128 tokens with its labels, and of labelled texts."""
    classifier = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    relabel(classifier, ["negative", "positive"])
    classifier.save_pretrained(classifier_folder)
    rows = {"text": ["good film", "bad film"] * 2, "label": ["positive", "negative"] * 2}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data" / "train.parquet")
    Dataset.from_dict(rows).to_parquet(tmp_path / "data" / "validation.parquet")
    return localizer_folder, classifier_folder, str(tmp_path / "data")


def check_refusal(capsys, *arguments):
    assert main([*arguments]) == 2
    error = capsys.readouterr().err
    assert LIMIT in error
    assert "Traceback" not in error


def test_localize_refuses_it(models, capsys):
    localizer, classifier, _ = models
    options = ["--model", localizer, "--classifier", classifier, "--max-tokens", "600"]
    check_refusal(capsys, "localize", *options, "good film")


def test_localize_refuses_it_for_a_corpus(models, capsys, tmp_path):
    localizer, classifier, data = models
    options = ["--model", localizer, "--classifier", classifier, "--max-tokens", "600"]
    options += ["--input", f"{data}/*.parquet", "--output", str(tmp_path / "out")]
    check_refusal(capsys, "localize", *options, "--num-workers", "1")


@pytest.mark.parametrize("more", [[], ["--exit-threshold", "0.9"]])
def test_evaluate_refuses_it(models, capsys, more):
    localizer, classifier, data = models
    options = ["--model", localizer, "--classifier", classifier, "--max-tokens", "600"]
    options += ["--dataset", data, "--split", "validation"]
    check_refusal(capsys, "evaluate", *options, *more)


def test_calibrate_refuses_a_stage_of_it(models, capsys, tmp_path):
    localizer, classifier, data = models
    options = ["--localizer", localizer, "--classifier", classifier, "--dataset", data]
    options += ["--stages", "16", "600", "--output-dir", str(tmp_path / "cascade")]
    check_refusal(capsys, "calibrate", *options)


@pytest.mark.parametrize(
    "budgets",
    [["--max-tokens", "600"], ["--reading", "crop", "--max-tokens", "600"]],
)
def test_adapt_refuses_it(models, capsys, tmp_path, budgets):
    localizer, classifier, data = models
    options = ["--localizer", localizer, "--classifier", classifier, "--dataset", data]
    options += ["--output-dir", str(tmp_path / "run"), *budgets]
    check_refusal(capsys, "adapt", *options)


def test_adapt_refuses_one_of_its_budgets(models, capsys, tmp_path):
    localizer, classifier, data = models
    options = ["--localizer", localizer, "--classifier", classifier, "--dataset", data]
    options += ["--output-dir", str(tmp_path / "run"), "--reading", "mix", "--budgets", "16", "300"]
    assert main(["adapt", *options]) == 2
    assert "`--budgets` must be at most 128 for this classifier, got 300" in capsys.readouterr().err


def test_a_saved_cascade_of_it_is_refused(models, tmp_path):
    localizer, classifier, _ = models
    Cascade.load(localizer, classifier, [16]).save_pretrained(tmp_path / "cascade")
    file = tmp_path / "cascade" / "cascade.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"stages": [600]}))
    with pytest.raises((OSError, ValueError), match=LIMIT):
        Cascade.from_pretrained(tmp_path / "cascade")
