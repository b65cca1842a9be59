"""What both pipelines share, on texts: one input or many, streams, options."""

import json
import random

import pytest
from conftest import assert_same
from datasets import Dataset
from transformers.pipelines.pt_utils import KeyDataset

from hf_anchornet import SpanLocalizationPipeline

TEXTS = ["the film was good", "", "bad bad film, a good a was not", "café " * 30 + "good"]
RICH = (
    "  the café was cafe\u0301\r\n\r\n not \U0001f469\u200d\U0001f469\u200d\U0001f467 good, "
    "\u05e9\u05dc\u05d5\u05dd \u0643\u062a\u0627\u0628 \u7535\u5f71 it's bad!  "
)


def places(answer):
    return [(span["start"], span["end"]) for span in answer["spans"]]


# One, many, none; lists, generators, datasets


def test_one_text_gives_a_dict_many_a_list_and_none_an_empty_list(random_localize):
    many = random_localize(TEXTS)
    for text, answer in zip(TEXTS, many, strict=True):
        assert_same(random_localize(text), answer)
    assert random_localize([]) == []
    assert list(random_localize(text for text in [])) == []


@pytest.mark.parametrize("batch_size", [2, 3, 16])
@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_change_nothing(random_localize, batch_size, side):
    random_localize.tokenizer.padding_side = side
    texts = [*TEXTS, *TEXTS[::-1], RICH]
    assert_same(random_localize(texts, batch_size=batch_size), random_localize(texts))


def test_batches_with_a_classifier_change_nothing(model, tokenizer, classifier_folder):
    localize = SpanLocalizationPipeline(
        model=model, tokenizer=tokenizer, classifier=classifier_folder, max_tokens=12
    )
    assert_same(localize(TEXTS, batch_size=3), localize(TEXTS))


def test_generators_datasets_and_columns_stream(random_localize):
    dataset = Dataset.from_dict({"text": TEXTS})
    expected = random_localize(TEXTS)
    for source in (
        (text for text in TEXTS),
        iter(TEXTS),
        KeyDataset(dataset, "text"),
        dataset["text"],
        (row["text"] for row in dataset.to_iterable_dataset()),
    ):
        answers = random_localize(source, batch_size=2)
        assert not isinstance(answers, list)
        assert_same(list(answers), expected)


def test_a_stream_takes_no_more_texts_than_it_needs(random_localize):
    def texts():
        for count in range(1000):
            assert count < 8
            yield "a film"

    answers = iter(random_localize(texts(), batch_size=2))
    assert next(answers)["label"]


def test_a_key_dataset_keeps_its_length(random_localize):
    assert len(random_localize(KeyDataset(Dataset.from_dict({"text": TEXTS}), "text"))) == 4


def test_answers_are_plain_python_and_survive_json(random_localize, classifier_folder):
    localize = SpanLocalizationPipeline(
        model=random_localize.model, tokenizer=random_localize.tokenizer,
        classifier=classifier_folder,
    )  # fmt: skip
    for answer in localize([*TEXTS, RICH]):
        assert json.loads(json.dumps(answer)) == answer


# Options


def test_labels_ask_for_the_evidence_of_other_classes(localize):
    text = "good film, bad film"
    assert places(localize(text, labels="negative")) == [(11, 14)]
    assert places(localize(text, labels=["negative", "positive"])) == [(11, 14), (0, 4)]


def test_scales_choose_the_windows(random_localize):
    text = "the film was not good, a bad film " * 5
    for scale in (1, 2, 3, 9):
        answer = random_localize(text, scales=scale, labels=["negative", "positive"])
        assert {span["scale"] for span in answer["spans"]} == {scale}
    both = random_localize(TEXTS[3], scales=(1, 3), top_k=40, iou_threshold=1.0)
    assert {span["scale"] for span in both["spans"]} == {1, 3}


def test_a_size_that_no_window_has_shows_passages_with_the_most_evidence(random_localize):
    text = "the film was not good, a bad film " * 5
    label = random_localize(text)["label"]
    everything = random_localize(text, scales=1, top_k=100, labels=label)
    passages = random_localize(text, scales=10, top_k=2, labels=label)["spans"]
    assert [span["scale"] for span in passages] == [10, 10]
    assert passages[0]["evidence"] >= passages[1]["evidence"] > 0
    assert not set(range(passages[0]["start"], passages[0]["end"])) & set(
        range(passages[1]["start"], passages[1]["end"])
    )
    for passage in passages:
        inside = [
            span["evidence"]
            for span in everything["spans"]
            if passage["start"] <= span["start"] and span["end"] <= passage["end"]
        ]
        assert passage["evidence"] <= sum(inside) + 1e-6  # those below 0 are not shown


def test_passages_are_inside_their_text_whatever_stands_in_the_batch(random_localize):
    words = random.Random(0).choices(["the", "film", "was", "good", "bad", "not", ","], k=70)
    texts = ["good", "", " ".join(words)]  # without repetition: no ties
    together = random_localize(texts, scales=[6, 20], batch_size=3, labels=["positive", "negative"])
    for text, answer in zip(texts, together, strict=True):
        alone = random_localize(text, scales=[6, 20], labels=["positive", "negative"])
        assert [(s["start"], s["end"]) for s in answer["spans"]] == [
            (s["start"], s["end"]) for s in alone["spans"]
        ]
        assert all(text[s["start"] : s["end"]] == s["text"] for s in answer["spans"])


def test_top_k_bounds_the_number_of_spans_for_each_label(random_localize):
    text = "the film was not good, a bad film " * 5
    assert len(random_localize(text, top_k=1)["spans"]) == 1
    assert len(random_localize(text, top_k=2, labels=["negative", "positive"])["spans"]) == 4
    assert len(random_localize(text, top_k=10**6)["spans"]) < 50


def test_max_tokens_shows_the_best_set_in_reading_order(random_localize, tokenizer):
    text = "the film was not good, a bad film " * 5
    for budget in (1, 3, 10):
        spans = random_localize(text, max_tokens=budget)["spans"]
        assert sum(len(tokenizer.tokenize(span["text"])) for span in spans) <= budget
        assert sum(span["scale"] for span in spans) <= budget
        assert spans == sorted(spans, key=lambda span: span["start"])


def test_a_limit_for_each_rank_may_be_given(localize):
    assert len(localize("good bad good", iou_threshold=[0.0, 0.5], top_k=2)["spans"]) == 2


def test_options_of_the_pipeline_hold_unless_a_call_says_otherwise(planted, tokenizer):
    localize = SpanLocalizationPipeline(
        model=planted, tokenizer=tokenizer, top_k=1, labels="negative"
    )
    text = "bad good bad good"
    assert places(localize(text)) == [(0, 3)]
    assert places(localize(text, labels="positive", top_k=2)) == [(4, 8), (13, 17)]
    assert places(localize(text, top_k=None)) == [(0, 3)]
