"""The folder of a calibration."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import hf_anchornet
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.publishing.calibrated_folder import save_calibrated
from hf_anchornet.publishing.card import write_card


@pytest.fixture
def calibrate(text_cascade):
    """A cascade whose record says which share of the rows reached the classifier."""

    def make(share):
        cost = {"cascade": 2e6, "localizer": 1e6, "classifier on full": 9e6}
        record = {
            "split": {"name": "dev", "num_rows": 1200, "fingerprint": "x"},
            "accuracy": {"cascade": 0.89, "localizer": 0.8, "classifier on full": 0.9},
            "expected_cost": {"multiply_adds": cost, "milliseconds": cost},
            "share_leaving": {"localizer": 1 - share, "4": share},
        }
        return Cascade(text_cascade.localizer, text_cascade.reader, text_cascade.rule, record)

    return make


def test_a_cascade_that_never_asks_its_classifier_is_saved_as_a_localizer(
    calibrate, localizer_folder, tmp_path
):
    assert save_calibrated(calibrate(0.5), tmp_path, localizer_folder)
    assert (tmp_path / "classifier").is_dir()
    assert not save_calibrated(calibrate(0.0), tmp_path, localizer_folder)
    assert not (tmp_path / "classifier").exists()
    assert hf_anchornet.load(tmp_path).cascade is None
    assert save_calibrated(calibrate(0.0), tmp_path, localizer_folder, keep_classifier=True)
    assert hf_anchornet.load(tmp_path).cascade is not None


def test_the_card_carries_calibration_evaluation_command_and_example(
    calibrate, localizer_folder, tmp_path
):
    training = {
        "command": "anchornet train --dataset reviews",
        "best": {"accuracy": 0.75},
        "data": {
            "dataset": "reviews",
            "train_split": "train",
            "validation_split": "dev",
            "num_rows": 50,
            "num_validation_rows": 40,
            "reading": "whole texts",
            "license": None,
            "example": 'It said "good".',
        },
    }
    Path(localizer_folder, "training.json").write_text(json.dumps(training))
    scores = {"dataset": "reviews", "split": "test", "num_rows": 30}
    scores["localizer"] = {"accuracy": 0.625, "macro_f1": 0.5}
    (tmp_path / "evaluation.json").write_text(json.dumps(scores | {"num_rows": 10}))
    save_calibrated(calibrate(0.5), tmp_path, localizer_folder)
    assert not (tmp_path / "evaluation.json").exists()  # it was of an earlier cascade
    (tmp_path / "evaluation.json").write_text(json.dumps(scores))
    write_card(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    for part in (
        "| Accuracy | reviews, dev, 40 rows | 0.7500 |",
        "| Accuracy | reviews, test, 30 rows | 0.6250 |",
        "chosen on 1,200 rows of split `dev`",
        "| classifier on full | 0.9000 | 9.00 |",
        "localizer 50.0%, 4 50.0%",
        "anchornet train --dataset reviews\n```",
        'cascade("It said \\"good\\".")',
    ):
        assert part in card.text
    assert {row.dataset_args["num_rows"] for row in card.data.eval_results} == {40, 30}


def test_a_graph_of_earlier_weights_goes_and_that_of_the_same_stays(
    calibrate, localizer_folder, tmp_path
):
    for folder in (tmp_path / "other", Path(localizer_folder)):
        (folder / "onnx").mkdir(parents=True)
        (folder / "onnx" / "model.onnx").write_bytes(b"graph")
        save_calibrated(calibrate(0.0), folder, localizer_folder)
    assert not (tmp_path / "other" / "onnx" / "model.onnx").exists()
    assert Path(localizer_folder, "onnx", "model.onnx").exists()
