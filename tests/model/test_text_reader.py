"""A classifier that reads spans: budgets, forms of classifiers, bad ones."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from hf_anchornet.model.cascade_rule import FULL, ExitRule
from hf_anchornet.model.text_reader import (
    ReadableText,
    SpanReader,
    join_spans,
    select_readable_spans,
)
from hf_anchornet.model.text_words import LocatedText, Words


@pytest.fixture
def reader(classifier_folder):
    return SpanReader.load(classifier_folder)


def locate(text, attribution):
    """A text whose tokens are its words, with their attribution: (words, labels)."""
    words = Words.split(text)
    bounds = zip(words.starts.tolist(), words.ends.tolist(), strict=True)
    return LocatedText.build(text, list(bounds), np.array(attribution, dtype=float))


def test_what_speaks_against_a_label_is_read_too():
    located = locate("a b c d", [[0.1, -0.1], [-3, 3], [2, -2], [0.2, -0.2]])
    costs = np.ones(4, dtype=int)
    assert select_readable_spans(located, costs, 2, [1]) == [(1, 3)]


def test_single_tokens_are_read_where_no_window_fits_the_budget():
    located = locate("a b c d", [[1.0], [4.0], [2.0], [3.0]])
    costs = np.array([1, 5, 1, 2])
    assert select_readable_spans(located, costs, 3, [4]) == [(2, 4)]
    assert select_readable_spans(located, costs, 9, [4]) == [(0, 4)]


def test_spans_are_joined_in_reading_order_as_they_stand():
    words = Words.split("The  café\r\nwas good, not bad")
    assert join_spans(words, [(0, 2), (3, 5), (6, 7)]) == "The  café good, bad"
    assert join_spans(words, []) == ""


def test_tokens_of_each_word_are_those_of_the_classifier(reader):
    words = Words.split("the café, unhappy")
    assert reader.count(words).tolist() == [1, 1, 1, 7]
    assert reader.count(Words.split("")).tolist() == []


def test_special_tokens_count_towards_the_budget(reader):
    located = locate("the film was good", [[1.0], [2.0], [3.0], [4.0]])
    costs = reader.count(located.words)
    assert reader.select(located, costs, 4, [1]) == [(2, 4)]
    assert reader.select(located, costs, 6, [1]) == [(0, 4)]


def test_the_budget_holds_where_a_word_costs_more_alone_than_in_its_sentence(classifier_folder):
    # Byte-level BPE that knows "good" as one token only with the blank before it.
    merges = [("Ġ", "g"), ("Ġg", "o"), ("Ġgo", "o"), ("Ġgoo", "d")]
    pieces = ["[PAD]", "Ġ", *"good", *(left + right for left, right in merges)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    inner = Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]")
    reader = SpanReader(SpanReader.load(classifier_folder).model, tokenizer)
    located = locate("good good good", [[1.0], [3.0], [2.0]])
    costs = reader.count(located.words)
    assert costs.tolist() == [4, 1, 1]  # but whichever comes first costs 4
    for max_tokens, expected in [(3, []), (4, [(1, 2)]), (5, [(1, 3)]), (6, [(0, 3)])]:
        assert reader.select(located, costs, max_tokens, [1]) == expected


@pytest.mark.parametrize("max_tokens", [0, 1, 2])
def test_a_budget_for_special_tokens_alone_is_refused(reader, max_tokens):
    with pytest.raises(ValueError, match=f"`max_tokens` must be at least 3 .*, got {max_tokens};"):
        reader.check_budget(max_tokens)


def open_texts(reader, texts):
    """Views in which every word has evidence."""
    views = []
    for text in texts:
        words = Words.split(text)
        located = locate(text, np.ones((len(words), 1)))
        views.append(ReadableText(located, reader.count(words), [1]))
    return views


@pytest.mark.parametrize("stages", [[129], [8, 600]])
def test_a_budget_above_what_the_classifier_reads_is_refused(reader, stages):
    assert reader.readable_tokens == 128
    message = rf"`max_tokens` must be at most 128 for this classifier, got {stages[-1]};"
    with pytest.raises(ValueError, match=message):
        reader.check_stages(stages)


def test_texts_are_read_in_one_batch_as_one_by_one(reader):
    texts = ["good", "the film was bad and unhappy", "\ud800 good"]
    together = reader.read(open_texts(reader, texts), FULL)
    for text, reading in zip(texts, together, strict=True):
        (alone,) = reader.read(open_texts(reader, [text]), FULL)
        assert alone.pieces == reading.pieces
        torch.testing.assert_close(alone.logits, reading.logits)
    assert [reading.sizes for reading in together[:2]] == [[3], [16]]
    assert [piece.text for reading in together[:2] for piece in reading.pieces] == texts[:2]


def test_a_text_without_a_token_has_no_reading(reader):
    empty, full = reader.read(open_texts(reader, ["", "good"]), FULL)
    assert (empty.pieces, empty.logits) == ([], None)
    assert full.logits is not None


def test_each_text_is_tokenized_once_for_its_words_and_once_for_what_is_read(text_cascade):
    reader, seen = text_cascade.reader, []
    tokenize = type(reader)._encode
    reader._encode = lambda text, **options: seen.append(text) or tokenize(reader, text, **options)
    text = "good bad good bad a film"
    rule = ExitRule.make([6, FULL], 1.0)
    traces = text_cascade.follow([text], rule=rule)
    text_cascade.describe(traces, [text])
    assert seen == [text, traces[0].readings[0][0].text, text]
    seen.clear()
    text_cascade(text, 0.0)  # it exits at stage 0: once, for the cost of reading it in full
    assert seen == [[text]]


def test_a_model_without_a_folder_is_refused(classifier_folder):
    model = BertForSequenceClassification(BertConfig.from_pretrained(classifier_folder))
    model.config._name_or_path = model.name_or_path = ""
    with pytest.raises(ValueError, match="`classifier` must be a model loaded from a Hub id or"):
        SpanReader.load(model)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(OSError, match=f"`classifier` must be the Hub id or folder .*{tmp_path}"):
        SpanReader.load(str(tmp_path))


@pytest.mark.parametrize("classifier", [3, ["folder"], object])
def test_something_else_is_refused(classifier):
    with pytest.raises(
        TypeError, match="`classifier` must be a Hub id, a folder, a pipeline for text-class"
    ):
        SpanReader.load(classifier)


def test_a_pipeline_for_another_task_is_refused(planted, tokenizer):
    from hf_anchornet import SpanLocalizationPipeline

    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    with pytest.raises(TypeError, match="got SpanLocalizationPipeline"):
        SpanReader.load(localize)


def test_a_slow_tokenizer_is_refused(reader):
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="`classifier` must have a fast tokenizer, got Slow"):
        SpanReader(reader.model, Slow())


def test_a_tokenizer_that_keeps_the_end_or_has_no_padding_is_refused(reader, tokenizer):
    tokenizer.truncation_side = "left"
    with pytest.raises(ValueError, match="`truncation_side` 'right', got 'left'; set it"):
        SpanReader(reader.model, tokenizer)
    tokenizer.truncation_side, tokenizer.pad_token = "right", None
    with pytest.raises(ValueError, match="`classifier` must have a tokenizer with a token for pad"):
        SpanReader(reader.model, tokenizer)


@pytest.mark.parametrize("size", [0, -5, "64", 2])
def test_a_full_text_must_leave_room_for_words(classifier_folder, size):
    with pytest.raises(ValueError, match="`full_size` must be "):
        SpanReader.load(classifier_folder, full_size=size)
    assert SpanReader.load(classifier_folder, full_size=3).most_tokens == 3
    assert SpanReader.load(classifier_folder, full_size=999).most_tokens == 128
