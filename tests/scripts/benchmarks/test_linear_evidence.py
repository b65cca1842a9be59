"""Linear models explained by their coefficients, on planted texts."""

import json
import sys

import pytest
from datasets import Dataset

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from scripts.benchmarks import linear_evidence
from scripts.benchmarks.linear_evidence import LinearEvidenceOptions, measure_linear_evidence

TEXTS = {"bad": "it was a bad film , really", "good": "it was a good film , really"}


@pytest.fixture
def dataset(tmp_path):
    rows = [(text, label) for label, text in TEXTS.items() for _ in range(5)]
    texts, labels = zip(*rows, strict=True)
    spans = [[[text.index(label), text.index(label) + len(label)]] for text, label in rows]
    for split in ("train", "validation", "test"):
        Dataset.from_dict({"text": texts, "label": labels, "spans": spans}).to_parquet(
            tmp_path / "data" / f"{split}.parquet"
        )
    return str(tmp_path / "data")


def test_coefficients_point_at_the_planted_word(dataset):
    explaining = ExplanationOptions(["evidence", "random"], calibration_split="validation")
    report = measure_linear_evidence(DataOptions(dataset), LinearEvidenceOptions(), explaining)
    assert list(report["rivals"]) == ["nb_lr", "tfidf_svm"]
    for name, row in report["rivals"].items():
        explained = row["explanations"]
        assert explained["settings"]["model"] == name
        assert (explained["num_explained"], explained["accuracy"]) == (10, 1)
        evidence = explained["explainers"]["evidence"]
        assert evidence["plausibility"]["pointing"] == 1
        assert evidence["plausibility"]["token_auprc"] == pytest.approx(1)
        assert evidence["faithfulness"]["rationale"]["comprehensiveness"] > 0.3
        assert evidence["milliseconds"] > 0
        assert row["fitted"]["validation_accuracy"] == 1


def test_black_boxes_explain_a_linear_model_too(dataset):
    options = LinearEvidenceOptions(["nb_lr"])
    explaining = ExplanationOptions(["occlusion"], faithfulness=False)
    report = measure_linear_evidence(DataOptions(dataset), options, explaining)
    scores = report["rivals"]["nb_lr"]["explanations"]["explainers"]["occlusion"]
    assert scores["plausibility"]["pointing"] == 1


def test_the_script_writes_and_prints_the_reports(dataset, tmp_path, monkeypatch, capsys):
    path = tmp_path / "evidence.json"
    arguments = ["--dataset", dataset, "--rivals", "tfidf_svm", "--output", str(path)]
    monkeypatch.setattr(sys, "argv", ["linear_evidence", *arguments])
    linear_evidence.main()
    report = json.loads(path.read_text("utf-8"))
    assert report["settings"]["linear"]["rivals"] == list(report["rivals"]) == ["tfidf_svm"]
    assert "tfidf_svm:\n\n| explainer | token AUPRC |" in capsys.readouterr().out


def test_explainers_of_networks_are_refused(dataset):
    explaining = ExplanationOptions(["integrated_gradients"])
    with pytest.raises(ValueError, match=r"`explainers` must be among .* for linear models, got"):
        measure_linear_evidence(DataOptions(dataset), LinearEvidenceOptions(), explaining)


@pytest.mark.parametrize("rivals", [[], ["static"]])
def test_only_models_of_ngrams_are_explained(rivals):
    with pytest.raises(ValueError, match=r"`rivals` must be among \['nb_lr', 'tfidf_svm'\], got"):
        LinearEvidenceOptions(rivals)
