"""Explanations of both pipelines' answers against their definition, recomputed by other means."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import relabel
from numpy.testing import assert_allclose
from PIL import Image
from shapley_definition import average_over_orders

from hf_anchornet import PatchLocalizationPipeline, SpanLocalizationPipeline
from hf_anchornet.model.explanation import batch_pieces
from hf_anchornet.model.text_long import LONG_TEXT_CHARACTERS
from hf_anchornet.model.text_words import Words

UNSURE = "good, a film, the bad café film, good bad film"
SURE = "good good good"


def values_of(explanation):
    return np.array([part["value"] for part in explanation["parts"]])


def assert_efficient(explanation):
    """Base and values sum to the total."""
    total = explanation["base"] + values_of(explanation).sum()
    assert total == pytest.approx(explanation["total"], abs=1e-5)


def paint(background, *squares):
    """A picture of 96 x 64 px with squares of 16 px in it, by colour and corner."""
    picture = Image.new("RGB", (96, 64), background)
    for color, (x, y) in squares:
        picture.paste(color, (x, y, x + 16, y + 16))
    return picture


PICTURE = paint((60, 60, 60), ((66, 60, 60), (16, 16)), ((64, 60, 60), (64, 32)))


@pytest.fixture(params=["text", "image"])
def case(request):
    """A maker of pipelines, a cascade, an input that the localizer answers and one in doubt."""
    cascade = request.getfixturevalue(f"{request.param}_cascade")
    model = cascade.localizer.model
    if request.param == "text":
        given = {"tokenizer": cascade.localizer.tokenizer}
        return (
            lambda **more: SpanLocalizationPipeline(model, **given, **more),
            cascade,
            SURE,
            UNSURE,
        )
    given = {"image_processor": cascade.localizer.processor}
    make = lambda **more: PatchLocalizationPipeline(model, **given, **more)  # noqa: E731
    return make, cascade, paint("red"), PICTURE


# Whoever answers


def test_without_being_asked_an_answer_has_no_explanation(case):
    make, cascade, _, unsure = case
    answer = make(classifier=cascade)(unsure)
    assert "explanation" not in answer
    assert not any(name.startswith("explanation") for name in answer["cost"])


def test_the_explanation_adds_up_to_the_answer_of_the_cascade(case):
    make, cascade, _, unsure = case
    answer = make(classifier=cascade, explain_answer=True)(unsure)
    explanation = answer["explanation"]
    assert (explanation["model"], explanation["unit"]) == ("cascade", "probability")
    assert explanation["label"] == answer["classifier"]["label"]
    assert explanation["total"] == answer["classifier"]["score"]
    assert explanation["error"] == 0.0
    assert_efficient(explanation)


def test_an_input_that_the_localizer_answers_is_explained_by_the_localizer(case):
    make, cascade, sure, _ = case
    with_cascade = make(classifier=cascade, explain_answer=True)(sure)
    alone = make(explain_answer=True)(sure)
    assert with_cascade["classifier"]["stage"] == 0
    assert with_cascade["explanation"] == alone["explanation"]
    assert (alone["explanation"]["model"], alone["explanation"]["unit"]) == ("localizer", "logit")
    assert_efficient(alone["explanation"])


def test_a_plain_classifier_is_explained_by_its_logit(case):
    make, cascade, _, unsure = case
    plain = make(classifier=give_classifier(cascade), explain_answer=True)
    answer = plain(unsure)
    explanation = answer["explanation"]
    assert (explanation["model"], explanation["unit"]) == ("classifier", "logit")
    assert explanation["label"] == answer["classifier"]["label"]
    # Of two labels, the probability is that of twice the centred logit.
    score = 1 / (1 + np.exp(-2 * explanation["total"]))
    assert score == pytest.approx(answer["classifier"]["score"], abs=1e-6)
    assert_efficient(explanation)


def give_classifier(cascade):
    """The classifier of a cascade as a pipeline."""
    kind = cascade.reader.kind
    return kind.pipeline_class(
        model=cascade.reader.model, **{kind.processor_name: cascade.reader.processor}
    )


def test_a_list_is_explained_one_by_one_and_the_same_to_the_last_bit(case):
    make, cascade, sure, unsure = case
    localize = make(classifier=cascade, explain_answer=True)
    first, again = localize([sure, unsure]), localize([sure, unsure])
    assert [one["explanation"] for one in first] == [one["explanation"] for one in again]
    assert [one["explanation"]["model"] for one in first] == ["localizer", "cascade"]


def test_an_explanation_is_for_the_answered_label_whatever_is_shown(case):
    make, cascade, _, unsure = case
    shown = list(cascade.labels)
    answer = make(classifier=cascade, explain_answer=True)(unsure, labels=shown)
    assert (
        answer["explanation"]
        == make(classifier=cascade)(unsure, explain_answer=True)["explanation"]
    )


def test_the_cost_of_an_explanation_is_told_apart_from_that_of_the_answer(case):
    make, cascade, _, unsure = case
    localize = make(classifier=cascade)
    plain, told = localize(unsure)["cost"], localize(unsure, explain_answer=True)["cost"]
    assert told["classifier_multiply_adds"] == plain["classifier_multiply_adds"]
    passes, adds = told["explanation_passes"], told["explanation_multiply_adds"]
    assert (adds > 0) == (passes > 0)
    assert set(told) - set(plain) == {
        "explanation_passes", "explanation_multiply_adds", "explanation_milliseconds"
    }  # fmt: skip


# Texts


def test_spans_of_a_cascade_have_the_shares_of_its_probability(text_cascade):
    """All coalitions of the spans of one stage, by the models themselves."""
    cascade = text_cascade.override([0.9, 0.0, 0.0])  # the first reading answers
    localize = SpanLocalizationPipeline(
        cascade.localizer.model, tokenizer=cascade.localizer.tokenizer, classifier=cascade
    )
    answer = localize("good , a bad film , the good bad", explain_answer=True)
    explanation = answer["explanation"]
    text = "good , a bad film , the good bad"
    texts = [part["text"] for part in explanation["parts"]]
    assert len(texts) > 1
    assert " ".join(texts) == answer["classifier"]["text"]
    label = cascade.labels.index(explanation["label"])
    (located,) = cascade.localizer.read([text]).locate()
    logits = cascade.localizer.read([text]).logits[0].double()
    words = Words.split(text)

    def worth(kept):
        opening = logits.clone()
        for number, part in enumerate(explanation["parts"]):
            if number not in kept:
                inside = (words.starts >= part["start"]) & (words.ends <= part["end"])
                opening -= torch.from_numpy(located.attribution[inside].sum(axis=0))
        probs = opening.softmax(dim=-1)
        if kept:
            read = " ".join(texts[number] for number in sorted(kept))
            inputs = cascade.reader.tokenizer(read, return_tensors="pt")
            with torch.no_grad():
                own = cascade.reader.model(**inputs).logits[0].softmax(dim=-1)
            probs = (probs + own[cascade.order]) / 2
        return float(probs[label])

    everything = frozenset(range(len(texts)))
    assert explanation["base"] == pytest.approx(worth(frozenset()), abs=1e-6)
    assert explanation["total"] == pytest.approx(worth(everything), abs=1e-6)
    expected = average_over_orders(worth, len(texts))
    assert_allclose(values_of(explanation), expected, rtol=0, atol=1e-6)
    assert answer["cost"]["explanation_passes"] == 2 ** len(texts) - 2


def test_spans_of_a_text_that_was_read_in_full_are_left_out_of_the_text(text_cascade):
    localize = SpanLocalizationPipeline(
        text_cascade.localizer.model,
        tokenizer=text_cascade.localizer.tokenizer,
        classifier=text_cascade,
    )
    text = "film film good film film film bad film film film"
    answer = localize(text, exit_threshold=[1.0, 1.0, 1.0], explain_answer=True)
    assert answer["classifier"]["text"] == text
    explanation = answer["explanation"]
    assert 1 <= len(explanation["parts"]) <= 6
    assert all(text[part["start"] : part["end"]] == part["text"] for part in explanation["parts"])
    assert_efficient(explanation)


def test_the_total_of_a_text_that_is_too_long_for_the_classifier_is_the_answer(text_cascade):
    localize = SpanLocalizationPipeline(
        text_cascade.localizer.model,
        tokenizer=text_cascade.localizer.tokenizer,
        classifier=text_cascade,
    )
    text = "a good film . the film was bad . " + "xylophone film " * 60 + "good"
    answer = localize(text, exit_threshold=1.0, explain_answer=True)
    explanation = answer["explanation"]
    assert explanation["total"] == answer["classifier"]["score"]
    assert len(explanation["parts"]) == 2
    assert max(part["end"] for part in explanation["parts"]) < 40
    assert_efficient(explanation)


def test_a_text_without_evidence_that_was_read_in_full_has_no_parts(text_cascade):
    localize = SpanLocalizationPipeline(
        text_cascade.localizer.model,
        tokenizer=text_cascade.localizer.tokenizer,
        classifier=text_cascade,
    )
    answer = localize("the film", exit_threshold=1.0, explain_answer=True)
    assert answer["classifier"]["text"] == "the film"
    explanation = answer["explanation"]
    assert explanation["parts"] == []
    assert explanation["base"] == explanation["total"] == answer["classifier"]["score"]


def test_the_values_of_a_localizer_are_its_evidence_and_the_base_is_all_the_rest(random_localize):
    text = "the café was a film , good and not a film ."
    explanation = random_localize(text, explain_answer=True, top_k=2)["explanation"]
    (located,) = random_localize.localizer.read([text]).locate()
    logits = random_localize.localizer.read([text]).logits[0].double()
    label = int(logits.argmax())
    words, inside = located.words, np.zeros(len(located.words), dtype=bool)
    assert 1 <= len(explanation["parts"]) <= 2
    for part in explanation["parts"]:
        own = (words.starts >= part["start"]) & (words.ends <= part["end"])
        assert part["value"] == pytest.approx(located.attribution[own, label].sum(), abs=1e-9)
        assert not (inside & own).any()
        inside |= own
    nothing = torch.zeros(1, 1).long()
    empty = random_localize.model(nothing, nothing).logits[0].detach()
    bias = float((empty - empty.mean())[label])
    rest = located.attribution[~inside, label].sum()
    assert explanation["base"] == pytest.approx(bias + rest, abs=1e-5)
    assert explanation["total"] == pytest.approx(float((logits - logits.mean())[label]), abs=1e-6)


def test_a_multi_label_localizer_is_explained_by_its_own_logit(model, tokenizer):
    model.config.problem_type = "multi_label_classification"
    localize = SpanLocalizationPipeline(model, tokenizer=tokenizer, explain_answer=True)
    answer = localize("the café was a film , good and not a film .")
    assert_efficient(answer["explanation"])
    score = 1 / (1 + np.exp(-answer["explanation"]["total"]))
    assert score == pytest.approx(answer["score"], abs=1e-6)


def test_of_probabilities_rounded_to_one_the_answer_and_its_explanation_name_the_same_label(
    model, tokenizer
):
    model.config.problem_type = "multi_label_classification"
    with torch.no_grad():
        model.aggregation.bias.copy_(torch.tensor([40.0, 60.0]))
    localize = SpanLocalizationPipeline(model, tokenizer=tokenizer, explain_answer=True)
    answer = localize("good , not a film .")
    assert answer["score"] == 1.0
    assert answer["label"] == answer["explanation"]["label"] == localize.labels[1]
    assert {span["label"] for span in answer["spans"]} == {answer["label"]}
    assert answer["explanation"]["total"] > 50


@pytest.mark.parametrize("name", ["explain_answer", "return_coalitions"])
def test_options_that_are_not_true_or_false_are_refused(localize, name):
    with pytest.raises(ValueError, match=f"`{name}` must be True or False, got 'no'"):
        localize("good", **{name: "no"})


def test_coalitions_are_listed_on_request(text_cascade):
    localize = SpanLocalizationPipeline(
        text_cascade.localizer.model,
        tokenizer=text_cascade.localizer.tokenizer,
        classifier=text_cascade,
    )
    asked = {"explain_answer": True, "return_coalitions": True, "exit_threshold": [0.9, 0.0, 0.0]}
    for text, count in ((SURE, 0), ("good , a bad film , the good bad", 4)):
        explanation = localize(text, **asked)["explanation"]
        assert len(explanation["coalitions"]) == count
    assert explanation["coalitions"][0] == {"parts": [], "worth": explanation["base"]}
    assert explanation["coalitions"][-1] == {"parts": [0, 1], "worth": explanation["total"]}


def test_spans_that_may_overlap_when_shown_are_disjoint_when_they_explain(random_localize):
    text = "the café was a film , good and not a film ."
    shown = random_localize(text, explain_answer=True, iou_threshold=0.9, top_k=9)
    places = sorted((part["start"], part["end"]) for part in shown["explanation"]["parts"])
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert_efficient(shown["explanation"])


def test_a_long_text_is_explained_block_by_block_as_in_one_piece(random_localize, monkeypatch):
    text = "the café was a film , good and not a bad film . " * 40
    whole = random_localize(text, explain_answer=True)["explanation"]
    monkeypatch.setattr("hf_anchornet.model.pipeline_anchornet_text.LONG_TEXT_CHARACTERS", 100)
    assert len(text) < LONG_TEXT_CHARACTERS
    parts = random_localize(text, explain_answer=True)["explanation"]
    assert_allclose(values_of(parts), values_of(whole), rtol=0, atol=1e-6)
    assert parts["total"] == pytest.approx(whole["total"], abs=1e-5)
    assert parts["base"] == pytest.approx(whole["base"], abs=1e-5)


def test_n_grams_that_answer_explain_themselves(ngram_cascade):
    localize = SpanLocalizationPipeline(
        ngram_cascade.localizer.model,
        tokenizer=ngram_cascade.localizer.tokenizer,
        classifier=ngram_cascade,
    )
    answer = localize("not bad", explain_answer=True)
    assert answer["classifier"]["stage"] == 0
    explanation = answer["explanation"]
    assert (explanation["model"], explanation["label"]) == ("ngrams", "positive")
    assert [part["text"] for part in explanation["parts"]] == ["not bad"]
    assert_efficient(explanation)


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_text_without_words_has_no_parts_and_the_base_is_the_answer(text_cascade, text):
    localize = SpanLocalizationPipeline(
        text_cascade.localizer.model,
        tokenizer=text_cascade.localizer.tokenizer,
        classifier=text_cascade,
    )
    explanation = localize(text, explain_answer=True)["explanation"]
    assert explanation["parts"] == []
    assert explanation["base"] == explanation["total"]


def test_labels_of_a_plain_classifier_may_be_others(localize, classifier_folder):
    asked = SpanLocalizationPipeline(
        localize.model, tokenizer=localize.tokenizer, classifier=classifier_folder
    )
    answer = asked(UNSURE, explain_answer=True, max_tokens=8)
    assert answer["explanation"]["label"] == answer["classifier"]["label"] in ("sad", "glad")
    assert_efficient(answer["explanation"])


def test_a_multi_label_classifier_is_explained_by_its_own_logit(localize, text_cascade):
    reader = text_cascade.reader
    reader.model.config.problem_type = "multi_label_classification"
    asked = SpanLocalizationPipeline(
        localize.model, tokenizer=localize.tokenizer, classifier=give_classifier(text_cascade)
    )
    answer = asked(UNSURE, explain_answer=True, max_tokens=8)
    score = 1 / (1 + np.exp(-answer["explanation"]["total"]))
    assert score == pytest.approx(answer["classifier"]["score"], abs=1e-6)
    assert_efficient(answer["explanation"])


def test_a_classifier_that_answers_nan_is_named(localize, text_cascade):
    with torch.no_grad():
        text_cascade.reader.model.classifier.bias.fill_(float("nan"))
    asked = SpanLocalizationPipeline(
        localize.model, tokenizer=localize.tokenizer, classifier=give_classifier(text_cascade)
    )
    with pytest.raises(ValueError, match="must give one finite number for each"):
        asked(UNSURE, explain_answer=True, max_tokens=8)


def test_pieces_are_batched_by_number_and_by_tokens_with_padding():
    sizes = [3] * 40 + [500] * 20 + [5000, 6000]
    pieces = [SimpleNamespace(size=size) for size in sizes]
    batches = [[piece.size for piece in batch] for batch in batch_pieces(pieces)]
    assert [size for batch in batches for size in batch] == sizes
    assert max(map(len, batches)) == 32
    assert all(len(batch) * batch[-1] <= 4096 for batch in batches if len(batch) > 1)
    assert batches[-2:] == [[5000], [6000]]


# Images


def make_image_pipeline(cascade, **options):
    return PatchLocalizationPipeline(
        cascade.localizer.model, image_processor=cascade.localizer.processor, **options
    )


def test_patches_of_a_cascade_have_the_shares_of_its_probability(image_cascade):
    cascade = image_cascade.override([1.0, 1.0, 0.0])  # two patches answer
    relabel(cascade.reader.model, ["warm", "cold"])
    localize = make_image_pipeline(cascade, classifier=cascade)
    answer = localize(PICTURE, explain_answer=True, exit_threshold=[1.0, 1.0, 0.0])
    explanation = answer["explanation"]
    boxes = [tuple(part["box"].values()) for part in explanation["parts"]]
    assert len(boxes) == 2
    batch = cascade.localizer.read([PICTURE])
    maps = [batch.evidence.attribute(torch.tensor([label]))[0] for label in (0, 1)]
    label = cascade.labels.index(explanation["label"])

    def worth(kept):
        opening = batch.logits[0].double().clone()
        seen = np.zeros((64, 96), dtype=bool)
        gone = np.zeros((64, 96), dtype=bool)
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            (seen if number in kept else gone)[y0:y1, x0:x1] = True
        # The model's input is 32 px high: half as large.
        lost = torch.from_numpy((gone & ~seen)[::2, ::2])
        opening -= torch.stack([part[lost].sum() for part in maps])
        probs = opening.softmax(dim=-1)
        if kept:
            pieces = [PICTURE.crop(boxes[number]) for number in sorted(kept)]
            inputs = cascade.reader.processor(pieces, return_tensors="pt")
            with torch.no_grad():
                own = cascade.reader.model(**inputs).logits.mean(dim=0).softmax(dim=-1)
            probs = (probs + own[cascade.order]) / 2
        return float(probs[label])

    expected = average_over_orders(worth, 2)
    assert explanation["base"] == pytest.approx(worth(frozenset()), abs=1e-6)
    assert_allclose(values_of(explanation), expected, rtol=0, atol=1e-6)
    assert answer["cost"]["explanation_passes"] == 0  # the cascade has read each patch before


def test_an_image_that_was_read_in_full_is_one_part(image_cascade):
    localize = make_image_pipeline(image_cascade, classifier=image_cascade)
    answer = localize(PICTURE, explain_answer=True, exit_threshold=1.0)
    (part,) = answer["explanation"]["parts"]
    assert part["box"] == {"xmin": 0, "ymin": 0, "xmax": 96, "ymax": 64}
    assert_efficient(answer["explanation"])


def test_without_a_patch_a_plain_classifier_knows_nothing(image_cascade):
    plain = make_image_pipeline(image_cascade, classifier=give_classifier(image_cascade))
    explanation = plain(PICTURE, explain_answer=True, max_patches=2)["explanation"]
    assert explanation["base"] == 0.0
    assert len(explanation["parts"]) == 2


def test_patches_of_a_localizer_are_disjoint_and_their_values_are_its_evidence(random_image):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    answer = random_image(picture, explain_answer=True, iou_threshold=0.9)
    explanation = answer["explanation"]
    batch = random_image.localizer.read([picture])
    attribution = batch.attribution[0].numpy()
    covered = np.zeros((64, 96), dtype=int)
    for part in explanation["parts"]:
        x0, y0, x1, y1 = part["box"].values()
        covered[y0:y1, x0:x1] += 1
        inside = attribution[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
        assert part["value"] == pytest.approx(inside.sum(), rel=1e-4)
    assert covered.max() == 1
    assert_efficient(explanation)


@pytest.fixture
def random_image(image_model, image_processor):
    return PatchLocalizationPipeline(image_model, image_processor=image_processor)


@pytest.mark.parametrize("classified", [False, True])
def test_a_picture_at_full_resolution_is_explained_too(image_cascade, classified):
    given = {"classifier": give_classifier(image_cascade)} if classified else {}
    localize = make_image_pipeline(image_cascade, **given)
    answer = localize(PICTURE, explain_answer=True, full_resolution=True)
    assert answer["explanation"]["model"] == ("classifier" if classified else "localizer")
    assert answer["explanation"]["parts"]
    assert_efficient(answer["explanation"])
