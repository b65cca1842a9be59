"""ONNX graphs compared with their models on labelled splits."""

import csv
from pathlib import Path

import pytest
import torch
from conftest import relabel
from PIL import Image
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from hf_anchornet.cli import export
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model.export_onnx import export_onnx
from hf_anchornet.publishing.onnx_parity import measure_parity

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def texts(tmp_path):
    """A .csv file of five labelled texts."""
    file = tmp_path / "texts.csv"
    rows = [("good film", "positive"), ("bad", "negative"), ("a good", "positive")]
    rows += [("not bad", "negative"), ("the café was good .", "positive")]
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("text", "label"), *rows])
    return DataOptions(str(file))


@pytest.fixture
def images(tmp_path):
    """A folder of four labelled pictures."""
    for label in ("cold", "warm"):
        (tmp_path / "images" / "train" / label).mkdir(parents=True)
        for index in range(2):
            file = tmp_path / "images" / "train" / label / f"{index}.png"
            Image.effect_noise((40, 36 + index), 90).convert("RGB").save(file)
    return DataOptions(str(tmp_path / "images"))


def check(report, num_rows):
    assert report["num_rows"] == num_rows
    assert report["same_label"] == 1.0
    assert report["largest_difference"] < 1e-4
    assert report["accuracy"]["model"] == report["accuracy"]["graph"]
    assert report["bytes"] > 0


def test_a_text_localizer_and_its_graph_give_the_same_labels(
    random_folder, texts, tmp_path, trace_once
):
    model = AutoModelForSequenceClassification.from_pretrained(random_folder)
    graph = export_onnx(model, tmp_path / "model.onnx")
    check(measure_parity(random_folder, graph, texts, "train", batch_size=2), 5)


def test_an_image_localizer_and_its_graph_give_the_same_labels(
    random_image_folder, images, tmp_path, trace_once
):
    model = AutoModelForImageClassification.from_pretrained(random_image_folder)
    graph = export_onnx(model, tmp_path / "model.onnx")
    check(measure_parity(random_image_folder, graph, images, "train"), 4)


def test_a_text_classifier_and_its_graph_give_the_same_labels(
    classifier_folder, texts, tmp_path, trace_once
):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    relabel(model, ["negative", "positive"])
    model.save_pretrained(classifier_folder)
    graph = export_onnx(model, tmp_path / "model.onnx")
    check(measure_parity(classifier_folder, graph, texts, "train"), 5)


def test_an_image_classifier_and_its_graph_give_the_same_labels(
    image_classifier_folder, images, tmp_path, trace_once
):
    model = AutoModelForImageClassification.from_pretrained(image_classifier_folder)
    relabel(model, ["cold", "warm"])
    model.save_pretrained(image_classifier_folder)
    graph = export_onnx(model, tmp_path / "model.onnx")
    check(measure_parity(image_classifier_folder, graph, images, "train"), 4)


def test_a_graph_of_other_weights_has_no_parity(random_folder, texts, tmp_path, trace_once):
    model = AutoModelForSequenceClassification.from_pretrained(random_folder)
    graph = export_onnx(model, tmp_path / "model.onnx")
    with torch.no_grad():
        model.aggregation.bias[0] += 100
    model.save_pretrained(random_folder)
    report = measure_parity(random_folder, graph, texts, "train")
    assert report["accuracy"]["model"] == pytest.approx(0.4)
    assert report["largest_difference"] > 99


def test_the_command_finds_columns_and_writes_nothing_before(texts, localizer_folder, tmp_path):
    rows = Path(texts.dataset).read_text("utf-8").replace("text,label", "review,stars")
    (tmp_path / "named.csv").write_text(rows, "utf-8")
    given = {"model": localizer_folder, "output": str(tmp_path / "model.onnx")}
    given |= {"dataset": str(tmp_path / "named.csv"), "split": "train"}
    with pytest.raises(ValueError, match="column `text` is not in the dataset"):
        export.run(given)
    assert not (tmp_path / "model.onnx").exists()
    export.run(given | {"text_column": "review", "label_column": "stars"})
    assert (tmp_path / "model.onnx").exists()


def test_the_folder_of_another_model_or_a_path_as_model_is_refused(
    localizer_folder, classifier_folder
):
    given = {"model": localizer_folder, "output": classifier_folder}
    with pytest.raises(ValueError, match="`path` must be the folder of this model, of type 'anch"):
        export.run(given)
    with pytest.raises(TypeError, match="`model` must be a loaded model, got"):
        export_onnx(localizer_folder, localizer_folder)
