"""`pipeline("span-localization")` from text to answer, with and without a classifier."""

import resource
import time
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.pt_utils import KeyDataset

from hf_anchornet import AnchorNetTextForSequenceClassification, SpanLocalizationPipeline
from hf_anchornet.model.text_spans import locate_texts

TEXTS = ["the film was good", "", "bad bad film, a good a was not", "café " * 30 + "good"]
RICH = (
    "  the café was cafe\u0301\r\n\r\n not \U0001f469\u200d\U0001f469\u200d\U0001f467 good, "
    "\u05e9\u05dc\u05d5\u05dd \u0643\u062a\u0627\u0628 \u7535\u5f71 it's bad!  "
)


@pytest.fixture
def folder(planted, tokenizer, tmp_path):
    """The planted localizer, saved with its tokenizer."""
    planted.save_pretrained(tmp_path / "localizer")
    tokenizer.save_pretrained(tmp_path / "localizer")
    return str(tmp_path / "localizer")


def places(answer):
    return [(span["start"], span["end"]) for span in answer["spans"]]


# The planted answer, to the exact character


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("", " film"),
        ("the film was ", ""),
        ("  \t ", "  "),
        ("café cafe\u0301 ", " na\u00efve"),
        ("\U0001f469\u200d\U0001f469\u200d\U0001f467 ", " \U0001f600"),
        ("\U0001f44d\U0001f3fd\u2764\ufe0f ", ""),
        ("the film\r\nwas\r\n", "\r\n\r\nnot"),
        ("\u05d4\u05e1\u05e8\u05d8 \u05d4\u05d9\u05d4 ", " \u05de\u05d0\u05d5\u05d3"),
        ("\u0627\u0644\u0641\u064a\u0644\u0645\u060c ", " \u062c\u062f\u0627\u064b"),
        ("\u8fd9\u90e8\u7535\u5f71", "\u3002"),
        ("\x00", "\x00"),
        ("\ud800 ", " \udfff"),
        ("not (", "), a"),
        ("film " * 500, " film" * 500),
    ],
)  # fmt: skip
@pytest.mark.parametrize("word", ["good", "Good", "GOOD"])
def test_the_planted_word_is_found_to_the_exact_character(localize, before, after, word):
    text = before + word + after
    answer = localize(text)
    assert answer["label"] == "positive"
    assert places(answer) == [(len(before), len(before) + 4)]
    assert answer["spans"][0]["text"] == word
    assert answer["spans"][0]["share"] == pytest.approx(1.0)


def test_an_accent_stays_with_its_word_composed_or_not(random_localize):
    for text in ("café", "cafe\u0301"):
        assert random_localize(f"a {text} film", labels="positive", max_tokens=3)["spans"]
        for span in random_localize(f"a {text} film", top_k=9)["spans"]:
            assert not span["text"].endswith("cafe")
            assert not span["text"].startswith("\u0301")


@pytest.mark.parametrize("options", [{}, {"top_k": 50}, {"iou_threshold": 0.5}, {"max_tokens": 6}])
@pytest.mark.parametrize("label", ["negative", "positive"])
def test_every_span_is_a_slice_of_the_text(random_localize, options, label):
    answer = random_localize(RICH, labels=label, **options)
    assert answer["spans"]
    for span in answer["spans"]:
        assert RICH[span["start"] : span["end"]] == span["text"] == span["text"].strip()
        assert span["label"] == label


# Evidence and shares


def test_evidence_of_spans_that_cover_the_text_and_bias_make_the_centred_logits(planted, tokenizer):
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    with torch.no_grad():
        planted.aggregation.bias.copy_(torch.tensor([0.25, -0.75]))
        planted.anchornet.embeddings.weight.copy_(torch.rand(len(tokenizer), 4))
        logits = planted(tokenizer("the film was not café", return_tensors="pt").input_ids).logits
    # Whatever a word says for one of two labels it says against the other.
    spans = localize("the film was not café", labels=["negative", "positive"], top_k=9)["spans"]
    assert sorted(span["start"] for span in spans) == [0, 4, 9, 13, 17]
    positive = sum(s["evidence"] * (1 if s["label"] == "positive" else -1) for s in spans)
    centred = 0.5 * (logits[0, 1] - logits[0, 0]).item()
    assert -0.5 + positive == pytest.approx(centred, rel=1e-4)


@pytest.mark.parametrize("text", [*TEXTS[:1], *TEXTS[2:], RICH, "unhappy", "\u7535\u5f71 good"])
def test_attribution_of_all_words_and_bias_are_the_logits(random_localize, text):
    inputs = random_localize.preprocess(text)
    with torch.no_grad():
        output = random_localize.model(torch.from_numpy(inputs["ids"])[None], output_evidence=True)
    (located,) = locate_texts([text], [inputs["offsets"]], output.evidence, random_localize.windows)
    total = torch.from_numpy(located.attribution.sum(axis=0)).float()
    torch.testing.assert_close(output.bias[0] + total, output.logits[0], rtol=1e-4, atol=1e-5)


def test_shares_of_disjoint_one_word_spans_for_both_labels_sum_to_one_in_size(planted, tokenizer):
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    answer = localize("good bad film good", labels=["positive", "negative"])
    shares = {span["start"]: span["share"] for span in answer["spans"]}
    assert shares == pytest.approx({0: 1 / 3, 14: 1 / 3, 5: 1 / 3})
    assert answer["coverage"] == pytest.approx(11 / 18)


def test_a_window_that_other_windows_cancel_is_not_shown(planted, tokenizer, monkeypatch):
    def cancel(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.evidence = (output.evidence[0], -output.evidence[0])
        return output

    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    localize.windows *= 2
    localize.localizer.windows *= 2
    forward = planted.forward
    monkeypatch.setattr(planted, "forward", cancel)
    assert localize("a good film")["spans"] == []


def test_shown_spans_do_not_overlap_unless_allowed(random_localize):
    text = "not good, unhappy a-b café the film was " * 3
    taken = [False] * len(text)
    for start, end in places(random_localize(text, top_k=40)):
        assert not any(taken[start:end])
        taken[start:end] = [True] * (end - start)
    overlapping = places(random_localize(text, top_k=40, iou_threshold=1.0))
    assert sum(end - start for start, end in overlapping) > len(text)


def test_a_multi_label_model_keeps_raw_evidence_and_scores_by_sigmoid(planted, tokenizer):
    planted.config.problem_type = "multi_label_classification"
    with torch.no_grad():
        planted.aggregation.heads[0].weight[0] = 0  # nothing speaks for or against "negative"
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    with torch.no_grad():
        ids = tokenizer("a good film", return_tensors="pt").input_ids
        output = planted(ids, output_evidence=True)
    answer = localize("a good film")
    assert answer["score"] == pytest.approx(float(output.logits[0, 1].sigmoid()))
    assert answer["spans"][0]["evidence"] == pytest.approx(float(output.evidence[0][0, 1, 1]))
    assert localize("a good film", labels="negative")["spans"] == []


# The classifier


def load_classifier(form, folder):
    if form == "folder":
        return folder
    if form == "path":
        return Path(folder)
    if form == "pipeline":
        return pipeline("text-classification", model=folder)
    return AutoModelForSequenceClassification.from_pretrained(folder)


@pytest.mark.parametrize("form", ["folder", "path", "pipeline", "model"])
def test_a_classifier_may_be_given_in_any_form(planted, tokenizer, classifier_folder, form):
    classifier = load_classifier(form, classifier_folder)
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer, classifier=classifier)
    answer = localize("the film was good " + "film " * 30)["classifier"]
    stock = pipeline("text-classification", model=classifier_folder)(answer["text"])[0]
    assert answer["text"] == "good"
    assert answer["stage"] == 1
    assert (answer["label"], answer["score"]) == (stock["label"], pytest.approx(stock["score"]))


@pytest.mark.parametrize("max_tokens", [3, 5, 17, 64])
def test_the_classifier_never_reads_more_than_max_tokens(
    model, tokenizer, classifier_folder, max_tokens
):
    localize = SpanLocalizationPipeline(
        model=model, tokenizer=tokenizer, classifier=classifier_folder
    )
    read = []
    localize.reader.model.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(kwargs["attention_mask"].sum(dim=1).max().item()),
        with_kwargs=True,
    )
    texts = ["the film was unhappy, café not good " * 20, RICH, "supercalifragilistic" * 3]
    answers = localize(texts, max_tokens=max_tokens, batch_size=2)
    assert max(read) <= max_tokens
    stored = AutoTokenizer.from_pretrained(classifier_folder)
    for text, answer in zip(texts, answers, strict=True):
        cost = answer["cost"]
        assert cost["classifier_tokens"] <= max_tokens
        assert cost["full_tokens"] == len(
            stored(text.encode("utf-8", "replace").decode()).input_ids
        )
        if answer["classifier"]["stage"]:
            assert cost["classifier_tokens"] == len(stored(answer["classifier"]["text"]).input_ids)


@pytest.mark.parametrize("text", ["", " \r\n", "\x00"])
def test_with_nothing_to_read_the_localizer_answers_for_the_classifier(
    planted, tokenizer, classifier_folder, text
):
    localize = SpanLocalizationPipeline(
        model=planted, tokenizer=tokenizer, classifier=classifier_folder
    )
    answer = localize(text)
    assert answer["spans"] == []
    assert answer["classifier"] == {
        "label": answer["label"], "score": answer["score"], "stage": 0, "text": "",
    }  # fmt: skip
    assert answer["cost"]["classifier_tokens"] == 0


def test_the_shown_spans_are_those_without_a_classifier(model, tokenizer, classifier_folder):
    alone = SpanLocalizationPipeline(model=model, tokenizer=tokenizer)
    both = SpanLocalizationPipeline(model=model, tokenizer=tokenizer, classifier=classifier_folder)
    assert alone(RICH)["spans"] == both(RICH)["spans"]


# Bad input


@pytest.mark.parametrize("text", ["", " ", "\r\n\t", "\u00a0\u3000"])
@pytest.mark.parametrize("options", [{}, {"iou_threshold": 1.0}, {"max_tokens": 5}])
def test_a_blank_text_has_an_answer_without_spans(random_localize, text, options):
    answer = random_localize(text, **options)
    assert answer["spans"] == []
    assert answer["coverage"] == 0.0


@pytest.mark.parametrize(
    "text", ["\x00", "\x00good\x00", "\ud800", "bad\udfff\ud800", "x" * 10**6, "\u7535" * 10**4]
)
def test_odd_texts_have_an_answer(random_localize, text):
    answer = random_localize(text)
    assert answer["label"] in ("negative", "positive")
    assert all(text[s["start"] : s["end"]] == s["text"] for s in answer["spans"])


@pytest.mark.slow
@pytest.mark.parametrize("text", ["x" * 10**7, "good film " * 10**6], ids=["word", "words"])
def test_ten_megabytes_are_answered_in_bounded_time_and_memory(random_localize, text):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    started = time.perf_counter()
    answer = random_localize(text)
    assert all(text[s["start"] : s["end"]] == s["text"] for s in answer["spans"])
    assert time.perf_counter() - started < 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 6 * 2**20


@pytest.mark.parametrize("text", [None, 3, b"good", {"text": "good"}, 1.5])
def test_a_single_input_that_is_no_string_is_refused(localize, text):
    with pytest.raises(TypeError, match=rf"`inputs` must be a string.*got {type(text).__name__}"):
        localize(text)


@pytest.mark.parametrize("wrap", [list, tuple, iter, lambda x: (y for y in x)])
def test_a_bad_input_among_good_ones_is_named_by_its_place(localize, wrap):
    with pytest.raises(TypeError, match="item 2 of `inputs` must be a string, got NoneType"):
        list(localize(wrap(["good", "bad", None, "good"]), batch_size=2))


def test_a_bad_row_of_a_dataset_is_named_by_its_place(localize):
    dataset = Dataset.from_dict({"text": ["good", None]})
    for source in (KeyDataset(dataset, "text"), dataset["text"]):
        with pytest.raises(TypeError, match="item 1 of `inputs` must be a string, got NoneType"):
            list(localize(source))
    with pytest.raises(TypeError, match=r"item 0 of `inputs` .* got dict .* pass its text column"):
        list(localize(dataset))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": -1}, "`top_k` must be a whole number of at least 0, got -1; give"),
        ({"max_tokens": 0}, "`max_tokens` must be a whole number of at least 1, got 0; give"),
        ({"max_tokens": -1}, "`max_tokens` must be a whole number of at least 1, got -1; give"),
        ({"max_tokens": 2.5}, "`max_tokens` must be a whole number of at least 1, got 2.5; give"),
        ({"iou_threshold": 2}, r"`iou_threshold` must be a number in \[0, 1\]"),
        ({"scales": [0]}, "`scales` must be a whole number of at least 1, got 0; give"),
        ({"scales": 2.5}, "`scales` must be a whole number of at least 1, got 2.5; give"),
        ({"scales": [10**30]}, "`scales` must be at most 16,777,216, got 1,000,000,"),
        ({"scales": [3, 5, 3]}, r"`scales` must name each once, got \[3, 5, 3\]"),
        ({"top_k": 10**10}, "`top_k` must be at most 16,777,216, got 10,000,000,000; lower it"),
        ({"scales": []}, r"`scales` must be one or more of .*, got \[\]; leave it out"),
        ({"labels": "neutral"}, r"`labels` .* \['negative', 'positive'\], got \['neutral'\]"),
        ({"labels": ["positive"] * 2}, "`labels` must name each once, .* leave out repeats"),
        ({"labels": [["positive"]]}, r"`labels` must be one or more of .* got \[\['positive'\]\]"),
        ({"labels": []}, r"`labels` must be one or more of this model's labels"),
    ],
)
def test_a_bad_option_is_refused_at_construction_and_at_the_call(
    planted, tokenizer, options, message
):
    with pytest.raises(ValueError, match=message):
        SpanLocalizationPipeline(model=planted, tokenizer=tokenizer, **options)
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    with pytest.raises(ValueError, match=message):
        localize("good", **options)


def test_a_model_without_its_tokenizer_is_refused(planted):
    with pytest.raises(ValueError, match=r"`tokenizer` of the .* got NoneType"):
        SpanLocalizationPipeline(model=planted)


def test_an_unknown_option_is_refused(localize):
    with pytest.raises(TypeError, match=r"`topk` is not an option .* knows `top_k`, `scales`"):
        localize("good", topk=3)


@pytest.mark.parametrize("max_tokens", [1, 2])
def test_a_budget_without_room_for_a_token_of_text_is_refused(
    planted, tokenizer, classifier_folder, max_tokens
):
    message = f"`max_tokens` must be at least 3 for this classifier, got {max_tokens}; 2 special"
    with pytest.raises(ValueError, match=message):
        SpanLocalizationPipeline(
            model=planted, tokenizer=tokenizer, classifier=classifier_folder, max_tokens=max_tokens
        )
    localize = SpanLocalizationPipeline(
        model=planted, tokenizer=tokenizer, classifier=classifier_folder
    )
    with pytest.raises(ValueError, match=message):
        localize(["good"], max_tokens=max_tokens)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises((OSError, ValueError), match=str(tmp_path)):
        pipeline("span-localization", model=str(tmp_path))


def test_a_checkpoint_of_another_type_is_refused(classifier_folder):
    with pytest.raises(
        ValueError, match=r'`model` .* must be of type "anchornet_text", got "bert"'
    ):
        pipeline("span-localization", model=classifier_folder)


# Saved and loaded; the stock pipeline


def test_a_saved_folder_loads_by_task_name(localize, folder):
    assert pipeline("span-localization", model=folder)(TEXTS) == localize(TEXTS)


def test_a_folder_may_be_the_default_model_of_the_task(localize, folder, monkeypatch):
    registered = PIPELINE_REGISTRY.supported_tasks["span-localization"]
    monkeypatch.setitem(registered, "default", {"model": (folder, "main")})
    assert pipeline("span-localization")(TEXTS) == localize(TEXTS)


def test_a_saved_pipeline_loads_by_task_name(localize, tmp_path):
    localize.save_pretrained(tmp_path)
    loaded = pipeline("span-localization", model=str(tmp_path))
    assert isinstance(loaded, SpanLocalizationPipeline)
    assert loaded(TEXTS) == localize(TEXTS)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_the_stock_pipeline_classifies_with_the_same_checkpoint(
    random_localize, tmp_path, batch_size
):
    random_localize.model.save_pretrained(tmp_path)
    random_localize.tokenizer.save_pretrained(tmp_path)
    texts = [text for text in TEXTS * 3 if text]
    stock = pipeline("text-classification", model=str(tmp_path))
    for ours, theirs in zip(
        random_localize(texts), stock(texts, batch_size=batch_size), strict=True
    ):
        assert ours["label"] == theirs["label"]
        assert ours["score"] == pytest.approx(theirs["score"], rel=1e-4)


def test_the_stock_pipeline_answers_for_a_blank_text(folder):
    assert pipeline("text-classification", model=folder)("")[0]["score"] == pytest.approx(0.5)


def test_half_precision_weights_find_the_same_spans(localize, folder):
    half = AnchorNetTextForSequenceClassification.from_pretrained(folder, dtype=torch.float16)
    answers = SpanLocalizationPipeline(model=half, tokenizer=localize.tokenizer)(TEXTS)
    assert [places(answer) for answer in answers] == [places(a) for a in localize(TEXTS)]


def test_no_span_is_shown_if_none_is_asked_for(localize):
    answer = localize("a good film", top_k=0)
    assert (answer["label"], answer["spans"], answer["coverage"]) == ("positive", [], 0.0)
    assert answer["score"] == localize("a good film")["score"]
