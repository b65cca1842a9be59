"""The pipeline with a cascade that opens with n-grams: whose label, score and spans are shown."""

import pytest

from hf_anchornet import SpanLocalizationPipeline

TEXTS = ["a film, not bad", "good good", "good bad, a film", "not good, a bad film", ""]
STAGES = [0, 1, 3, 0, 1]


@pytest.fixture
def localizer(ngram_cascade):
    return ngram_cascade.localizer


@pytest.fixture
def trunk(localizer):
    """The number of texts of each run of the trunk; multiply-adds are counted on meta tensors."""
    sizes = []

    def note(_, inputs):
        if not inputs[0].is_meta:
            sizes.append(len(inputs[0]))

    localizer.model.anchornet.embeddings.register_forward_pre_hook(note)
    return sizes


@pytest.fixture
def localize(ngram_cascade, localizer):
    return SpanLocalizationPipeline(
        model=localizer.model, tokenizer=localizer.tokenizer, classifier=ngram_cascade
    )


@pytest.fixture
def plain(localizer):
    return SpanLocalizationPipeline(model=localizer.model, tokenizer=localizer.tokenizer)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_cascades_answer_is_told(localize, ngram_cascade, batch_size):
    answers = localize(TEXTS, batch_size=batch_size)
    expected = ngram_cascade(TEXTS)
    assert [answer["classifier"]["stage"] for answer in answers] == STAGES
    for answer, other in zip(answers, expected, strict=True):
        assert answer["classifier"]["label"] == other["label"]
        assert answer["classifier"]["score"] == pytest.approx(other["score"], rel=1e-5)
        for name in ("localizer_multiply_adds", "classifier_multiply_adds", "full_multiply_adds"):
            assert answer["cost"][name] == other["cost"][name]


def test_texts_that_exit_do_not_come_to_the_trunk(localize, trunk):
    localize(TEXTS, batch_size=5)
    assert trunk == [3]
    localize(TEXTS, batch_size=1)
    assert trunk == [3, 1, 1, 1]
    localize(TEXTS, batch_size=5, exit_threshold=0.0)
    assert trunk == [3, 1, 1, 1]


def test_label_score_and_spans_are_those_of_the_model_that_answered(localize, plain, localizer):
    ids = localizer.tokenize(TEXTS)["input_ids"]
    glance = localizer.glance_tokens(TEXTS, ids, localizer.tokenize(TEXTS)["offset_mapping"])
    probs = glance.logits.softmax(dim=-1)
    answers = localize(TEXTS, batch_size=5)
    for row, (answer, whole) in enumerate(zip(answers, plain(TEXTS), strict=True)):
        if STAGES[row] == 0:
            assert answer["score"] == pytest.approx(float(probs[row].max()), rel=1e-5)
            assert answer["label"] == localize.labels[int(probs[row].argmax())]
            assert [span["text"] for span in answer["spans"]] == ["not good" if row else "not bad"]
            assert {span["scale"] for span in answer["spans"]} == {2}
            assert answer["spans"][0]["share"] == pytest.approx(1.0)
        else:
            assert answer["score"] == pytest.approx(whole["score"], rel=1e-5)
            assert answer["spans"] == whole["spans"]
            assert answer["coverage"] == whole["coverage"]


def test_windows_that_the_ngrams_lack_are_shown_by_the_whole_localizer(localize, plain, trunk):
    answers = localize(TEXTS, scales=[1], batch_size=5)
    assert trunk == [3, 2]
    for answer, whole in zip(answers, plain(TEXTS, scales=[1]), strict=True):
        assert answer["label"] == whole["label"]
        assert answer["score"] == pytest.approx(whole["score"], rel=1e-5)
        assert [span["text"] for span in answer["spans"]] == [s["text"] for s in whole["spans"]]
    assert [answer["classifier"]["stage"] for answer in answers] == STAGES


@pytest.mark.parametrize("scales", [[2], [3]], ids=["a window", "a passage"])
def test_windows_of_the_ngrams_and_passages_need_no_trunk(localize, trunk, scales):
    answers = localize(TEXTS, scales=scales, batch_size=5)
    assert trunk == [3]
    assert "not bad" in answers[0]["spans"][0]["text"]
    assert answers[0]["spans"][0]["scale"] == scales[0]


def test_labels_may_be_asked_for(localize):
    answer = localize(TEXTS[0], labels=["negative", "positive"])
    assert [span["label"] for span in answer["spans"]] == ["positive"]


def test_its_folder_will_do(localize, localizer, ngram_cascade, tmp_path):
    ngram_cascade.save_pretrained(tmp_path)
    loaded = SpanLocalizationPipeline(
        model=localizer.model, tokenizer=localizer.tokenizer, classifier=str(tmp_path)
    )
    for answer, other in zip(loaded(TEXTS), localize(TEXTS), strict=True):
        assert answer["spans"] == other["spans"]
        assert answer["classifier"]["stage"] == other["classifier"]["stage"]
