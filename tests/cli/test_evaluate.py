"""`anchornet evaluate`: the cascade of a folder, and the report that stays with the model."""

import json

import pytest
from datasets import Dataset
from huggingface_hub import ModelCard

from hf_anchornet import DEFAULT_TEXT_LOCALIZER
from hf_anchornet.cli.evaluate import report_scores

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def given(tmp_path):
    rows = {"text": ["good film", "bad film"] * 3, "label": ["glad", "sad"] * 3}
    (tmp_path / "data").mkdir()
    Dataset.from_dict(rows).to_parquet(tmp_path / "data" / "test.parquet")
    return {"dataset": str(tmp_path / "data" / "{split}.parquet"), "explainers": []}


@pytest.fixture
def folder(text_cascade, tmp_path):
    """A cascade of the labels of the rows."""
    for model in (text_cascade.localizer.model, text_cascade.reader.model):
        model.config.id2label = {0: "sad", 1: "glad"}
        model.config.label2id = {"sad": 0, "glad": 1}
    text_cascade.save_pretrained(tmp_path / "cascade")
    return tmp_path / "cascade"


def test_the_folder_of_a_cascade_is_evaluated_as_a_cascade(given, folder):
    report = report_scores(given | {"model": str(folder)})
    assert {"localizer", "classifier"} <= set(report)
    assert report["classifier"]["stages"]


def test_the_report_of_a_model_that_was_trained_here_stays_for_its_card(given, folder, tmp_path):
    report_scores(given | {"model": str(folder)})
    assert not (folder / "evaluation.json").exists()  # nobody trained it here
    (folder / "training.json").write_text("{}")
    report = report_scores(given | {"model": str(folder)})
    assert json.loads((folder / "evaluation.json").read_text()) == report
    assert "6 rows" in ModelCard.load(folder / "README.md").text


def test_the_card_of_a_build_keeps_what_the_build_measured(given, folder, caplog):
    (folder / "training.json").write_text("{}")
    measured = json.dumps({"compared": {}})
    (folder / "evaluation.json").write_text(measured)
    report_scores(given | {"model": str(folder)})
    assert (folder / "evaluation.json").read_text() == measured
    assert not (folder / "README.md").exists()
    assert "keeps what its build measured" in caplog.text


def test_no_card_shows_scores_on_training_rows(given, folder, caplog):
    learned = {"dataset": given["dataset"], "train_split": "test"}
    (folder / "training.json").write_text(json.dumps({"data": learned}))
    report_scores(given | {"model": str(folder)})
    assert not (folder / "evaluation.json").exists()
    assert "was trained on these rows" in caplog.text


def test_shipped_models_stay_as_they_are(tmp_path):
    rows = {"text": ["a good film", "a bad film"], "label": ["positive", "negative"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "test.parquet")
    source = str(tmp_path / "{split}.parquet")
    before = sorted(path.name for path in DEFAULT_TEXT_LOCALIZER.iterdir())
    report_scores({"dataset": source, "model": str(DEFAULT_TEXT_LOCALIZER), "explainers": []})
    assert sorted(path.name for path in DEFAULT_TEXT_LOCALIZER.iterdir()) == before


def test_an_output_that_cannot_be_written_is_told_before_any_work(given, folder, tmp_path):
    asked = given | {"model": str(folder)}
    with pytest.raises(ValueError, match="`--output` must be a file, got the folder"):
        report_scores(asked | {"output": str(tmp_path)})
    assert not (folder / "evaluation.json").exists()


def test_only_a_cascade_explains_its_own_answer(given, folder):
    (folder / "cascade.json").unlink()
    with pytest.raises(OSError, match=r'`model` must be .* a cascade to explain its own "answer"'):
        report_scores(given | {"model": str(folder), "explainers": ["answer"]})


def test_nothing_is_written_beside_the_rows_and_explainers_must_fit(given, folder, tmp_path):
    (tmp_path / "rows").mkdir()
    Dataset.from_dict({"text": ["good"], "label": ["glad"]}).to_parquet(tmp_path / "rows/t.parquet")
    rows = {"dataset": str(tmp_path / "rows"), "model": str(folder), "split": "train"}
    for name in ("output", "records"):
        with pytest.raises(ValueError, match=f"`{name}` must lie outside of the folder of the da"):
            report_scores(rows | {name: str(tmp_path / "rows" / "a.parquet")})
    with pytest.raises(
        ValueError, match=r"`explainers` must be among .* for texts, got 'grad_cam'"
    ):
        report_scores(given | {"model": str(folder), "explainers": ["grad_cam"]})
    classifier = str(folder / "classifier")
    with pytest.raises(ValueError, match=r'`model` must be an AnchorNet for "evidence", got .*er;'):
        report_scores(given | {"model": classifier, "explainers": ["lime", "evidence"]})
