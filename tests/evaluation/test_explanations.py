"""Explainers over a split, to one report."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_together
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.explain_split import (
    ExplanationOptions,
    choose_rows,
    draw_rows,
    explain_rows,
)
from hf_anchornet.evaluation.explanations import evaluate_explanations
from hf_anchornet.explain.text_subject import TextSubject

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")

TEXTS = ["a good film", "the film was bad", "good good", " ", "a plot"]
LABELS = ["positive", "negative", "negative", "negative", "negative"]
SPANS = [[[2, 6]], [[13, 16]], [], [], []]
CPU = "cpu"


def make_rows(spans=SPANS):
    features = {"text": Value("string"), "label": Value("string")}
    features["spans"] = List(List(Value("int32")))
    columns = {"text": TEXTS, "label": LABELS, "spans": spans}
    return Dataset.from_dict(columns, features=Features(features))


def make_photos(boxes):
    pictures = [Image.new("RGB", (48, 40), "grey") for _ in boxes]
    for picture in pictures:
        picture.paste((255, 0, 0), (8, 8, 24, 24))
    features = {"image": ImageFeature(), "label": Value("string")}
    features["boxes"] = List(List(Value("int32")))
    columns = {"image": pictures, "label": ["warm"] * len(boxes), "boxes": boxes}
    return Dataset.from_dict(columns, features=Features(features))


def evaluate(model, rows, *explainers, **options):
    chosen = ExplanationOptions(list(explainers or ["evidence"]), **options)
    return evaluate_explanations(model, "test", rows, DataOptions("here"), chosen, CPU)


def test_each_explainer_is_judged_on_what_people_marked(localizer_folder):
    report = evaluate(localizer_folder, make_rows(), "evidence", "occlusion", "random")
    assert report["num_explained"] == 2
    assert report["accuracy"] == 1.0
    for name in ("evidence", "occlusion"):
        row = report["explainers"][name]
        assert row["plausibility"]["pointing"] == 1.0
        assert row["plausibility"]["token_f1"] == 1.0
        faith = row["faithfulness"]["rationale"]
        # Without good or bad both labels are as likely; with only it, it is surer.
        assert faith["comprehensiveness"] > 0.1
        assert faith["sufficiency"] < 0
        assert row["milliseconds"] > 0
    assert report["explainers"]["random"]["times_slower"] > 0
    assert report["settings"]["model"] == localizer_folder


def test_without_marks_only_faithfulness_is_computed_and_that_is_said(localizer_folder, caplog):
    with caplog.at_level(logging.WARNING):
        report = evaluate(localizer_folder, make_rows([[]] * 5))
    assert "no row has parts marked by people in `spans`" in caplog.text
    assert report["num_explained"] == 4  # the blank one is left out
    assert report["explainers"]["evidence"]["plausibility"] is None
    assert report["explainers"]["evidence"]["faithfulness"]["cut"]["comprehensiveness"] > 0


def test_faithfulness_may_be_left_out(localizer_folder):
    report = evaluate(localizer_folder, make_rows(), faithfulness=False)
    assert report["explainers"]["evidence"]["faithfulness"] == {}


def test_records_of_the_same_settings_are_read_and_others_refused(
    localizer_folder, tmp_path, monkeypatch
):
    path = str(tmp_path / "records.parquet")
    made = evaluate(localizer_folder, make_rows(), records=path)

    def fail(*_, **__):
        raise AssertionError("explained again")

    monkeypatch.setattr("hf_anchornet.evaluation.explanations.explain_rows", fail)
    with monkeypatch.context() as patch:
        patch.setattr(TextSubject, "load", fail)  # records need no model
        assert evaluate(localizer_folder, make_rows(), records=path) == made
    with pytest.raises(ValueError, match="records of the same `mass`"):
        evaluate(localizer_folder, make_rows(), records=path, mass=0.9)


def test_records_on_disk_say_the_same_as_those_in_memory(localizer_folder, tmp_path):
    path = str(tmp_path / "records.parquet")
    plain = evaluate(localizer_folder, make_rows(), "random")["explainers"]["random"]
    stored = evaluate(localizer_folder, make_rows(), "random", records=path)["explainers"]["random"]
    assert stored["plausibility"] == plain["plausibility"]
    assert stored["faithfulness"] == plain["faithfulness"]


def test_images_are_judged_by_boxes_for_each_fill(image_localizer_folder):
    rows = make_photos([[[8, 8, 24, 24]], []])
    row = evaluate(image_localizer_folder, rows)["explainers"]["evidence"]
    assert row["plausibility"]["num_images"] == 1
    assert row["plausibility"]["pointing"] == 1.0
    assert set(row["faithfulness"]) == {"blur", "mean", "neighbours"}
    assert row["faithfulness"]["mean"]["comprehensiveness"] > 0


def test_a_bad_span_is_named_with_its_row(localizer_folder):
    with pytest.raises(ValueError, match=r"`spans` in row 1 must hold spans .* got \[13, 99\]"):
        evaluate(localizer_folder, make_rows([[[2, 6]], [[13, 99]], [], [], []]))


def test_a_bad_box_is_named_with_its_row(image_localizer_folder):
    with pytest.raises(
        ValueError, match=r"`boxes` in row 0 must hold boxes .* got \[8, 8, 4, 24\]"
    ):
        evaluate(image_localizer_folder, make_photos([[[8, 8, 4, 24]]]))


def test_scores_that_are_no_numbers_are_refused(localizer_folder, monkeypatch):
    def explain(subject, text, label, method):
        return np.full(len(text.split()), np.nan)

    monkeypatch.setattr(
        "hf_anchornet.evaluation.explain_split._Texts.explain", staticmethod(explain)
    )
    with pytest.raises(ValueError, match="`scores` of evidence must be finite, got nan in row 0"):
        evaluate(localizer_folder, make_rows(), faithfulness=False)


def test_the_same_rows_are_drawn_each_time():
    some = draw_rows(range(100, 150), 7)
    assert some == draw_rows(range(100, 150), 7)
    assert len(set(some)) == 7
    assert some == sorted(some)
    assert draw_rows([3, 5], 0) == draw_rows([3, 5], 9) == [3, 5]


def test_rows_that_people_marked_are_chosen_else_all():
    rows = Dataset.from_dict({"text": ["word", " ", "word", "word"]})
    assert choose_rows(rows, "text", [[], [[0, 1]], [[0, 1]], None]) == [2]
    assert choose_rows(rows, "text", [None] * 4) == [0, 2, 3]
    assert choose_rows(rows, "", [None] * 4) == [0, 1, 2, 3]


def test_examples_of_some_labels_may_be_explained(localizer_folder):
    report = evaluate(localizer_folder, make_rows(), only_labels=["negative"])
    assert report["num_explained"] == 1
    with pytest.raises(ValueError, match=r"`only_labels` must be labels .* got 'neutral'"):
        evaluate(localizer_folder, make_rows(), only_labels=["neutral"])


def test_the_true_label_may_be_explained(localizer_folder):
    # "good good" is called positive, and is labelled negative: its good speaks against that.
    rows = make_rows([[], [], [[0, 4]], [], []])
    predicted = evaluate(localizer_folder, rows)["explainers"]["evidence"]
    true = evaluate(localizer_folder, rows, true_labels=True)["explainers"]["evidence"]
    assert predicted["plausibility"]["chosen_share"] > 0
    assert true["plausibility"]["chosen_share"] == 0
    assert true["faithfulness"]["cut"]["comprehensiveness"] <= 0


def test_examples_with_several_labels_are_explained_by_the_predicted_one(
    planted, tokenizer, tmp_path
):
    planted.config.problem_type = "multi_label_classification"
    planted.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    columns = {"text": TEXTS[:2], "label": [["positive"], ["positive", "negative"]]}
    rows = Dataset.from_dict(columns | {"spans": SPANS[:2]})
    report = evaluate(str(tmp_path), rows)
    assert (report["num_explained"], report["accuracy"]) == (2, None)
    assert report["explainers"]["evidence"]["plausibility"]["pointing"] == 1.0
    with pytest.raises(ValueError, match="`true_labels` must be False for examples with several"):
        evaluate(str(tmp_path), rows, true_labels=True)


def test_the_cost_of_the_first_call_is_not_measured(planted, tokenizer, monkeypatch):
    calls = []

    def explain(subject, text, label, method):
        calls.append(text)
        return np.zeros(len(text.split()))

    monkeypatch.setattr(
        "hf_anchornet.evaluation.explain_split._Texts.explain", staticmethod(explain)
    )
    options = ExplanationOptions(["random"], faithfulness=False)
    subject = TextSubject(planted, tokenizer)
    records = list(explain_rows(subject, make_rows(), DataOptions("here"), options))
    assert calls == [TEXTS[0], TEXTS[0], TEXTS[1]]
    assert [record["row"] for record in records] == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explainers": ["shap"]}, r"`explainers` must be among .*'shapley'.*, got 'shap'"),
        ({"max_explained": -1}, "`max_explained` must be at least 0, got -1"),
        ({"smoothing": -1.0}, "`smoothing` must be at least 0, got -1"),
        ({"smoothing": float("nan")}, "`smoothing` must be at least 0, got nan"),
        ({"mass": 0.0}, r"`mass` must be in \(0, 1\], got 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ExplanationOptions(**options)


def test_the_answer_of_a_cascade_is_judged_beside_its_localizers_evidence(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade")
    rows = make_rows()
    report = evaluate(str(tmp_path / "cascade"), rows, "evidence", "answer", resamples=20)
    assert list(report["explainers"]) == ["evidence", "answer"]
    for row in report["explainers"].values():
        assert row["plausibility"]["pointing"] == 1.0
        assert row["intervals"]["plausibility"]["pointing"] == [1.0, 1.0]


def test_parts_that_a_localizer_proposes_are_judged(localizer_folder, text_cascade, tmp_path):
    text_cascade.reader.save_pretrained(tmp_path / "classifier")
    report = evaluate(
        str(tmp_path / "classifier"), make_rows(), "span_shapley", "sentence_shapley",
        parts_localizer=localizer_folder,
    )  # fmt: skip
    assert report["settings"]["parts_localizer"] == localizer_folder
    assert set(report["explainers"]) == {"span_shapley", "sentence_shapley"}


def test_a_model_that_is_no_cascade_has_no_answer_to_judge(localizer_folder):
    with pytest.raises(OSError, match="cascade"):
        evaluate(localizer_folder, make_rows(), "answer")


def test_options_that_do_not_go_with_a_cascade_or_are_out_of_range_are_refused():
    with pytest.raises(ValueError, match='`calibration_split` must be "" for a cascade'):
        ExplanationOptions(["answer"], calibration_split="validation")
    with pytest.raises(ValueError, match="`resamples` must be at least 0, got -1"):
        ExplanationOptions(resamples=-1)


def test_records_of_other_weights_rows_or_columns_are_refused(
    localizer_folder, planted, tokenizer, tmp_path
):
    path = str(tmp_path / "records.parquet")
    rows = make_rows()
    evaluate(localizer_folder, rows, records=path)
    changed = rows.map(lambda row: {"text": row["text"] + " film"})
    with pytest.raises(ValueError, match="records of the same `rows`"):
        evaluate(localizer_folder, changed, records=path)
    with torch.no_grad():
        planted.anchornet.embeddings.weight[5, 2] += 1
    save_together(Path(localizer_folder), planted, tokenizer)
    with pytest.raises(ValueError, match="records of the same `weights`"):
        evaluate(localizer_folder, rows, records=path)


def test_rows_with_one_of_several_labels_may_be_explained(planted, tokenizer, tmp_path):
    planted.config.problem_type = "multi_label_classification"
    save_together(tmp_path, planted, tokenizer)
    columns = {"text": TEXTS[:2], "label": [["positive"], ["positive", "negative"]]}
    rows = Dataset.from_dict(columns | {"spans": SPANS[:2]})
    assert evaluate(str(tmp_path), rows, only_labels=["negative"])["num_explained"] == 1
