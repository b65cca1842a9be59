"""What `evaluate_models` reports, by hand sums over planted models."""

import json

import pytest
from conftest import relabel
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image
from transformers import AutoModelForSequenceClassification, pipeline

from hf_anchornet.cli.main import main
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.evaluate import EvaluationOptions, evaluate_models
from hf_anchornet.evaluation.explain_split import ExplanationOptions

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")

TEXTS = ["a good film", "the film was bad", "good good", "bad, not good, bad", "a plot"]
LABELS = ["positive", "negative", "negative", "negative", "negative"]
SPANS = [[[2, 6]], [[13, 16]], [], [[0, 3]], []]
NO_EXPLAINERS = ExplanationOptions(explainers=[])
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def reviews(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    columns = {"text": TEXTS, "label": LABELS, "spans": SPANS}
    features = {"text": Value("string"), "label": Value("string")}
    features["spans"] = List(List(Value("int32")))
    for split in ("train", "test"):
        rows = Dataset.from_dict(columns, features=Features(features))
        rows.to_parquet(folder / f"{split}.parquet")
    return DataOptions(str(folder))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    pictures = [Image.new("RGB", (48, 40), "grey") for _ in range(3)]
    for picture, colour in zip(pictures, [RED, BLUE, RED], strict=True):
        picture.paste(colour, (8, 8, 24, 24))
    columns = {
        "image": pictures,
        "label": ["warm", "cold", "cold"],
        "boxes": [[[8, 8, 24, 24]]] * 3,
    }
    features = {"image": ImageFeature(), "label": Value("string")}
    features["boxes"] = List(List(Value("int32")))
    Dataset.from_dict(columns, features=Features(features)).to_parquet(folder / "test.parquet")
    return DataOptions(str(folder))


@pytest.fixture
def classifier(classifier_folder):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    relabel(model, ["positive", "negative"])
    model.save_pretrained(classifier_folder)
    return classifier_folder


def test_a_localizer_is_scored_on_labels_and_its_evidence(localizer_folder, reviews):
    options = EvaluationOptions(localizer_folder, batch_size=2)
    report = evaluate_models(reviews, options, ExplanationOptions())
    # Without a word that counts the first label, negative, is predicted.
    assert (report["split"], report["num_rows"]) == ("test", 5)
    assert report["localizer"] == {
        "accuracy": 4 / 5,
        "macro_f1": pytest.approx((2 * 3 / (3 + 4) + 2 / (2 + 1)) / 2),
    }
    explained = report["explanations"]["explainers"]["evidence"]
    assert explained["plausibility"]["num_documents"] == 3
    assert explained["plausibility"]["pointing"] == 1
    assert "classifier" not in report


def test_without_explainers_there_are_labels_only(localizer_folder, reviews):
    report = evaluate_models(reviews, EvaluationOptions(localizer_folder), NO_EXPLAINERS)
    assert set(report) == {"dataset", "split", "num_rows", "localizer"}


def test_a_plain_classifier_is_explained_but_no_localizer(classifier, reviews):
    options = EvaluationOptions(classifier)
    report = evaluate_models(reviews, options, ExplanationOptions(["random"]))
    assert set(report) == {"dataset", "split", "num_rows", "explanations"}
    assert set(report["explanations"]["explainers"]) == {"random"}
    with pytest.raises(ValueError, match=r'must be an AnchorNet for "evidence"'):
        evaluate_models(reviews, options, ExplanationOptions())
    with pytest.raises(ValueError, match="`classifier` must be left out if `model` is not"):
        evaluate_models(reviews, EvaluationOptions(classifier, classifier), NO_EXPLAINERS)


@pytest.mark.parametrize("threshold", [None, 0.9])
def test_a_classifier_is_scored_as_the_pipeline_answers(
    localizer_folder, classifier, reviews, threshold
):
    exits = {} if threshold is None else {"exit_threshold": threshold}
    options = EvaluationOptions(
        localizer_folder, classifier, max_tokens=6, exit_threshold=[*exits.values()]
    )
    report = evaluate_models(reviews, options, NO_EXPLAINERS)["classifier"]
    localize = pipeline(
        "span-localization", model=localizer_folder, classifier=classifier, max_tokens=6, **exits
    )
    answers = [answer["classifier"] for answer in localize(TEXTS)]
    right = [answer["label"] == label for answer, label in zip(answers, LABELS, strict=True)]
    assert report["accuracy"] == pytest.approx(sum(right) / 5)
    stages = [answer["stage"] for answer in answers]
    assert report["stages"] == {"localizer": stages.count(0) / 5, "6": stages.count(1) / 5}
    assert report["multiply_adds"] > 0
    assert report["full_multiply_adds"] > 0


def test_a_cascade_is_scored_with_its_own_thresholds_or_others(text_cascade, reviews, tmp_path):
    folder = str(tmp_path / "cascade")
    text_cascade.save_pretrained(folder)
    own = evaluate_models(reviews, EvaluationOptions(folder, folder), NO_EXPLAINERS)["classifier"]
    answers = text_cascade(TEXTS)
    spent = [a["cost"]["localizer_multiply_adds"] for a in answers]
    spent += [a["cost"]["classifier_multiply_adds"] for a in answers]
    assert own["multiply_adds"] == pytest.approx(sum(spent) / 5)
    stages = [answer["stage"] for answer in answers]
    assert list(own["stages"]) == ["localizer", "4", "6", "full"]
    assert [*own["stages"].values()] == [stages.count(stage) / 5 for stage in range(4)]
    at_once = EvaluationOptions(folder, folder, exit_threshold=[0.0])
    left = evaluate_models(reviews, at_once, NO_EXPLAINERS)["classifier"]["stages"]
    assert [*left.values()] == [1, 0, 0, 0]


def test_of_a_cascade_that_opens_with_ngrams_each_model_is_scored_on_all_rows(
    ngram_cascade, reviews, tmp_path
):
    folder = str(tmp_path / "cascade")
    ngram_cascade.override(0.0).save_pretrained(folder)
    report = evaluate_models(reviews, EvaluationOptions(folder, folder), NO_EXPLAINERS)
    alone = evaluate_models(reviews, EvaluationOptions(folder), NO_EXPLAINERS)
    assert report["classifier"]["stages"] == {"ngrams": 1, "localizer": 0, "4": 0, "full": 0}
    assert report["classifier"]["multiply_adds"] == 0
    assert report["classifier"]["accuracy"] == report["ngrams"]["accuracy"] == 4 / 5
    assert report["localizer"] == alone["localizer"]
    assert report["localizer"]["accuracy"] == 4 / 5


def test_images_are_scored_on_labels_and_boxes(image_localizer_folder, photos):
    report = evaluate_models(
        photos, EvaluationOptions(image_localizer_folder, batch_size=2), NO_EXPLAINERS
    )
    assert report["localizer"]["accuracy"] == 2 / 3
    assert report["boxes"]["num_located"] == 3
    assert report["boxes"]["pointing"]["localizer"] == 1
    assert "accuracy" not in report["boxes"]


def test_patches_of_images_are_read_alike(image_cascade, photos, tmp_path):
    folder = str(tmp_path / "cascade")
    image_cascade.save_pretrained(folder)
    report = evaluate_models(
        photos, EvaluationOptions(folder, f"{folder}/classifier"), NO_EXPLAINERS
    )
    assert report["classifier"]["stages"] == {"localizer": 0, "1": 1}
    options = EvaluationOptions(folder, f"{folder}/classifier", max_patches=2, exit_threshold=[1.0])
    assert len(evaluate_models(photos, options, NO_EXPLAINERS)["classifier"]["stages"]) == 3


def test_of_a_cascade_that_opens_with_a_glance_each_model_is_scored_on_all_rows(
    glance_cascade, photos, tmp_path
):
    folder = str(tmp_path / "cascade")
    glance_cascade.override([0.0, 1.0, 1.0]).save_pretrained(folder)
    report = evaluate_models(photos, EvaluationOptions(folder, folder), NO_EXPLAINERS)
    alone = evaluate_models(photos, EvaluationOptions(folder), NO_EXPLAINERS)
    assert report["classifier"]["stages"] == {"glance": 1, "localizer": 0, "1": 0, "full": 0}
    spent = glance_cascade.glance.count_multiply_adds((1, 3, 24, 24))
    assert report["classifier"]["multiply_adds"] == spent
    assert report["classifier"]["accuracy"] == report["glance"]["accuracy"]
    assert report["localizer"] == alone["localizer"]


def test_the_command_prints_json_and_nothing_else(localizer_folder, reviews, capsys):
    argv = ["evaluate", "--dataset", reviews.dataset, "--model", localizer_folder]
    assert main([*argv, "--faithfulness", "False"]) == 0
    shown = json.loads(capsys.readouterr().out)
    expected = evaluate_models(reviews, EvaluationOptions(localizer_folder), NO_EXPLAINERS)
    assert shown.items() >= expected.items()
    assert shown["explanations"]["explainers"]["evidence"]["plausibility"]["pointing"] == 1


def test_with_an_output_the_command_writes_json_and_a_table(
    localizer_folder, reviews, capsys, tmp_path
):
    argv = ["evaluate", "--dataset", reviews.dataset, "--model", localizer_folder]
    argv += ["--explainers", "evidence", "random", "--output", str(tmp_path / "new" / "it.json")]
    assert main(argv) == 0
    assert capsys.readouterr().out == ""
    report = json.loads((tmp_path / "new" / "it.json").read_text("utf-8"))
    table = (tmp_path / "new" / "it.md").read_text("utf-8")
    assert list(report["explanations"]["explainers"]) == ["evidence", "random"]
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| evidence", "| random"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"exit_threshold": [0.9]}, "`exit_threshold` must come with a `classifier`"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EvaluationOptions("unused", **options)


def test_a_missing_split_is_named(localizer_folder, reviews):
    with pytest.raises(ValueError, match=r"split `valid` is not in .*\['test', 'train'\]"):
        evaluate_models(reviews, EvaluationOptions(localizer_folder, split="valid"), NO_EXPLAINERS)


def test_rows_of_another_kind_of_labels_are_refused(localizer_folder, reviews, tmp_path):
    listed = {"text": TEXTS, "label": [[label] for label in LABELS]}
    Dataset.from_dict(listed).to_parquet(tmp_path / "test.parquet")
    data = DataOptions(str(tmp_path / "{split}.parquet"))
    with pytest.raises(ValueError, match="`label_column` must hold what the model answers, got"):
        evaluate_models(data, EvaluationOptions(localizer_folder), NO_EXPLAINERS)
    explaining = ExplanationOptions(calibration_split="test")
    with pytest.raises(ValueError, match="`calibration_split` must be another split than `split`"):
        evaluate_models(reviews, EvaluationOptions(localizer_folder), explaining)


def test_thresholds_may_be_given_for_the_cascade_of_a_folder(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path)
    assert EvaluationOptions(str(tmp_path), exit_threshold=[0.5]).thresholds == 0.5
