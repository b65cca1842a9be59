"""Any classifier explained by parts that a localizer proposes: both games, forms, bad input."""

import numpy as np
import pytest
import torch
from conftest import relabel
from datasets import Dataset
from numpy.testing import assert_allclose
from PIL import Image
from shapley_definition import average_over_orders
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    ConvNextImageProcessorPil,
    ViTForImageClassification,
    pipeline,
)

from hf_anchornet import explain_classifier
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.text_localizer import TextLocalizer

TEXT = "a film was good. the film , the film . not a bad bad film ! the café was a film"


def count_words(texts):
    """Positive by "good", negative by "bad", which count for more together."""
    good = np.array([text.count("good") for text in texts])
    bad = np.array([text.count("bad") for text in texts])
    logit = good - bad + 0.5 * (good > 0) * (bad > 0)
    positive = 1 / (1 + np.exp(-2 * logit))
    return np.stack([1 - positive, positive], axis=1)


def shown(probs):
    """Centred logits of probabilities."""
    logits = np.log(probs)
    return logits - logits.mean(axis=-1, keepdims=True)


def values_of(answer):
    return np.array([part["value"] for part in answer["explanation"]["parts"]])


def assert_efficient(answer):
    explanation = answer["explanation"]
    total = explanation["base"] + values_of(answer).sum()
    assert total == pytest.approx(explanation["total"], abs=1e-5)


def test_sentences_alone_are_read_without_the_rest(localizer_folder):
    answer = explain_classifier(
        count_words, TEXT, localizer_folder, units="sentences", max_parts=2, label="1"
    )
    texts = [part["text"] for part in answer["explanation"]["parts"]]
    assert texts == ["a film was good.", "not a bad bad film !"]

    def worth(kept):
        return shown(count_words([" ".join(texts[number] for number in sorted(kept))]))[0, 1]

    assert answer["explanation"]["base"] == pytest.approx(0, abs=1e-9)
    assert_allclose(values_of(answer), average_over_orders(worth, 2), atol=1e-9)
    assert_allclose(values_of(answer), [1.25, -1.75], atol=1e-9)


def test_sentences_in_context_are_left_out_of_the_rest(localizer_folder):
    def length(texts):
        positive = np.array([1 / (1 + np.exp(-len(text.split()) / 50)) for text in texts])
        return np.stack([1 - positive, positive], axis=1)

    both = [
        explain_classifier(
            length, TEXT, localizer_folder, units="sentences", max_parts=2, label="1", game=game
        )
        for game in ("alone", "in_context")
    ]
    alone, in_context = (answer["explanation"] for answer in both)
    # A word is worth 1/100 of a centred logit; the other two sentences have 11.
    assert alone["base"] == pytest.approx(0, abs=1e-9)
    assert in_context["base"] == pytest.approx(0.11, abs=1e-9)
    for answer in both:
        assert_allclose(values_of(answer), [0.04, 0.06], atol=1e-9)
        assert_efficient(answer)


def test_the_label_of_the_full_input_is_explained_by_default(localizer_folder):
    answer = explain_classifier(
        count_words, TEXT, localizer_folder, max_parts=1, max_tokens=4, labels=["bad", "good"]
    )
    assert answer["label"] == answer["explanation"]["label"] == "bad"
    assert answer["score"] == pytest.approx(count_words([TEXT])[0, 0])


@pytest.mark.parametrize("game", ["alone", "in_context"])
@pytest.mark.parametrize("units", ["spans", "sentences", "passages"])
def test_a_transformers_classifier_is_explained_by_its_own_logits(
    localizer_folder, classifier_folder, units, game
):
    options = {"units": units, "game": game, "passage_tokens": 6, "max_tokens": 6, "max_parts": 3}
    answer = explain_classifier(classifier_folder, TEXT, localizer_folder, **options)
    classify = pipeline("text-classification", classifier_folder)
    whole = classify(TEXT)[0]
    assert (answer["label"], answer["units"], answer["game"]) == (whole["label"], units, game)
    assert answer["score"] == pytest.approx(whole["score"], abs=1e-6)
    assert 2 <= len(answer["explanation"]["parts"]) <= 3
    assert_efficient(answer)
    assert answer["explanation"]["error"] == 0.0
    assert answer["cost"]["explanation_multiply_adds"] > 0
    assert answer["cost"]["explanation_passes"] <= 2 ** len(answer["explanation"]["parts"])
    logits = {label["label"]: np.log(label["score"]) for label in classify(TEXT, top_k=None)}
    if game == "in_context":
        total = logits[whole["label"]] - np.mean(list(logits.values()))
        assert answer["explanation"]["total"] == pytest.approx(total, abs=1e-5)


def test_a_model_and_a_function_of_the_same_probabilities_have_the_same_explanation(
    localizer_folder, classifier_folder
):
    classify = pipeline("text-classification", classifier_folder, top_k=None)

    def predict(texts):
        found = [{one["label"]: one["score"] for one in row} for row in classify(texts)]
        return [[row["sad"], row["glad"]] for row in found]

    options = {"units": "sentences", "game": "in_context"}
    model = explain_classifier(classify, TEXT, localizer_folder, **options)
    function = explain_classifier(
        predict, TEXT, localizer_folder, labels=["sad", "glad"], **options
    )
    assert function["label"] == model["label"]
    assert_allclose(values_of(function), values_of(model), atol=1e-4)


def test_a_text_longer_than_the_classifier_reads_is_explained_as_far_as_it_reads(
    localizer_folder, classifier_folder
):
    text = "a good film . " * 60 + "bad " * 100
    for game in ("alone", "in_context"):
        answer = explain_classifier(
            classifier_folder, text, localizer_folder, units="sentences", game=game
        )
        assert_efficient(answer)
        if game == "in_context":
            assert max(part["end"] for part in answer["explanation"]["parts"]) <= 4 * 126


def test_more_parts_than_ten_are_estimated_with_an_error(localizer_folder):
    text = "a good film . the bad film . " * 8
    answer = explain_classifier(
        count_words, text, localizer_folder, units="sentences", max_parts=16, label="1"
    )
    assert len(answer["explanation"]["parts"]) == 16
    assert answer["explanation"]["error"] > 0
    assert_efficient(answer)


def test_a_list_has_a_list_of_answers_and_the_same_call_the_same_answer(localizer_folder):
    first, again = (
        explain_classifier(count_words, [TEXT, "good"], localizer_folder) for _ in range(2)
    )
    assert [one["explanation"] for one in first] == [one["explanation"] for one in again]
    assert len(first) == 2
    assert explain_classifier(count_words, [], localizer_folder) == []


def test_the_shipped_localizer_is_the_default():
    answer = explain_classifier(count_words, "A good film.", labels=["no", "yes"])
    assert answer["label"] == "yes"


@pytest.mark.parametrize("game", ["alone", "in_context"])
@pytest.mark.parametrize("text", ["", " \n "])
@pytest.mark.parametrize("of_function", [False, True])
def test_a_text_without_words_has_no_parts(
    localizer_folder, classifier_folder, text, game, of_function
):
    classifier = count_words if of_function else classifier_folder
    explanation = explain_classifier(classifier, text, localizer_folder, game=game)["explanation"]
    assert explanation["parts"] == []
    assert explanation["base"] == explanation["total"]


def test_patches_of_an_image_are_read_or_not(image_localizer_folder, image_classifier_folder):
    picture = Image.new("RGB", (96, 64), (60, 60, 60))
    picture.paste((90, 60, 60), (16, 16, 32, 32))
    picture.paste((80, 60, 60), (64, 32, 80, 48))
    answer = explain_classifier(
        image_classifier_folder, picture, image_localizer_folder, units="patches", max_parts=2
    )
    assert answer["explanation"]["base"] == 0.0
    assert len(answer["explanation"]["parts"]) == 2
    assert answer["cost"]["explanation_passes"] == 2
    assert_efficient(answer)


def test_a_function_of_images_is_explained(image_localizer_folder):
    def redness(images):
        red = np.array([np.asarray(one)[..., 0].mean() / 255 for one in images])
        return np.stack([1 - red, red], axis=1)

    picture = Image.new("RGB", (96, 64), (60, 60, 60))
    picture.paste((90, 60, 60), (16, 16, 32, 32))
    answer = explain_classifier(
        redness, picture, image_localizer_folder, units="patches", max_parts=1, label="1"
    )
    (part,) = answer["explanation"]["parts"]
    crop = picture.crop(tuple(part["box"].values()))
    assert part["value"] == pytest.approx(shown(redness([crop]))[0, 1], abs=1e-9)


def test_a_multi_label_function_is_explained_by_log_odds(localizer_folder):
    def predict(texts):
        return [[0.9 if "good" in text else 0.5, 0.8] for text in texts]

    answer = explain_classifier(
        predict, "a good film", localizer_folder, multi_label=True, units="sentences"
    )
    assert answer["label"] == "0"
    assert_allclose(values_of(answer), [np.log(9)], atol=1e-6)


def test_a_multi_label_model_is_explained(localizer_folder, text_cascade):
    reader = text_cascade.reader
    reader.model.config.problem_type = "multi_label_classification"
    relabel(reader.model, ["a", "b"])
    classify = pipeline("text-classification", reader.model, tokenizer=reader.tokenizer)
    answer = explain_classifier(classify, TEXT, localizer_folder, units="sentences", label="b")
    assert_efficient(answer)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": "words"}, "`units` must be one of spans, sentences, passages, patches"),
        ({"game": "both"}, "`game` must be one of alone, in_context, got 'both'"),
        ({"max_parts": 0}, "`max_parts` must be a whole number of at least 1"),
        ({"max_parts": 65}, "`max_parts` must be at most 64, got 65"),
        ({"max_tokens": 0}, "`max_tokens` must be a whole number of at least 1"),
        ({"passage_tokens": 1.5}, "`passage_tokens` must be a whole number"),
        ({"units": "patches", "game": "in_context"}, '`game` must be "alone" for patches'),
        ({"units": "patches"}, "`units` must be one of spans, sentences, passages for a localizer"),
        ({"label": "happy"}, r"`label` must be one of the classifier's labels \['0', '1'\]"),
        ({"labels": ["a"]}, r"probabilities of shape \(1, 1\), got \(1, 2\)"),
    ],
)
def test_options_out_of_range_are_refused(localizer_folder, options, message):
    with pytest.raises(ValueError, match=message):
        explain_classifier(count_words, TEXT, localizer_folder, **options)


def test_a_localizer_of_images_proposes_patches(image_localizer_folder, image_classifier_folder):
    models, image = (image_classifier_folder, image_localizer_folder), Image.new("RGB", (40, 40))
    assert explain_classifier(models[0], image, models[1])["units"] == "patches"
    with pytest.raises(ValueError, match='`units` must be "patches" for a localizer of images'):
        explain_classifier(models[0], image, models[1], units="spans")


def test_pictures_are_explained_by_the_shipped_localizer_of_images():
    answer = explain_classifier(
        lambda images: [[0.25, 0.75]] * len(images), Image.new("RGB", (9, 9))
    )
    assert (answer["units"], answer["label"]) == ("patches", "1")


def test_without_parts_an_anchornet_answers_with_its_bias(localizer_folder):
    localizer = TextLocalizer.load(localizer_folder)
    with torch.no_grad():
        localizer.model.aggregation.bias.copy_(torch.tensor([0.5, -1.5]))
    localizer.save_pretrained(localizer_folder)
    answer = explain_classifier(localizer_folder, TEXT, localizer_folder, label="negative")
    assert answer["explanation"]["base"] == 1.0
    assert_efficient(answer)
    empty = explain_classifier(localizer_folder, "", localizer_folder)
    assert (empty["label"], empty["explanation"]["total"]) == ("negative", 1.0)


def test_names_of_labels_are_refused_for_a_model(localizer_folder, classifier_folder):
    with pytest.raises(ValueError, match="`labels` and `multi_label` must be left out for a model"):
        explain_classifier(classifier_folder, TEXT, localizer_folder, labels=["a", "b"])


def test_an_unknown_option_is_refused(localizer_folder):
    message = "`num_samples` is not an option of `explain_classifier`; it knows `units`, "
    with pytest.raises(TypeError, match=message):
        explain_classifier(count_words, TEXT, localizer_folder, num_samples=3)


def test_what_is_no_classifier_is_refused(localizer_folder):
    with pytest.raises(TypeError, match="`classifier` must be a Hub id, a folder"):
        explain_classifier(3, TEXT, localizer_folder)


def test_what_is_no_text_is_refused_with_its_place(localizer_folder):
    with pytest.raises(TypeError, match="`inputs` must be a string, got int"):
        explain_classifier(count_words, 3, localizer_folder)
    with pytest.raises(TypeError, match="item 1 of `inputs` must be a string"):
        explain_classifier(count_words, [TEXT, 3], localizer_folder)


def test_a_cascade_or_its_folder_is_no_single_model(localizer_folder, text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path)
    for cascade in (text_cascade, tmp_path, str(tmp_path)):
        with pytest.raises(ValueError, match="`classifier` must be a single model or a function"):
            explain_classifier(cascade, TEXT, localizer_folder)


def test_no_input_a_column_and_an_array_have_a_list_of_answers(localizer_folder):
    assert explain_classifier(count_words, [], localizer_folder) == []
    rows = Dataset.from_dict({"text": ["a good film", "a bad film"]})
    expected = explain_classifier(count_words, rows["text"][:], localizer_folder)
    for column in (rows["text"], np.array(rows["text"][:]), tuple(rows["text"][:])):
        found = explain_classifier(count_words, column, localizer_folder)
        assert [one["explanation"] for one in found] == [one["explanation"] for one in expected]


def test_what_can_be_read_only_once_is_refused(localizer_folder):
    for localizer in (localizer_folder, "default", None):
        with pytest.raises(TypeError, match="`inputs` must be a text, an image or a list of them"):
            explain_classifier(count_words, iter([TEXT]), localizer)


def test_the_shipped_models_have_a_name():
    answer = explain_classifier("default", "A superb film.", "default")
    assert answer["explanation"]["parts"][0]["text"] == "A superb film."


def test_a_model_with_one_output_is_refused(localizer_folder, classifier_folder):
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    for change in ({"num_labels": 1}, {"problem_type": "regression"}):
        config = BertConfig.from_pretrained(classifier_folder, **change)
        model = BertForSequenceClassification(config)
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
        with pytest.raises(ValueError, match="`classifier` must tell at least two labels apart"):
            explain_classifier(classify, TEXT, localizer_folder)
        with pytest.raises(ValueError, match="`model` must tell at least two labels apart"):
            TextSubject(model, tokenizer)


def test_an_image_processor_that_crops_is_refused(image_localizer_folder, image_classifier_folder):
    model = ViTForImageClassification.from_pretrained(image_classifier_folder)
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 16}, crop_pct=0.8)
    classify = pipeline("image-classification", model=model, image_processor=processor)
    image = Image.new("RGB", (64, 64), "red")
    with pytest.raises(ValueError, match="`classifier` must read the whole image, got a ConvNext"):
        explain_classifier(classify, image, image_localizer_folder)
    processor.crop_pct = 1.0
    assert explain_classifier(classify, image, image_localizer_folder)["explanation"]["parts"]
