"""Weights of a linear model in a localizer, compared from end to end on few texts."""

import pytest
from conftest import relabel
from datasets import Dataset
from planted_texts import FAST, SMALL, plant
from transformers import AutoModelForSequenceClassification

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer
from scripts.ablations.linear_ngrams import (
    CHOSEN,
    SCALED,
    UNCORRECTED,
    LinearAblationOptions,
    compare_weights,
)

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")


def test_each_weight_has_accuracies_and_agreement_with_people(tmp_path):
    data = DataOptions(plant(tmp_path / "data"))
    localizer = TextLocalizerOptions(**SMALL, linear_weight=0.0)
    training = TrainingOptions(str(tmp_path / "run"), num_epochs=1, **FAST)
    train_text_localizer(data, localizer, training)
    (tmp_path / "spans").mkdir()
    text = "the film was superb and the plot was a scene"
    rows = Dataset.from_dict({"text": [text], "label": ["positive"], "spans": [[[13, 19]]]})
    rows.to_parquet(tmp_path / "spans" / "validation.parquet")
    options = LinearAblationOptions(training.output_dir, [str(tmp_path / "spans")], [0.0, 1.0])
    seen = []
    report = compare_weights(data, options, lambda report: seen.append(len(report["weights"])))
    assert list(report["weights"]) == ["0", "1", CHOSEN]
    assert seen == [1, 2, 3]
    chosen = report["weights"][CHOSEN]
    assert chosen["loss"] <= min(report["weights"][weight]["loss"] for weight in ("0", "1")) + 1e-6
    assert chosen["accuracy"] == chosen["ngrams"] == 1.0
    assert chosen["sets"]["spans"]["evidence"]["raw_pointing"] == 1.0


def test_each_share_has_accuracies_and_agreement_with_people(tmp_path, classifier_folder):
    data = DataOptions(plant(tmp_path / "data"))
    teacher = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    relabel(teacher, ["negative", "positive"])
    teacher.save_pretrained(classifier_folder)
    localizer = TextLocalizerOptions(**SMALL, linear_weight=0.0)
    training = TrainingOptions(str(tmp_path / "run"), num_epochs=1, **FAST)
    train_text_localizer(data, localizer, training)
    options = LinearAblationOptions(
        training.output_dir, teacher=str(classifier_folder), shares=[1.0]
    )
    report = compare_weights(data, options)
    assert list(report["weights"]) == [UNCORRECTED, "1", f"1{SCALED}"]
    assert report["weights"]["1"]["accuracy"] == 1.0
    assert report["weights"]["1"]["loss"] <= report["weights"][UNCORRECTED]["loss"]
