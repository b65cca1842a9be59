"""Cards report measured numbers only."""

import json
import re
from pathlib import Path

import pytest
from datasets import Dataset
from huggingface_hub import ModelCard
from PIL import Image

import hf_anchornet
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.publishing import card as cards
from hf_anchornet.publishing.card import MARK, CardSources, make_card, write_card
from hf_anchornet.publishing.card_results import (
    QUALITIES,
    list_explanations,
    list_results,
    list_speed_ups,
    name_gaps,
)
from hf_anchornet.publishing.training_card import document_training

ROOT = Path(__file__).parents[2]
CASCADES = sorted((ROOT / "model_cards").glob("*_cascade.md"))
MODELS = sorted((ROOT / "model_cards").glob("*r.md"))
SHIPPED = [*MODELS, *CASCADES]
RESULTS = {
    path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "results").glob("*.json")
}
TEXT_REPORT = {
    "split": "test",
    "localizer": {"accuracy": 0.91234},
    "classifiers": {"spans": {"accuracy": 0.88}},
}
SPEED_REPORT = {
    "settings": {"dataset": "sets/imdb", "split": "test", "cascades": ["cascade=runs/cascade"]},
    "hardware": "2 processors",
    "methods": {
        name: {
            "stages": stages,
            "times": [{"threads": 1, "batch_size": 8, "speed_up": {"median": speed_up}}],
        }
        for name, stages, speed_up in [
            ("full", {}, 1.0),
            ("head", {"cut": 1.0}, 3.0),
            ("spans", {"localize": 0.5, "classify": 0.5}, 4.25),
            ("cascade", {}, 9.5),
        ]
    },
}
EVALUATION = {
    "explanations": {
        "settings": {"dataset": "sets/rationales", "split": "test"},
        "explainers": {
            "evidence": {
                "plausibility": {"pointing": 0.7, "token_auprc": 0.4, "marked_share": 0.1},
                "faithfulness": {"rationale": {"comprehensiveness": 0.9, "sufficiency": -0.02}},
            }
        },
    }
}
TRAINING = {
    "best": {"epoch": 3, "accuracy": 0.8125, "loss": 0.3},
    "data": {
        "dataset": "reviews",
        "train_split": "train",
        "validation_split": "dev",
        "num_rows": 1200,
        "reading": "whole inputs",
        "license": "cc-by-4.0",
    },
}


def collect_numbers(value):
    """All numbers in a JSON file, formatted as in `model-index` and tables."""
    if isinstance(value, dict):
        return {shown for item in value.values() for shown in collect_numbers(item)}
    if isinstance(value, list):
        return {shown for item in value for shown in collect_numbers(item)}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return set()
    value = abs(value)  # signs are ignored
    shown = {f"{value:.{digits}f}" for digits in range(5)} | {f"{value:,.0f}", f"{value:.1e}"}
    return shown | {str(round(value, 4)), f"{value / 1e6:.1f}", f"{value:,.1f}"}


def find_numbers(text):
    number = r"(?<![\w.:,])(?<![A-Za-z]-)(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e-\d+)?(?!\w)"
    return set(re.findall(number, text))


def test_there_is_a_card_for_each_shipped_model():
    assert len(SHIPPED) == 5


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_number_in_a_shipped_card_comes_from_a_json_file_or_its_template(path):
    template = path.with_name(f"{path.stem}_template.md").read_text("utf-8")
    fixed = find_numbers(re.sub(r"{[{%].*?[%}]}", "", template) + cards.CITATION)
    assert not {number for number in fixed if "." in number} - {"0.5", "2110.03072"}, (
        "typed by hand?"
    )
    known = collect_numbers(RESULTS) | {"35", "67", "83", "1", "2", "3", "5"}
    if path in CASCADES:
        settings = Path(hf_anchornet.__file__).parent / "default" / path.stem / "cascade.json"
        known |= collect_numbers(json.loads(settings.read_text("utf-8")))
    assert find_numbers(path.read_text("utf-8")) - fixed <= known


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_results_of_a_shipped_model_are_those_of_its_json_files(path):
    modality, kind = path.stem.split("_")
    card = ModelCard.load(path)
    reading = {"text": "spans", "image": "patches"}[modality] if kind == "classifier" else ""
    speed = RESULTS.get({"text": "speed_imdb", "image": "speed_fod_a"}[modality])
    expected = list_results(modality, RESULTS[modality], reading, "imdb")
    if not reading:
        if speed["settings"]["localizer"] == f"hf_anchornet/default/{path.stem}":
            expected += list_speed_ups(modality, speed)
        for name in {"text": ("imdb_rationales", "movie_rationales"), "image": ("fod_a",)}[
            modality
        ]:
            if f"evidence_{name}" in RESULTS:
                expected += list_explanations(modality, RESULTS[f"evidence_{name}"])
    assert sorted(row.metric_value for row in card.data.eval_results) == sorted(
        row.metric_value for row in expected
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_card_has_the_required_parts(path):
    card = ModelCard.load(path)
    assert card.data.license == "apache-2.0"
    for part in ("```python", "## Limits", "## Citation", "licence"):
        assert part in card.text
    assert name_gaps(card.data.eval_results) in card.text


def test_the_card_of_a_trained_folder_is_made_from_its_json_files(localizer_folder):
    folder = Path(localizer_folder)
    (folder / "training.json").write_text(json.dumps(TRAINING))
    write_card(folder)
    card = ModelCard.load(folder / "README.md")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.8125)
    assert (result.dataset_name, result.dataset_split) == ("reviews", "dev")
    assert "reviews (split `train`, 1,200 rows)" in card.text
    assert "cc-by-4.0" in card.text
    assert "Not measured: plausibility, faithfulness, speed-up." in card.text
    assert "windows of 1 tokens" in card.text
    known = collect_numbers(TRAINING) | find_numbers(cards.CITATION) | {"1"}
    parameters = re.search(r"([\d,]+) parameters", card.text)[1]
    assert find_numbers(card.content) <= known | {parameters}


def test_a_card_without_sources_reports_everything_as_not_measured(localizer_folder):
    card = make_card(localizer_folder)
    assert card.data.eval_results is None
    assert card.data.license is None
    assert "Not recorded with the model." in card.text
    assert "Not measured: accuracy, plausibility, faithfulness, speed-up." in card.text


def test_speed_ups_are_shown_with_their_hardware(localizer_folder):
    sources = CardSources("user/reviews", TEXT_REPORT, "", SPEED_REPORT, EVALUATION, license="mit")
    card = make_card(localizer_folder, sources)
    found = {(row.metric_type, row.metric_value) for row in card.data.eval_results}
    assert found == {
        ("accuracy", 0.9123),
        ("pointing", 0.7),
        ("token_auprc", 0.4),
        ("comprehensiveness", 0.9),
        ("sufficiency", -0.02),
        ("speed_up", 4.25),
        ("speed_up", 9.5),
    }
    assert "(cascade, batch 8, threads: 1, 2 processors) | imdb, test | 9.5000 |" in card.text
    assert "(chosen words cut) | rationales, test | 0.9000 |" in card.text
    assert "Not measured" not in card.text
    assert card.data.model_name == "reviews"


def test_an_evaluation_without_the_models_own_evidence_is_refused():
    with pytest.raises(ValueError, match=r'with the explainer "evidence", got one with \[\'lime'):
        list_explanations("text", {"explanations": {"explainers": {"lime": {}}}})
    with pytest.raises(ValueError, match=r"got one with \['num_rows', 'split'\]; evaluate the"):
        list_explanations("text", {"split": "test", "num_rows": 5})


def test_the_card_of_a_classifier_shows_its_own_results(classifier_folder):
    card = make_card(classifier_folder, CardSources(results=TEXT_REPORT, reading="spans"))
    assert [row.metric_value for row in card.data.eval_results] == [0.88]
    assert 'pipeline("text-classification"' in card.text
    assert "How to read the evidence" not in card.text


def test_an_image_localizer_and_a_cascade_are_described(
    image_localizer_folder, text_cascade, tmp_path
):
    sources = CardSources(results=RESULTS["image"], picture="patches.png")
    card = make_card(image_localizer_folder, sources)
    assert "windows of 8 px" in card.text
    assert "](patches.png)" in card.text
    assert {row.dataset_name for row in card.data.eval_results} == {"fod_a"}
    text_cascade.save_pretrained(tmp_path / "cascade")
    assert "Cascade.from_pretrained" in make_card(tmp_path / "cascade").text


def test_the_glance_of_a_cascade_is_described(glance_cascade, tmp_path):
    glance_cascade.save_pretrained(tmp_path / "cascade")
    text = " ".join(make_card(tmp_path / "cascade").text.split())
    assert "a classifier answers from the whole image, made small, where it is confident" in text


@pytest.mark.parametrize(
    ("report", "reading", "message"),
    [
        (TEXT_REPORT, "head", r"`reading` must be .*\['spans'\], got 'head'"),
        ({"sets": {}}, "", r"`results` must be the JSON of `make bench-text`"),
    ],
)
def test_results_of_another_model_are_refused(localizer_folder, report, reading, message):
    with pytest.raises(ValueError, match=message):
        make_card(localizer_folder, CardSources(results=report, reading=reading))


def test_a_handwritten_card_is_kept(localizer_folder):
    readme = Path(localizer_folder, "README.md")
    readme.write_text("# Handwritten")
    write_card(localizer_folder)
    assert readme.read_text() == "# Handwritten"
    readme.write_text(MARK)
    write_card(localizer_folder)
    assert "# localizer" in readme.read_text()


def test_every_metric_of_the_results_has_a_quality():
    assert {kind for kind, _ in QUALITIES.values()} == {
        "accuracy",
        "plausibility",
        "faithfulness",
        "speed-up",
    }


def test_training_records_its_data_without_local_paths(localizer_folder, tmp_path):
    class Accelerator:
        is_main_process = True

        def wait_for_everyone(self):
            """There is one process only."""

    (tmp_path / "sets" / "reviews").mkdir(parents=True)
    rows = Dataset.from_dict({"text": ["good", "bad"]})
    rows.info.license = "mit"
    report = document_training(
        {"options": {"output_dir": localizer_folder}, "best": {"accuracy": 0.5}},
        DataOptions(str(tmp_path / "sets" / "reviews")),
        rows,
        Accelerator(),
        "the full text",
    )
    assert report["data"]["dataset"] == "reviews"
    assert (report["data"]["num_rows"], report["data"]["license"]) == (2, "mit")
    assert json.loads(Path(localizer_folder, "training.json").read_text()) == report
    card = Path(localizer_folder, "README.md").read_text()
    assert str(tmp_path) not in card
    assert "reviews (split `train`, 2 rows)" in card


@pytest.mark.parametrize("kind", ["localizer", "image_localizer", "classifier", "image_classifier"])
def test_the_snippet_of_a_generated_card_runs(kind, request, tmp_path, monkeypatch, capsys):
    folder = Path(request.getfixturevalue(f"{kind}_folder"))
    run_snippet(folder, tmp_path, monkeypatch)
    assert "label" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["text_cascade", "image_cascade", "glance_cascade"])
def test_the_snippet_of_a_card_of_a_cascade_runs(kind, request, tmp_path, monkeypatch, capsys):
    request.getfixturevalue(kind).save_pretrained(tmp_path / "cascade")
    run_snippet(tmp_path / "cascade", tmp_path, monkeypatch)
    assert "stage" in capsys.readouterr().out


def run_snippet(folder, place, monkeypatch):
    """Run the snippet of a folder's card as if the folder were a repository."""
    Image.new("RGB", (40, 40), (200, 90, 90)).save(place / "photo.jpg")
    monkeypatch.chdir(place)
    card = str(make_card(folder, CardSources(repo_id=folder.name)))
    (snippet,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    exec(snippet, {})
