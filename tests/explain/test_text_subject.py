"""Any text classifier as explainers need it: what it reads, its probabilities, words cut out."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_anchornet.explain.subject import check_request
from hf_anchornet.explain.text_subject import TextSubject

EMOJI = "good \N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4} café, film!"


@pytest.fixture
def anchornet(model, tokenizer):
    return TextSubject(model, tokenizer)


@pytest.fixture
def encoder(classifier_folder):
    return TextSubject.load(classifier_folder)


@pytest.fixture(params=["anchornet", "encoder"])
def subject(request):
    return request.getfixturevalue(request.param)


def test_a_folder_a_pipeline_and_a_model_give_the_same_subject(classifier_folder):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    stock = pipeline("text-classification", model=classifier_folder)
    probs = [
        TextSubject.load(source).predict(["a good film"])
        for source in (classifier_folder, stock, model)
    ]
    assert_allclose(probs[1:], probs[:1] * 2)


def test_an_anchornet_loads_from_its_folder(localizer_folder):
    subject = TextSubject.load(localizer_folder)
    assert subject.is_anchornet
    assert subject.labels == ["negative", "positive"]


def test_probabilities_are_those_of_each_text_alone_in_the_order_given(subject):
    texts = ["a good film was bad", "", "bad", EMOJI, " \n", "the film " * 60]
    together = subject.predict(texts, batch_size=4)
    alone = np.concatenate([subject.predict([text]) for text in texts])
    assert together.dtype == np.float64
    assert together.shape == (6, 2)
    assert_allclose(together, alone, atol=1e-6)
    assert_allclose(together.sum(axis=1), 1, atol=1e-6)


def test_probabilities_are_those_of_the_stock_pipeline(encoder, classifier_folder):
    stock = pipeline("text-classification", model=classifier_folder, top_k=None)
    texts = ["a good film", "bad"]
    found = encoder.predict(texts)
    for row, answer in zip(found, stock(texts), strict=True):
        by_label = {item["label"]: item["score"] for item in answer}
        assert_allclose(row, [by_label[label] for label in encoder.labels], atol=1e-6)


def test_no_texts_have_no_probabilities(subject):
    assert subject.predict([]).shape == (0, 2)


def test_probabilities_of_independent_labels_are_sigmoids(model, tokenizer):
    model.config.problem_type = "multi_label_classification"
    subject = TextSubject(model, tokenizer)
    ids = torch.tensor([tokenizer("a good film", add_special_tokens=False)["input_ids"]])
    expected = model(ids).logits.sigmoid().detach()
    assert_allclose(subject.predict(["a good film"]), expected, atol=1e-6)


def test_an_anchornet_reads_every_word(anchornet):
    read = anchornet.read("good film " * 300)
    assert read.num_read == len(read.words) == 600
    assert read.ids.shape == (1, 600)


def test_an_encoder_reads_what_its_positions_hold(encoder):
    text = "good film " * 300
    read = encoder.read(text)
    assert len(read.words) == 600
    assert read.ids.shape == (1, 128)
    assert read.num_read == 126  # two are special
    assert read.of_text.sum() == 126
    cut = encoder.predict([" ".join(text.split()[:126])])
    assert_allclose(encoder.predict([text]), cut, atol=1e-6)


def test_scores_of_tokens_are_summed_over_words(encoder):
    read = encoder.read("xyz good")  # x, ##y, ##z, good
    assert read.score_words(np.array([100, 1, 2, 3, 7, 100.0])).tolist() == [6, 7]


def test_words_that_are_not_read_score_0(encoder):
    read = encoder.read("good " * 130)
    scores = read.score_words(np.ones(128))
    assert scores.tolist() == [1] * 126 + [0] * 4


@pytest.mark.parametrize("text", ["", " \n ", "\ud83d"])
def test_a_text_of_no_or_odd_words_is_read(subject, text):
    read = subject.read(text)
    assert read.num_read == 0  # the tokenizer drops what no Unicode is
    assert len(read.score_words(np.ones(read.ids.shape[1]))) == len(read.words)
    assert np.isfinite(subject.predict([text])).all()


def test_emoji_and_accents_keep_their_places(subject):
    read = subject.read(EMOJI)
    words = [EMOJI[slice(*read.words.span(i, i + 1))] for i in range(len(read.words))]
    assert words[1] == EMOJI[5:7]
    scores = read.score_words(np.arange(read.ids.shape[1], dtype=float))
    assert read.num_read == len(words) == len(scores)
    assert scores[words.index("café")] == np.flatnonzero(read.of_text)[-4]


def test_an_encoder_without_special_tokens_reads_an_empty_text_as_padding(
    classifier_folder, tokenizer
):
    bare = AutoTokenizer.from_pretrained(classifier_folder)
    bare._tokenizer.post_processor = tokenizer._tokenizer.post_processor.__class__(
        single="$A", special_tokens=[]
    )
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    subject = TextSubject(model, bare)
    expected = torch.softmax(model(torch.tensor([[bare.pad_token_id]])).logits, dim=-1)
    assert_allclose(subject.predict([""]), expected.detach(), atol=1e-6)
    read = subject.read("")
    assert (len(read.words), read.num_read, len(read.offsets)) == (0, 0, 0)


def test_a_slow_tokenizer_is_refused(model, tokenizer, monkeypatch):
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(ValueError, match="`tokenizer` must be a fast one"):
        TextSubject(model, tokenizer)


def test_a_tokenizer_without_padding_is_refused(model, tokenizer):
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="must have a token for padding"):
        TextSubject(model, tokenizer)


def test_only_an_anchornet_is_a_localizer(encoder):
    with pytest.raises(ValueError, match=r'must be an AnchorNet for "evidence".*"bert"'):
        encoder.localizer  # noqa: B018


def test_a_tokenizer_that_keeps_the_end_is_refused(model, tokenizer):
    tokenizer.truncation_side = "left"
    with pytest.raises(ValueError, match="`tokenizer` must have a tokenizer with `truncation_side"):
        TextSubject(model, tokenizer)


def test_a_batch_of_no_input_is_refused(subject):
    for size in (0, -1, 1.5):
        with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1"):
            subject.predict(["good"], batch_size=size)


@pytest.mark.parametrize("label", [True, 1.0, "positive", 2])
def test_a_label_that_is_no_number_of_one_is_refused(subject, label):
    with pytest.raises(ValueError, match="`label` must be the number of a label, 0 to 1, got"):
        check_request(subject, label, "lime", ["lime"], {})
