"""A build from data to folder, on texts with a planted word."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import relabel
from datasets import Dataset, load_dataset
from huggingface_hub import ModelCard
from mobile_network import save_mobile_network
from PIL import Image
from planted_texts import plant
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import hf_anchornet
from hf_anchornet.building import build as building
from hf_anchornet.building import steps as build_steps
from hf_anchornet.building.build import build
from hf_anchornet.building.journal import Journal
from hf_anchornet.building.options import BuildOptions
from hf_anchornet.building.plan import Plan, Work
from hf_anchornet.building.preparation import name_data
from hf_anchornet.building.steps import BuildSteps
from hf_anchornet.cli.main import main
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.publishing.folder import build_folder
from hf_anchornet.registration import DEFAULT_IMAGE_LOCALIZER
from hf_anchornet.training import defaults
from hf_anchornet.training.defaults import Defaults

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator", "few_epochs")


@pytest.fixture
def few_epochs(monkeypatch):
    """Trainings of one or two short epochs."""
    quick = Defaults(num_epochs=2, batch_size=16, patience=1, vocab_size=200, ngram_min_count=2)
    monkeypatch.setattr(defaults, "TEXTS_BELOW", {10**9: quick})


@pytest.fixture
def source(tmp_path):
    """One file of 120 rows, without other splits."""
    folder = plant(tmp_path / "planted", 120)
    rows = load_dataset("parquet", data_files=f"{folder}/train.parquet", split="train")
    rows.to_parquet(tmp_path / "reviews.parquet")
    return str(tmp_path / "reviews.parquet")


@pytest.fixture
def trained(classifier_folder):
    """A classifier of the labels of the texts, which knows nothing."""
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    relabel(model, ["negative", "positive"])
    model.save_pretrained(classifier_folder)
    return classifier_folder


def test_data_alone_becomes_a_localizer_with_a_report(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["build", "--dataset", source, "--output-dir", str(out)]) == 0
    printed = capsys.readouterr().out
    content = json.loads((out / "build.json").read_text("utf-8"))
    assert content["finished"]
    assert content["verdict"]["text"] in printed
    assert "no split `test`: 18 rows were held out" in printed
    assert set(content["measured"]["compared"]) == {"localizer", "linear model", "majority"}
    assert content["measured"]["compared"]["localizer"]["accuracy"] > 0.9
    page = (out / "report.html").read_text("utf-8")
    assert content["verdict"]["text"] in page
    assert "<mark" in page
    assert hf_anchornet.load(out)("the film was superb")["label"] == "positive"
    card = ModelCard.load(out / "README.md").text
    command = "anchornet build --dataset reviews.parquet --output-dir out\n"
    for part in (
        command,
        content["verdict"]["text"],
        "![Accuracy",
        "reviews, test, 18 rows",
        "| majority",
    ):
        assert part in card
    assert not list(out.rglob("*.partial"))


def test_the_published_folder_names_no_place_on_this_machine(source, tmp_path):
    build(DataOptions(source), BuildOptions(str(tmp_path / "out")))
    names = build_folder(tmp_path / "out", tmp_path / "built")
    assert {"scores.svg", "evaluation.json"} <= {name.as_posix() for name in names}
    for name in names:
        if name.suffix in (".json", ".md"):
            assert str(tmp_path) not in (tmp_path / "built" / name).read_text("utf-8"), name


def test_a_build_is_continued_where_it_was_interrupted(source, tmp_path, monkeypatch):
    data, options = DataOptions(source), BuildOptions(str(tmp_path / "out"))

    def fail(*_):
        raise OSError("the machine went down")

    with monkeypatch.context() as patched:
        patched.setattr(build_steps, "measure_models", fail)
        with pytest.raises(OSError, match="went down"):
            build(data, options)
    assert not (tmp_path / "out" / "config.json").exists()  # no half-made model
    with monkeypatch.context() as patched:
        patched.setattr(build_steps, "train_text_localizer", fail)
        assert build(data, options)["finished"]
    with pytest.raises(ValueError, match="`seed` must be 0 as in the build that was started in"):
        build(data, replace(options, seed=1))
    page = build(data, replace(options, budget="2h"))  # time may be given later
    assert page["finished"]
    rows = load_dataset("parquet", data_files=source, split="train")
    before = (tmp_path / "out" / "data" / "reviews" / "test.parquet").read_bytes()
    rows.shuffle(seed=1).to_parquet(source)
    with pytest.raises(ValueError, match="`dataset` must hold the rows that the build in"):
        build(DataOptions(source), options)
    assert (tmp_path / "out" / "data" / "reviews" / "test.parquet").read_bytes() == before


def test_a_finished_build_writes_again_what_was_lost(source, tmp_path):
    out = tmp_path / "out"
    data, options = DataOptions(source), BuildOptions(str(out))
    build(data, options)
    before = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").unlink()
    build(data, options)
    assert (out / "model.safetensors").read_bytes() == before


def test_nothing_else_is_trained_into_the_folder_of_a_build(source, tmp_path, capsys):
    out = ["--output-dir", str(tmp_path / "out")]
    assert main(["build", "--dataset", source, *out]) == 0
    rows = str(tmp_path / "out" / "data" / "reviews")
    assert main(["train", "--dataset", rows, "--num-epochs", "1", *out]) == 2
    assert "that of a build; choose another folder" in capsys.readouterr().err
    assert main(["build", "--dataset", rows, "--output-dir", f"{rows}/new"]) == 2
    assert "must lie outside of the folder of the data set" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("train", "validation"), ("test", "train"), ("dev", "dev")])
def test_nothing_is_compared_on_rows_that_were_learned_from(source, tmp_path, names):
    data = DataOptions(source, validation_split=names[1])
    options = BuildOptions(str(tmp_path / "out"), test_split=names[0])
    with pytest.raises(ValueError, match="must be three different splits, got 'train', "):
        build(data, options)
    with pytest.raises(ValueError, match="`seed` must be in"):
        BuildOptions("out", seed=-1)


def test_a_training_leaves_a_checkpoint_in_every_epoch(source, tmp_path, monkeypatch):
    seen = []

    def train(data, localizer, options):
        seen.append(options)
        raise OSError("enough")

    monkeypatch.setattr(build_steps, "train_text_localizer", train)
    with pytest.raises(OSError, match="enough"):
        build(DataOptions(source), BuildOptions(str(tmp_path / "out")))
    assert 0 < seen[0].checkpoint_steps <= -(-120 // seen[0].batch_size)


def test_a_build_that_cannot_begin_leaves_no_folder(source, tmp_path):
    with pytest.raises(ValueError, match="`label_column` must be a column"):
        build(DataOptions(source, label_column="mood"), BuildOptions(str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_examples_are_of_several_labels_which_are_told(source, tmp_path):
    build(DataOptions(source), BuildOptions(str(tmp_path / "out")))
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for label in ("negative", "positive"):
        assert f"Labelled {label} in the data" in page


def test_a_trained_classifier_is_adapted_compared_and_left_out_if_it_is_worse(
    source, trained, tmp_path
):
    content = build(DataOptions(source), BuildOptions(str(tmp_path / "out"), trained))
    assert list(content["steps"]) == [
        "localizer", "classifier", "calibration", "evaluation", "folder",
    ]  # fmt: skip
    assert content["plan"]["teach"]
    assert "classifier" in content["measured"]["compared"]
    assert not (tmp_path / "out" / "classifier").exists()
    assert (tmp_path / "out" / "calibration.json").exists()
    result = content["steps"]["calibration"]["result"]
    assert result["classifier"] in ("adapted", "as it was")
    assert any("worse than" in warning for warning in result["warnings"])


def test_what_is_left_is_shortened_after_a_slow_step(source, trained, tmp_path, monkeypatch):
    slow = property(lambda journal: dict.fromkeys(journal.content["steps"], 10_000.0))
    monkeypatch.setattr(Journal, "seconds", slow)
    lines = []
    options = BuildOptions(str(tmp_path / "out"), trained, budget="1h")
    content = build(DataOptions(source), options, lines.append)
    assert "shortened: the classifier is left out" in lines
    assert any(line.startswith("the budget is exceeded by about ") for line in lines)
    assert list(content["steps"]) == ["localizer", "evaluation", "folder"]
    assert not content["plan"]["use_classifier"]


@pytest.mark.slow
def test_an_encoder_is_adapted_to_the_labels(source, classifier_folder, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    model.base_model.save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(classifier_folder).save_pretrained(tmp_path / "encoder")
    options = BuildOptions(str(tmp_path / "out"), str(tmp_path / "encoder"))
    content = build(DataOptions(source), options)
    assert not content["plan"]["teach"]
    assert content["steps"]["calibration"]["result"]["classifier"] == "adapted"
    assert set(content["measured"]["compared"]) >= {"classifier", "localizer"}


@pytest.mark.parametrize(("adapted_cost", "kept"), [(5.0, "adapted"), (50.0, "as it was")])
def test_of_both_classifiers_the_cheaper_cascade_is_kept(
    trained, localizer_folder, tmp_path, monkeypatch, adapted_cost, kept
):
    plan = Plan(adapt_rows=10, use_classifier=True)
    work = Work("text", (10, 5, 5), 10.0, trained, True)
    steps = BuildSteps(DataOptions("unused"), BuildOptions(str(tmp_path), trained), plan, work, "")

    def calibrate(classifier):
        cost = adapted_cost if classifier == str(steps.adapted) else 10.0
        record = {
            "accuracy": {"cascade": 0.9},
            "expected_cost": {"multiply_adds": {"cascade": cost}},
        }
        return SimpleNamespace(record=record), []

    monkeypatch.setattr(steps, "_calibrate", calibrate)
    monkeypatch.setattr(build_steps, "save_calibrated", lambda *_: True)
    assert steps.calibrate()["classifier"] == kept


@pytest.mark.slow
def test_texts_without_labels_are_labelled_by_the_classifier(source, trained, tmp_path):
    rows = Dataset.from_parquet(source).remove_columns("label")
    rows.to_parquet(tmp_path / "plain.parquet")
    data = DataOptions(str(tmp_path / "plain.parquet"))
    message = r"name the right one \(.*\), or a trained `classifier` that gives the labels"
    with pytest.raises(ValueError, match=message):
        build(data, BuildOptions(str(tmp_path / "none")))
    model = AutoModelForSequenceClassification.from_pretrained(trained)
    model.classifier.weight.data.normal_()
    texts = AutoTokenizer.from_pretrained(trained)(
        rows["text"][:], padding=True, return_tensors="pt"
    )
    with torch.no_grad():  # half of the texts get each label
        logits = model(**texts).logits
        model.classifier.bias[0] += (logits[:, 1] - logits[:, 0]).median()
    model.save_pretrained(trained)
    lines = []
    options = BuildOptions(str(tmp_path / "out"), trained, dry_run=True)
    build(data, options, lines.append)
    assert "so accuracy means agreement with it" in lines[0]
    content = build(data, replace(options, dry_run=False))
    assert content["notes"][0] == lines[0]
    assert content["verdict"]["text"].endswith("Accuracy is agreement with your classifier here.")
    assert content["measured"]["compared"]["classifier"]["accuracy"] == 1.0


def test_a_dry_run_ends_with_the_plan(source, trained, tmp_path):
    lines = []
    options = BuildOptions(str(tmp_path / "out"), trained, dry_run=True)
    build(DataOptions(source), options, lines.append)
    assert any(line.split()[:1] == ["classifier"] and " min " in line for line in lines)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ({"text": ["x"] * 30, "label": ["a"] * 30}, {}, "`label` must hold at least two labels"),
        ({"text": ["x", "y"], "label": ["a", "b"]}, {}, "enough training rows to hold one out"),
        ({"text": ["x", "y"], "label": [["a"], ["b"]]}, {}, "must hold one label a row to build"),
        (
            {"text": [f"x {row}" for row in range(30)], "label": ["a", "b"] * 15},
            {"classifier": "trained"},
            r"labels of the dataset, \['a', 'b'\], got",
        ),
        (
            {"text": [f"x {row}" for row in range(30)], "label": ["a", "b"] * 15},
            {"budget": "1s"},
            "`budget` must be at least 1min for the shortest plan",
        ),
    ],
)
def test_input_that_cannot_be_built_from_is_refused(rows, options, message, trained, tmp_path):
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    options = {name: trained if name == "classifier" else value for name, value in options.items()}
    with pytest.raises(ValueError, match=message):
        build(DataOptions(str(tmp_path / "rows.parquet")), BuildOptions(str(tmp_path), **options))
    assert not (tmp_path / "build.json").exists()


def test_a_full_disk_is_named(source, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build_steps, "train_text_localizer", fail)
    with pytest.raises(OSError, match=r"the disk of .*out is full"):
        build(DataOptions(source), BuildOptions(str(tmp_path / "out")))


def test_two_builds_cannot_share_a_folder(source, tmp_path, monkeypatch):
    data, options = DataOptions(source), BuildOptions(str(tmp_path / "out"))
    monkeypatch.setattr(building, "_build", lambda *_: build(data, options))
    monkeypatch.setattr(building.PartialState(), "num_processes", 1, raising=False)
    with pytest.raises(ValueError, match="must not be that of a running training"):
        build(data, options)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of 24 pictures of two colours, and builds of one epoch."""
    monkeypatch.setattr(defaults, "IMAGES_BELOW", {10**9: Defaults(1, batch_size=16)})
    monkeypatch.setattr(build_steps, "EXPLAINED", 2)
    colours = [(220, 40, 30), (30, 60, 220)]
    for row in range(24):
        path = tmp_path / "photos" / "train" / ["red", "blue"][row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (110, 100 + row), colours[row % 2]).save(path)
    return DataOptions(str(tmp_path / "photos"))


@pytest.mark.slow
def test_a_classifier_of_pictures_is_adapted_to_patches(photos, image_classifier_folder, tmp_path):
    content = build(photos, BuildOptions(str(tmp_path / "out"), image_classifier_folder))
    assert content["steps"]["calibration"]["result"]["classifier"] == "adapted"
    assert {"localizer", "classifier"} <= set(content["measured"]["compared"])


@pytest.mark.slow
def test_a_network_of_mobile_blocks_is_started_from_and_teaches(photos, tmp_path):
    folder = save_mobile_network(tmp_path / "mobile", ["blue", "red"], side=64)
    content = build(photos, BuildOptions(str(tmp_path / "out"), folder))
    assert content["plan"]["start"]
    assert content["plan"]["teach"]
    learned = json.loads((tmp_path / "out/steps/localizer/training.json").read_text("utf-8"))
    assert learned["options"]["backbone"] == learned["options"]["teacher"] == folder
    localizer = AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert localizer.config.hidden_act == "relu6"


def test_pictures_are_built_with_the_same_code(photos, tmp_path):
    content = build(photos, BuildOptions(str(tmp_path / "out")))
    learned = json.loads((tmp_path / "out/steps/localizer/training.json").read_text("utf-8"))
    assert learned["options"]["from_localizer"] == str(DEFAULT_IMAGE_LOCALIZER)
    assert " --from-localizer default " in learned["command"]
    assert content["measured"]["compared"]["linear model"]["accuracy"] == 1.0
    assert "<img" in (tmp_path / "out" / "report.html").read_text("utf-8")


@pytest.mark.parametrize("dry_run", [False, True])
def test_broken_pictures_of_all_splits_are_named_before_a_training(photos, tmp_path, dry_run):
    test = tmp_path / "photos" / "test" / "red"
    test.mkdir(parents=True)
    for name in ("torn.png", "text.jpg"):
        (test / name).write_bytes(b"no picture")
    options = BuildOptions(str(tmp_path / "out"), dry_run=dry_run)
    with pytest.raises(ValueError, match=r"got 2 that .* split test: ") as caught:
        build(photos, options)
    assert "torn.png" in str(caught.value)
    assert "text.jpg" in str(caught.value)


def test_labels_are_checked_before_pictures(photos, tmp_path):
    test = tmp_path / "photos" / "test" / "red"
    test.mkdir(parents=True)
    (test / "torn.png").write_bytes(b"no picture")
    other = replace(photos, label_column="kind")
    with pytest.raises(ValueError, match="`label_column` must be a column of the dataset"):
        build(other, BuildOptions(str(tmp_path / "out"), dry_run=True))


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("sets/my news.csv", "my_news"),
        ("stanfordnlp/imdb", "imdb"),
        ("s3://bucket/{split}-*.parquet", "bucket"),
        ("*.csv", "rows"),
    ],
)
def test_a_dataset_has_a_short_name(dataset, name):
    assert name_data(dataset) == name
