"""Temperature scaling of a model before it is explained."""

import pytest
import torch
from datasets import Dataset
from PIL import Image

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from hf_anchornet.evaluation.explanations import evaluate_explanations, scale_temperature
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.text_subject import TextSubject

DATA = DataOptions("here")


@pytest.fixture
def subject(planted, tokenizer):
    return TextSubject(planted, tokenizer)


def make_rows(*right):
    """Texts with the word good, each labelled positive if `right`."""
    labels = ["positive" if each else "negative" for each in right]
    return Dataset.from_dict({"text": ["a good film"] * len(right), "label": labels})


def test_the_confidence_becomes_the_accuracy(subject):
    scale_temperature(subject, make_rows(True, True, True, False), DATA)
    sure = subject.predict(["a good film"])[0, 1]
    assert sure == pytest.approx(0.75, abs=1e-3)
    # A second call ignores the first.
    scale_temperature(subject, make_rows(True, True, False, True, True), DATA)
    assert subject.predict(["a good film"])[0, 1] == pytest.approx(0.8, abs=1e-3)


def test_calibration_changes_no_answer(subject):
    texts = ["a good film", "a bad film", "a film"]
    before = subject.predict(texts).argmax(axis=1)
    scale_temperature(subject, make_rows(True, False, True), DATA)
    assert subject.temperature != 1
    assert (subject.predict(texts).argmax(axis=1) == before).all()


def test_a_model_of_images_is_calibrated_too(planted_image_model, image_processor):
    subject = ImageSubject(planted_image_model, image_processor)
    picture = Image.new("RGB", (40, 40), (0, 0, 0))
    picture.paste((255, 0, 0), (8, 8, 16, 16))
    rows = Dataset.from_dict({"image": [picture] * 3, "label": ["warm", "warm", "cold"]})
    scale_temperature(subject, rows, DATA)
    assert subject.predict([picture])[0, 1] == pytest.approx(2 / 3, abs=1e-3)


def test_several_labels_are_refused(subject):
    rows = Dataset.from_dict({"text": ["a good film"], "label": [["positive", "negative"]]})
    with pytest.raises(ValueError, match="for examples with several labels"):
        scale_temperature(subject, rows, DATA)


@pytest.mark.usefixtures("cache_nothing_at_home")
def test_the_report_names_the_temperature(localizer_folder, tmp_path):
    splits = {"validation": make_rows(True, True, False), "test": make_rows(True, False)}
    for name, rows in splits.items():
        rows.to_parquet(tmp_path / f"{name}.parquet")
    chosen = ExplanationOptions(["evidence"], calibration_split="validation")
    data = DataOptions(str(tmp_path))
    report = evaluate_explanations(
        localizer_folder, "test", splits["test"], data, chosen, torch.device("cpu")
    )
    subject = TextSubject.load(localizer_folder)
    scale_temperature(subject, splits["validation"], data)
    assert report["settings"]["temperature"] == pytest.approx(subject.temperature)
    assert report["settings"]["calibration_split"] == "validation"
