"""Reports hold what an answer depends on, and what was changed in one is found."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_together
from PIL import Image

from hf_anchornet import report_answer, report_classifier, verify

TEXT = "a good film . the café was bad , not a good film"
PATCH_TASK = "patch-localization"


@pytest.fixture
def cascade_folder(text_cascade, tmp_path):
    text_cascade.localizer.model.config.reading_scales = [3]
    text_cascade.save_pretrained(tmp_path / "cascade")
    return str(tmp_path / "cascade")


@pytest.fixture
def photo(tmp_path):
    picture = Image.new("RGB", (96, 64), (60, 60, 60))
    picture.paste((66, 60, 60), (16, 16, 32, 32))
    picture.save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def count_words(texts):
    good = np.array([text.count("good") for text in texts]) / 10
    return np.stack([0.5 - good, 0.5 + good], axis=1)


def test_a_report_on_a_cascade_holds_models_rule_parts_coalitions_and_checks(cascade_folder):
    report = report_answer(TEXT, cascade_folder, exit_threshold=[1.0, 0.0, 0.0])
    assert json.loads(json.dumps(report)) == report
    assert report["input"]["source"] == TEXT
    assert {name: len(model["fingerprint"]) for name, model in report["models"].items()} == {
        "localizer": 64, "classifier": 64
    }  # fmt: skip
    assert report["rule"]["stages"] == ["localizer", 4, 6, "full"]
    explanation = report["answer"]["explanation"]
    count = len(explanation["parts"])
    assert explanation["model"] == "cascade"
    assert len(explanation["coalitions"]) == 2**count
    assert explanation["coalitions"][0] == {"parts": [], "worth": explanation["base"]}
    assert explanation["coalitions"][-1] == {
        "parts": list(range(count)), "worth": explanation["total"]
    }  # fmt: skip
    assert report["checks"]["efficiency"] <= 1e-5
    assert report["checks"]["exact"]
    assert report["checks"]["all_coalitions"]


def test_a_report_is_true_to_the_last_bit(cascade_folder):
    report = report_answer(TEXT, cascade_folder, exit_threshold=1.0)
    assert verify(json.loads(json.dumps(report)), tolerance=0) == []


def test_a_report_on_a_localizer_alone_is_true(localizer_folder):
    report = report_answer(TEXT, localizer_folder)
    assert report["models"]["classifier"] is None
    assert report["rule"] is None
    assert verify(report, tolerance=0) == []


def test_a_report_on_the_shipped_models_is_true():
    report = report_answer("A superb film.", classifier="default", max_tokens=16)
    assert report["answer"]["explanation"]["model"] == "classifier"
    assert verify(report, tolerance=0) == []


def test_a_report_on_a_picture_is_true_from_its_path_or_from_the_picture(
    image_localizer_folder, image_classifier_folder, photo
):
    given = {"classifier": image_classifier_folder, "task": PATCH_TASK, "max_patches": 2}
    named = report_answer(photo, image_localizer_folder, **given)
    assert verify(named, tolerance=0) == []
    with Image.open(photo) as picture:
        shown = report_answer(picture, image_localizer_folder, **given)
        assert shown["input"]["source"] is None
        assert shown["input"]["sha256"] == named["input"]["sha256"]
        assert verify(shown, item=picture, tolerance=0) == []
    with pytest.raises(ValueError, match="`item` must be the image"):
        verify(shown)


@pytest.mark.parametrize("game", ["alone", "in_context"])
def test_a_report_on_a_classifier_is_true(localizer_folder, classifier_folder, game):
    options = {"units": "sentences", "game": game}
    report = report_classifier(classifier_folder, TEXT, localizer_folder, **options)
    assert report["answer"]["game"] == game
    assert report["answer"]["explanation"]["coalitions"]
    assert verify(report, tolerance=0) == []


def test_a_report_on_a_function_needs_the_function(localizer_folder):
    report = report_classifier(count_words, TEXT, localizer_folder, labels=["no", "yes"])
    assert report["models"]["classifier"] is None
    assert verify(report, classifier=count_words, tolerance=0) == []
    with pytest.raises(ValueError, match="`classifier` must be the function"):
        verify(report)


def test_a_report_on_patches_is_true(image_localizer_folder, image_classifier_folder, photo):
    report = report_classifier(
        image_classifier_folder, photo, image_localizer_folder, units="patches"
    )
    assert verify(report, tolerance=0) == []


def test_another_model_in_the_folder_is_found(localizer_folder, planted, tokenizer):
    report = report_answer(TEXT, localizer_folder)
    with torch.no_grad():
        planted.anchornet.embeddings.weight[5, 2] += 1
    save_together(Path(localizer_folder), planted, tokenizer)
    assert any(line.startswith("models.localizer.fingerprint") for line in verify(report))


def test_a_value_that_was_changed_is_found(cascade_folder):
    report = report_answer(TEXT, cascade_folder, exit_threshold=[1.0, 0.0, 0.0])
    report["answer"]["explanation"]["parts"][0]["value"] += 0.01
    lines = verify(report)
    assert any("answer.explanation.parts[0].value" in line for line in lines)
    assert any("base and values miss the total by 0.01" in line for line in lines)


def test_a_worth_and_a_text_that_were_changed_are_found(cascade_folder):
    report = report_answer(TEXT, cascade_folder, exit_threshold=[1.0, 0.0, 0.0])
    report["answer"]["explanation"]["coalitions"][1]["worth"] += 0.01
    assert any("coalitions[1].worth" in line for line in verify(report))
    report["input"]["source"] = TEXT.replace("good", "bad", 1)
    assert any(line.startswith("input.sha256") for line in verify(report))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "`report` must have the format 1 and a known kind, got 2"),
        ({"kind": "guess"}, "got 1 and 'guess'"),
    ],
)
def test_a_report_of_another_form_is_refused(localizer_folder, change, message):
    report = report_answer(TEXT, localizer_folder) | change
    with pytest.raises(ValueError, match=message):
        verify(report)


@pytest.mark.parametrize("report", [{}, {"answer": {}}, [], None])
def test_what_is_no_report_is_refused(report):
    with pytest.raises(ValueError, match="`report` must be made by `report_answer`"):
        verify(report)


def test_models_as_objects_are_refused(planted, localizer_folder):
    with pytest.raises(TypeError, match="`localizer` must be a Hub id or a folder, got AnchorNet"):
        report_answer(TEXT, planted)
    with pytest.raises(TypeError, match="`classifier` must be a Hub id or a folder, got int"):
        report_classifier(3, TEXT, localizer_folder)


def test_checks_that_were_changed_are_found(localizer_folder):
    report = report_answer(TEXT, localizer_folder)
    report["checks"] |= {"exact": not report["checks"]["exact"], "num_coalitions": 999}
    names = [line.partition(":")[0] for line in verify(report, tolerance=0)]
    assert names == ["checks.exact", "checks.num_coalitions"]


def test_a_number_that_is_not_finite_and_a_bad_tolerance_are_refused(localizer_folder):
    report = report_answer(TEXT, localizer_folder)
    for tolerance in (-1, "0", float("nan")):
        with pytest.raises(ValueError, match="`tolerance` must be a number of at least 0, got"):
            verify(report, tolerance=tolerance)
    report["answer"]["score"] = float("nan")
    with pytest.raises(ValueError, match="`report` must hold what JSON can, and finite numbers"):
        verify(report)


def test_a_list_of_inputs_has_no_report(localizer_folder, classifier_folder):
    with pytest.raises(TypeError, match="`item` must be one text or image, got a list"):
        report_answer([TEXT], localizer_folder)
    with pytest.raises(TypeError, match="`item` must be one text or image, got a tuple"):
        report_classifier(classifier_folder, (TEXT, TEXT), localizer_folder)


def test_a_report_on_the_path_of_a_picture_is_true_with_models_and_functions(
    image_localizer_folder, image_classifier_folder, photo
):
    def measure_red(pictures):
        red = [np.asarray(picture)[..., 0].mean() / 255 for picture in pictures]
        return [[share, 1 - share] for share in red]

    named = report_classifier(image_classifier_folder, Path(photo), image_localizer_folder)
    assert verify(named, tolerance=0) == []
    by_function = report_classifier(measure_red, Path(photo), image_localizer_folder)
    assert verify(by_function, classifier=measure_red, tolerance=0) == []


def test_what_a_tokenizer_reads_and_the_size_of_a_full_text_are_part_of_a_report(cascade_folder):
    report = report_answer(TEXT, cascade_folder, exit_threshold=1.0)
    settings = Path(cascade_folder, "cascade.json")
    saved = json.loads(settings.read_text("utf-8"))
    settings.write_text(json.dumps(saved | {"full_size": 9}), "utf-8")
    assert "models.classifier.full_size: null in the report, 9 now" in verify(report)
    settings.write_text(json.dumps(saved), "utf-8")
    assert verify(report, tolerance=0) == []
    config = Path(cascade_folder, "classifier", "tokenizer_config.json")
    told = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps(told | {"model_max_length": 9}), "utf-8")
    assert any(line.startswith("models.classifier.fingerprint") for line in verify(report))


def test_names_of_labels_may_be_an_array_and_a_device_may_be_named(localizer_folder):
    options = {"labels": np.array([0, 1]), "device": torch.device("cpu")}
    report = report_classifier(count_words, TEXT, localizer_folder, **options)
    assert report["answer"]["label"] in ("0", "1")
    assert report["options"]["labels"] == ["0", "1"]
    assert verify(report, classifier=count_words, tolerance=0) == []


def test_an_option_that_json_cannot_hold_is_named_before_the_work(localizer_folder):
    with pytest.raises(ValueError, match="`dtype` must be what JSON can hold for a report"):
        report_answer(TEXT, localizer_folder, dtype=torch.float16)
    with pytest.raises(ValueError, match="`label` must be what JSON can hold for a report"):
        report_classifier(count_words, TEXT, localizer_folder, label=np.int64(1))


@pytest.mark.parametrize(
    "damage", [{"answer": None}, {"answer": {}}, {"input": None}, {"models": {}}, {"options": 3}]
)
def test_a_damaged_report_is_refused(localizer_folder, damage):
    report = report_answer(TEXT, localizer_folder) | damage
    with pytest.raises(ValueError, match="`report` must be whole, as it was made, got one that is"):
        verify(report)


def test_a_function_for_a_report_on_a_named_model_is_refused(localizer_folder, classifier_folder):
    report = report_classifier(classifier_folder, TEXT, localizer_folder)
    with pytest.raises(ValueError, match="`classifier` must be left out for a report on"):
        verify(report, classifier=count_words)


def test_the_task_of_a_report_is_that_of_the_localizer(
    image_localizer_folder, image_classifier_folder, photo
):
    report = report_answer(photo, image_localizer_folder)
    assert report["options"]["task"] == PATCH_TASK
    assert verify(report, tolerance=0) == []
    named = report_classifier(image_classifier_folder, photo, image_localizer_folder)
    assert named["answer"]["units"] == "patches"
    assert verify(named, tolerance=0) == []
