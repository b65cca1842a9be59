"""Both pipelines with a cascade, or with a plain classifier and `exit_threshold`."""

import pytest
import transformers
from conftest import relabel
from PIL import Image
from transformers import ViTForImageClassification

from hf_anchornet import PatchLocalizationPipeline, SpanLocalizationPipeline
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.pipeline_anchornet import logger

UNSURE = "good, a film, the bad café film, good bad film"


@pytest.fixture(params=["text", "image"])
def case(request):
    """A maker of pipelines, a cascade of the same localizer, inputs: sure, unsure, empty."""
    cascade = request.getfixturevalue(f"{request.param}_cascade")
    model = cascade.localizer.model
    if request.param == "text":
        made, inputs = SpanLocalizationPipeline, ["good good good", UNSURE, ""]
        given = {"tokenizer": cascade.localizer.tokenizer}
    else:
        red, unsure = Image.new("RGB", (96, 64), "red"), Image.new("RGB", (96, 64), (60, 60, 60))
        unsure.paste((66, 60, 60), (16, 16, 32, 32))
        made, inputs = PatchLocalizationPipeline, [red, unsure, Image.new("RGB", (40, 40))]
        given = {"image_processor": cascade.localizer.processor}
    return lambda **options: made(model=model, **given, **options), cascade, inputs


def assert_answers_of(cascade, answers, inputs):
    for answer, expected in zip(answers, cascade(inputs), strict=True):
        cost, score = expected.pop("cost"), expected.pop("score")
        assert answer["classifier"].items() >= expected.items()
        assert answer["classifier"]["score"] == pytest.approx(score, rel=1e-5)
        cost.pop("milliseconds")
        assert answer["cost"].pop("milliseconds") > 0
        assert answer["cost"].items() >= cost.items()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_cascade_answers_in_the_place_of_the_classifier(case, batch_size):
    make, cascade, inputs = case
    answers = make(classifier=cascade)(inputs, batch_size=batch_size)
    assert_answers_of(cascade, answers, inputs)


def test_the_folder_of_a_cascade_will_do(case, tmp_path):
    make, cascade, inputs = case
    cascade.save_pretrained(tmp_path)
    for folder in (tmp_path, str(tmp_path)):
        assert_answers_of(cascade, make(classifier=folder)(inputs), inputs)


def test_exit_threshold_overrides_that_of_the_cascade(case):
    make, cascade, inputs = case
    for threshold in (0.0, [1.0, 0.0, 0.0]):
        expected = cascade.override(threshold)
        assert_answers_of(
            expected, make(classifier=cascade)(inputs, exit_threshold=threshold), inputs
        )
        assert_answers_of(
            expected, make(classifier=cascade, exit_threshold=threshold)(inputs), inputs
        )


def test_what_is_shown_is_as_without_a_cascade(case):
    make, cascade, inputs = case
    for answer, plain in zip(make(classifier=cascade)(inputs), make()(inputs), strict=True):
        for key in {"label", "score", "spans", "patches", "coverage"} & set(plain):
            assert answer[key] == plain[key]


def test_with_exit_threshold_a_plain_classifier_reads_only_what_is_in_doubt(case):
    make, cascade, inputs = case
    plain = make(classifier=give_classifier(cascade))
    without, with_exits = plain(inputs[:2]), plain(inputs[:2], exit_threshold=0.9)
    assert [answer["classifier"]["stage"] for answer in without] == [1, 1]
    assert [answer["classifier"]["stage"] for answer in with_exits] == [0, 1]


def give_classifier(cascade):
    """The classifier of a cascade as the pipeline of its task."""
    from transformers import ImageClassificationPipeline, TextClassificationPipeline

    reader = cascade.reader
    if hasattr(reader, "tokenizer"):
        return TextClassificationPipeline(model=reader.model, tokenizer=reader.tokenizer)
    return ImageClassificationPipeline(model=reader.model, image_processor=reader.processor)


def test_the_text_that_was_read_is_told(text_cascade):
    localizer = text_cascade.localizer
    localize = SpanLocalizationPipeline(
        model=localizer.model, tokenizer=localizer.tokenizer, classifier=text_cascade
    )
    read = [answer["classifier"]["text"] for answer in localize(["good good good", UNSURE, ""])]
    assert read == ["", UNSURE, ""]


# Bad input


def test_exit_threshold_without_a_classifier_is_refused(case):
    make, _, inputs = case
    message = r"`exit_threshold` must come with a `classifier`, got 0\.5"
    with pytest.raises(ValueError, match=message):
        make(exit_threshold=0.5)
    with pytest.raises(ValueError, match=message):
        make()(inputs[0], exit_threshold=0.5)


@pytest.mark.parametrize("threshold", [1.5, [0.5]])
def test_a_bad_threshold_is_refused_at_construction_and_at_the_call(case, threshold):
    make, cascade, inputs = case
    message = r"`exit_threshold` must be a number in \[0, 1\] or one for each of the first 3"
    with pytest.raises(ValueError, match=message):
        make(classifier=cascade, exit_threshold=threshold)
    with pytest.raises(ValueError, match=message):
        make(classifier=cascade)(inputs[0], exit_threshold=threshold)


def test_a_budget_next_to_a_cascade_is_refused(case):
    make, cascade, inputs = case
    localize = make(classifier=cascade)
    message = rf"`{localize.budget_name}` must be left out with a cascade, got 8; its stages are"
    with pytest.raises(ValueError, match=message):
        localize(inputs[0], **{localize.budget_name: 8})


def test_a_classifier_of_other_labels_is_refused_with_exits_only(case):
    make, cascade, inputs = case
    relabel(cascade.reader.model, ["sad", "glad"])
    localize = make(classifier=give_classifier(cascade))
    assert localize(inputs[1])["classifier"]["label"] in ("sad", "glad")
    with pytest.raises(ValueError, match="`classifier` must have the labels of the localizer"):
        localize(inputs[1], exit_threshold=0.9)


def test_a_cascade_of_the_other_modality_is_refused(text_cascade, image_cascade):
    with pytest.raises(ValueError, match="`classifier` must"):
        SpanLocalizationPipeline(
            model=text_cascade.localizer.model,
            tokenizer=text_cascade.localizer.tokenizer,
            classifier=image_cascade,
        )


@pytest.mark.parametrize("source", [None, 3, "no/such/place", "x" * 200])
def test_what_is_no_folder_or_id_is_no_cascade(source):
    assert find_cascade(source) is None


@pytest.mark.parametrize("limits", [{"iou_threshold": 0.0}, {"iou_threshold": 1.0}])
def test_a_plain_classifier_reads_the_same_patches_whatever_the_confidence(
    planted_image_model, image_processor, image_classifier_folder, limits
):
    classifier = ViTForImageClassification.from_pretrained(image_classifier_folder)
    relabel(classifier, ["cold", "warm"])
    localize = PatchLocalizationPipeline(
        model=planted_image_model,
        image_processor=image_processor,
        classifier=classifier,
        max_patches=3,
        explain_answer=True,
    )
    image = Image.effect_noise((96, 64), 90).convert("RGB")
    image.paste("red", (0, 0, 40, 64))
    every, doubtful = localize(image, **limits), localize(image, exit_threshold=1.0, **limits)
    boxes = [
        [part["box"] for part in answer["explanation"]["parts"]] for answer in (every, doubtful)
    ]
    assert len(boxes[0]) == 3
    assert boxes[0] == boxes[1]


def test_a_warning_tells_of_a_cascade_whose_localizer_answers_alone(
    text_cascade, tmp_path, monkeypatch
):
    told = []
    monkeypatch.setattr(logger, "warning", lambda message, *values: told.append(message % values))
    text_cascade.save_pretrained(tmp_path)
    transformers.pipeline("span-localization", model=str(tmp_path))
    assert told == [
        f"{tmp_path} is the folder of a cascade, whose localizer answers alone here: pass it as "
        "`classifier`, too, or load it with `hf_anchornet.load`"
    ]
    transformers.pipeline("span-localization", model=str(tmp_path), classifier=str(tmp_path))
    assert len(told) == 1
