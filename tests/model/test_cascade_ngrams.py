"""A cascade that opens with the n-grams of a text localizer: who answers, and what does not run."""

import json

import pytest
import torch
from cascade_answers import assert_alike, without_time
from torch.testing import assert_close

from hf_anchornet import Cascade
from hf_anchornet.model.cascade_rule import ExitRule

TEXTS = ["not bad", "good good", "good bad, a film", "", "not good film", "bad"]
STAGES = [0, 1, 3, 1, 0, 1]


@pytest.fixture
def trunk(ngram_cascade):
    """The number of texts of each run of the trunk; multiply-adds are counted on meta tensors."""
    sizes = []

    def note(_, inputs):
        if not inputs[0].is_meta:
            sizes.append(len(inputs[0]))

    ngram_cascade.localizer.model.anchornet.embeddings.register_forward_pre_hook(note)
    return sizes


def test_each_input_leaves_at_the_stage_that_is_sure(ngram_cascade):
    assert [answer["stage"] for answer in ngram_cascade(TEXTS)] == STAGES


def test_only_texts_that_stay_come_to_the_trunk_together(ngram_cascade, trunk):
    ngram_cascade.follow(TEXTS)
    assert trunk == [4]
    ngram_cascade.override([0.0, 1.0, 1.0]).follow(TEXTS)
    assert trunk == [4]


def test_a_mixed_batch_is_answered_as_one_by_one(ngram_cascade):
    alone = without_time([ngram_cascade(text) for text in TEXTS])
    for batch_size in (2, 32):
        expected = [dict(answer) for answer in alone]
        assert_alike(without_time(ngram_cascade(TEXTS, batch_size=batch_size)), expected)


def test_the_answers_are_the_calibrated_ones_of_each_stage(ngram_cascade):
    ngrams, localizer, both, *_ = ngram_cascade.follow(TEXTS)
    model, tokenizer = ngram_cascade.localizer.model, ngram_cascade.localizer.tokenizer
    encoded = tokenizer(TEXTS[:2], add_special_tokens=False, return_tensors="pt", padding=True)
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    assert_close(ngrams.probs, model.glance(ids, mask).logits[0].softmax(-1))
    assert_close(localizer.probs, (model(ids, mask).logits[1] / 2).softmax(-1))
    said = both.average(both.last_reading).softmax(-1)
    assert_close(both.probs, ((both.logits / 2).softmax(-1) + said) / 2)
    assert [len(trace.opened) for trace in (ngrams, localizer, both)] == [1, 2, 2]
    assert localizer.last_reading == []


def test_the_tables_cost_no_multiply_adds(ngram_cascade):
    costs = [answer["cost"]["localizer_multiply_adds"] for answer in ngram_cascade(TEXTS)]
    whole = ngram_cascade.localizer.read(TEXTS).multiply_adds()
    assert costs == [0, whole[1], whole[2], 0, 0, whole[5]]
    assert min(whole[1:3]) > 0


def test_the_time_of_both_steps_is_counted(ngram_cascade):
    for trace in ngram_cascade.follow(TEXTS):
        steps = [answer.milliseconds for answer in trace.opened]
        assert all(spent > 0 for spent in steps)
        assert trace.milliseconds == pytest.approx(sum(steps) + trace.classifier_milliseconds)


def test_ngrams_may_choose_what_the_classifier_reads(ngram_cascade, trunk):
    rule = ExitRule.make(["ngrams", 4], 1.0)
    cascade = Cascade(ngram_cascade.localizer, ngram_cascade.reader, rule)
    trace, empty = cascade.follow(["good film, a film, not bad, good", "good good"])
    assert [piece.text for piece in trace.last_reading] == ["not bad"]
    assert trace.stage == 1
    assert not any(empty.readings)  # no n-gram, nothing to point at
    assert empty.stage == 0
    assert trunk == []


def test_it_is_saved_and_loaded_with_all_its_stages(ngram_cascade, tmp_path):
    ngram_cascade.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "cascade.json").read_text())
    assert saved["stages"] == ["ngrams", "localizer", 4, "full"]
    loaded = Cascade.from_pretrained(tmp_path)
    assert loaded.rule == ngram_cascade.rule
    assert_alike(without_time(loaded(TEXTS)), without_time(ngram_cascade(TEXTS)))


def test_a_file_from_before_there_were_opening_stages_answers_as_it_did(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path)
    path = tmp_path / "cascade.json"
    old = {"stages": [4, 6, "full"], "thresholds": [0.9, 1.0, 1.0], "temperatures": [1.0] * 4}
    path.write_text(json.dumps(json.loads(path.read_text()) | old))
    loaded = Cascade.from_pretrained(tmp_path)
    assert loaded.rule == text_cascade.rule
    assert_alike(without_time(loaded(TEXTS)), without_time(text_cascade(TEXTS)))


def test_a_cascade_of_an_older_version_can_be_attached(ngram_cascade):
    """In remote code, `stages` may lack the localizer."""
    from types import SimpleNamespace

    from hf_anchornet.model.cascade import attach_cascade

    rule = SimpleNamespace(stages=(4,), thresholds=(0.5,), temperatures=(1.0, 2.0))
    old = SimpleNamespace(rule=rule, reader=ngram_cascade.reader, record={})
    attached = attach_cascade(old, ngram_cascade.localizer, torch.device("cpu"), "eager")
    assert attached.rule == ExitRule.make(["localizer", 4], [0.5], [1.0, 2.0])


def test_a_printed_cascade_names_the_opening_stages(ngram_cascade):
    assert repr(ngram_cascade).splitlines()[3:7] == [
        "  stage 0: ngrams alone, exits above 0.9",
        "  stage 1: localizer alone, exits above 0.9",
        "  stage 2: classifier on 4, exits above 1",
        "  stage 3: classifier on full, answers the rest",
    ]


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_localizer_without_ngrams_cannot_open_with_them(kind, request):
    cascade = request.getfixturevalue(f"{kind}_cascade")
    rule = ExitRule.make(["ngrams", "localizer", 8])
    with pytest.raises(ValueError, match="`stages` must not name 'ngrams' for a localizer without"):
        Cascade(cascade.localizer, cascade.reader, rule)
