"""A cascade of either modality: who reads what, the answers and their cost, bad input."""

import json

import pytest
import torch
from conftest import relabel
from PIL import Image
from torch.testing import assert_close

from hf_anchornet import Cascade, PatchReader, SpanReader
from hf_anchornet.model.cascade_rule import ExitRule
from hf_anchornet.model.costs import count_multiply_adds

SURE = "good good good"
UNSURE = "good, a film, the bad café film, good bad film"
RED, GREY = (255, 0, 0), (60, 60, 60)


REDDISH = [((66, 60, 60), (16, 16)), ((64, 60, 60), (64, 32))]


def paint(background, *squares):
    """A picture of 96 x 64 px with squares of 16 px in it, by colour and corner."""
    picture = Image.new("RGB", (96, 64), background)
    for color, (x, y) in squares:
        picture.paste(color, (x, y, x + 16, y + 16))
    return picture


@pytest.fixture(params=["text", "image"])
def case(request):
    """A cascade, an input that leaves at stage 0 and one that comes to the last stage."""
    cascade = request.getfixturevalue(f"{request.param}_cascade")
    if request.param == "text":
        return cascade, SURE, UNSURE
    return cascade, paint(RED), paint(GREY, *REDDISH)


def without_time(answers):
    """The answers less what the clock says."""
    for answer in answers:
        answer["cost"].pop("milliseconds")
    return answers


def without_cost(answer):
    return {key: value for key, value in answer.items() if key != "cost"}


def assert_alike(one, other):
    """The same answers but for rounding in other batches."""
    scores = [(left.pop("score"), right.pop("score")) for left, right in zip(one, other)]  # noqa: B905
    assert one == other
    assert [left for left, _ in scores] == pytest.approx([right for _, right in scores], rel=1e-5)


# Answers


def test_a_sure_input_leaves_with_the_localizers_answer(case):
    cascade, sure, _ = case
    answer = cascade(sure)
    batch = cascade.localizer.read([sure])
    score, label = batch.logits.softmax(dim=-1).max(dim=-1)
    assert answer["stage"] == 0
    assert answer["label"] == cascade.labels[int(label)]
    assert answer["score"] == pytest.approx(float(score))
    assert answer["cost"]["classifier_multiply_adds"] == 0


def test_the_last_answer_is_the_mean_of_localizer_and_full_input(case):
    cascade, _, unsure = case
    (trace,) = cascade.follow([unsure])
    view = trace.view
    logits, _ = cascade.reader.compute_pieces([(view, cascade.reader.cut(view, "full")[0])])
    expected = trace.logits.softmax(dim=-1) + logits[0].softmax(dim=-1).flip(0)
    assert trace.stage == 3
    assert_close(trace.probs, expected / 2)


def test_labels_are_matched_by_name(case):
    cascade, _, unsure = case
    (mirrored,) = cascade.follow([unsure])
    relabel(cascade.reader.model, cascade.labels)
    (straight,) = Cascade(cascade.localizer, cascade.reader, cascade.rule).follow([unsure])
    said = straight.average(straight.last_reading)
    assert_close(mirrored.average(mirrored.last_reading), said.flip(0))


def test_only_inputs_that_stay_are_read(case, monkeypatch):
    cascade, sure, unsure = case
    read, compute = [], cascade.reader.compute_pieces
    monkeypatch.setattr(
        cascade.reader, "compute_pieces", lambda pieces: read.append(len(pieces)) or compute(pieces)
    )
    answers = cascade([sure, unsure, sure])
    assert [answer["stage"] for answer in answers] == [0, 3, 0]
    assert read == [1, 1, 1]


def test_the_stage_told_is_the_one_whose_threshold_was_passed(case):
    cascade, _, unsure = case
    thresholds = [[1.0] * count + [0.0] * (3 - count) for count in range(4)]
    assert [cascade(unsure, one)["stage"] for one in thresholds] == [0, 1, 2, 3]


def test_batches_change_nothing(case):
    cascade, sure, unsure = case
    inputs = [sure, unsure, sure, unsure, unsure]
    alone = [without_time([cascade(item)])[0] for item in inputs]
    for batch_size in (1, 2, 8):
        assert_alike(without_time(cascade(inputs, batch_size=batch_size)), [*map(dict, alone)])


def test_one_input_gives_a_dict_many_a_list_and_none_an_empty_list(case):
    cascade, sure, _ = case
    assert isinstance(cascade(sure), dict)
    assert len(cascade((sure, sure))) == 2
    assert cascade([]) == []


def test_answers_are_ready_for_json(case):
    cascade, sure, unsure = case
    answers = cascade([sure, unsure])
    assert json.loads(json.dumps(answers)) == answers


def test_without_a_stage_the_localizer_answers(case):
    cascade, _, unsure = case
    alone = Cascade(cascade.localizer, cascade.reader, ExitRule.make([]))
    assert alone(unsure)["stage"] == 0


def test_a_printed_cascade_names_its_models_stages_and_thresholds(text_cascade):
    shown = repr(text_cascade.override([0.9, 0.75, 1.0]))
    assert "localizer: AnchorNetTextForSequenceClassification (" in shown
    assert "classifier: BertForSequenceClassification (" in shown
    assert shown.splitlines()[3:] == [
        "  stage 0: localizer alone, exits above 0.9",
        "  stage 1: classifier on 4, exits above 0.75",
        "  stage 2: classifier on 6, exits above 1",
        "  stage 3: classifier on full, answers the rest",
        f"  labels: {', '.join(text_cascade.labels)}",
        ")",
    ]


# What is read


def test_texts_are_read_under_a_growing_budget_then_in_full(text_cascade):
    (trace,) = text_cascade.follow([UNSURE])
    (first,), (second,), (third,) = trace.readings
    assert len(first.text.split()) == 2
    assert second.text == "good bad good bad"
    assert third.text == UNSURE


def test_what_was_read_before_is_not_read_again(text_cascade):
    (trace,) = text_cascade.override([1.0, 1.0, 0.0]).follow(["a good film, a bad film"])
    first, again = trace.readings
    assert first == again
    assert [piece.text for piece in first] == ["good bad"]
    assert len(trace.pieces) == 1
    assert trace.stage == 1


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_blank_text_stays_at_stage_0(text_cascade, text):
    answer = text_cascade(text, 1.0)
    assert answer["stage"] == 0
    assert answer["score"] == pytest.approx(0.5)
    assert answer["cost"]["localizer_multiply_adds"] == 0


def test_a_text_without_evidence_is_read_in_full_only(text_cascade):
    (trace,) = text_cascade.follow(["the film"])
    assert [[piece.text for piece in pieces] for pieces in trace.readings] == [[], [], ["the film"]]
    assert trace.stage == 3


def test_a_full_text_is_cut_to_what_the_classifier_reads(text_cascade):
    (trace,) = text_cascade.follow(["the film was a film " * 100])
    assert trace.stage == 3
    assert [piece.multiply_adds for piece in trace.pieces.values()][-1] == count_multiply_adds(
        text_cascade.reader.model, torch.ones(1, 128, dtype=torch.long)
    )


def test_budgets_are_counted_in_the_classifiers_own_tokens(text_cascade):
    # The classifier's tokenizer adds [CLS] and [SEP]; of 4 tokens 2 are left for words.
    (trace,) = text_cascade.follow(["good bad good bad a film"])
    texts = [piece.text for piece in trace.readings[0]]
    ids = text_cascade.reader.tokenizer(texts)["input_ids"]
    assert [len(row) for row in ids] == [piece.size for piece in trace.readings[0]] == [4]


def test_each_patch_is_computed_once(image_cascade):
    (trace,) = image_cascade.follow([paint(GREY, *REDDISH)])
    first, second, whole = trace.readings
    assert second[:1] == first
    assert len(second) == 2
    assert whole == ["full"]
    assert len(trace.pieces) == 3


def test_the_logits_of_patches_are_averaged(image_cascade):
    (trace,) = image_cascade.follow([paint(GREY, *REDDISH)])
    said = [trace.pieces[box].logits for box in trace.readings[1]]
    assert_close(trace.average(trace.readings[1]), (said[0] + said[1]) / 2)


def test_a_whole_image_may_be_scaled_to_a_size_of_its_own(image_cascade, image_classifier_folder):
    reader = PatchReader.load(image_classifier_folder, full_size=32)
    assert reader._process([paint(RED)], reader.full_size)["pixel_values"].shape[2:] == (32, 32)
    small, large = PatchReader.load(image_classifier_folder), reader
    assert small._full_shape((96, 64))[2:] == (16, 16)
    assert large._full_shape((96, 64))[2:] == (32, 32)


# Cost


def test_multiply_adds_are_those_of_the_models(text_cascade):
    answer = text_cascade(UNSURE)

    def count(model, num_tokens):
        return count_multiply_adds(model, torch.ones(1, num_tokens, dtype=torch.long))

    reader, counts = text_cascade.reader.model, [4, 6, 15]
    assert answer["cost"]["localizer_multiply_adds"] == count(text_cascade.localizer.model, 13)
    assert answer["cost"]["classifier_multiply_adds"] == sum(count(reader, n) for n in counts)
    assert answer["cost"]["full_multiply_adds"] == count(reader, counts[-1])


def test_multiply_adds_of_images_are_those_of_each_patch_and_the_whole(image_cascade):
    cost = image_cascade(paint(GREY, *REDDISH))["cost"]
    one = count_multiply_adds(image_cascade.reader.model, torch.zeros(1, 3, 16, 16))
    assert cost["classifier_multiply_adds"] == 3 * one
    assert cost["full_multiply_adds"] == one
    assert cost["localizer_multiply_adds"] == count_multiply_adds(
        image_cascade.localizer.model, torch.zeros(1, 3, 32, 48)
    )


def test_reading_more_takes_longer_on_the_clock(case):
    cascade, _, unsure = case
    first, last = (cascade.override(t).follow([unsure] * 2) for t in (0.0, 1.0))
    assert all(trace.milliseconds > 0 for trace in first)
    for trace in last:
        spent = sum(piece.milliseconds for piece in trace.pieces.values())
        assert 0 < spent < trace.milliseconds


# Saved and loaded


def test_a_saved_cascade_gives_the_same_answers(case, tmp_path):
    cascade, sure, unsure = case
    cascade = Cascade(
        cascade.localizer,
        cascade.reader,
        ExitRule.make([*cascade.rule.stages], [0.7, 0.8, 0.99], [0.5, 1.5, 2.0, 3.0]),
        {"split": {"fingerprint": "f"}},
    )
    cascade.save_pretrained(tmp_path)
    loaded = Cascade.from_pretrained(tmp_path)
    assert without_time(loaded([sure, unsure])) == without_time(cascade([sure, unsure]))
    assert loaded.rule == cascade.rule
    assert loaded.record == cascade.record


@pytest.mark.parametrize("modality", ["text", "image"])
def test_a_localizer_that_reads_otherwise_than_when_calibrated_is_told(
    modality, text_cascade, image_cascade, tmp_path, caplog
):
    cascade = text_cascade if modality == "text" else image_cascade
    reading = cascade.localizer.describe_reading()
    record = {"reading": reading | {"reading_scales": [99]}}
    Cascade(cascade.localizer, cascade.reader, cascade.rule, {"reading": reading}).save_pretrained(
        tmp_path / "same"
    )
    Cascade(cascade.localizer, cascade.reader, cascade.rule, record).save_pretrained(
        tmp_path / "other"
    )
    assert Cascade.from_pretrained(tmp_path / "same").record == {"reading": reading}
    assert "calibrated with" not in caplog.text
    Cascade.from_pretrained(tmp_path / "other")
    assert "calibrated with `reading_scales` [99] of its localizer, and that is" in caplog.text
    assert ("size" in reading) == (modality == "image")


def test_a_classifier_may_be_kept_as_a_reference(case, tmp_path):
    cascade, _, unsure = case
    folder = tmp_path / "of_the_classifier"
    cascade.reader.save_pretrained(folder)
    referring = Cascade(cascade.localizer, type(cascade.reader).load(str(folder)), cascade.rule)
    referring.save_pretrained(tmp_path / "cascade", copy_classifier=False)
    assert not (tmp_path / "cascade" / "classifier").exists()
    loaded = Cascade.from_pretrained(tmp_path / "cascade")
    assert without_cost(loaded(unsure)) == without_cost(cascade(unsure))


def test_a_classifier_without_a_name_cannot_be_referred_to(case, tmp_path):
    cascade = case[0]
    cascade.reader.model.config._name_or_path = cascade.reader.model.name_or_path = ""
    with pytest.raises(ValueError, match="`copy_classifier` must be True for a classifier made"):
        cascade.save_pretrained(tmp_path, copy_classifier=False)


def test_the_size_of_a_full_input_is_kept(text_cascade, tmp_path):
    text_cascade.reader.full_size = 20
    text_cascade.save_pretrained(tmp_path)
    assert Cascade.from_pretrained(tmp_path).reader.most_tokens == 20


def test_it_is_pushed_as_one_folder(case, monkeypatch):
    pushed = {}

    class Api:
        def create_repo(self, repo_id, **_):
            return type("Url", (), {"repo_id": repo_id})()

        def create_commit(self, operations, **_):
            pushed.update({o.path_in_repo: o.path_or_fileobj for o in operations})

    monkeypatch.setattr("transformers.utils.hub.hf_api", Api)
    monkeypatch.setattr("transformers.utils.hub.create_and_tag_model_card", lambda *_, **__: Card())
    case[0].push_to_hub("me/cascade")
    expected = {"config.json", "model.safetensors", "cascade.json", "classifier/config.json"}
    assert expected <= set(pushed)


class Card:
    def save(self, path):
        """Nothing: cards are not what is tested."""


# Bad input


def test_labels_that_differ_are_refused_with_both_lists(case):
    cascade = case[0]
    relabel(cascade.reader.model, ["sad", "glad"])
    message = rf"`classifier` must have the labels of the localizer, \['{cascade.labels[0]}'.*'sad'"
    with pytest.raises(ValueError, match=message):
        Cascade(cascade.localizer, cascade.reader, cascade.rule)


@pytest.mark.parametrize("who", ["localizer", "reader"])
def test_a_multi_label_model_is_refused(case, who):
    cascade = case[0]
    getattr(cascade, who).model.config.problem_type = "multi_label_classification"
    with pytest.raises(ValueError, match="must choose one label, got a multi-label model"):
        Cascade(cascade.localizer, cascade.reader, cascade.rule)


def test_a_threshold_outside_its_range_is_refused(case):
    cascade, sure, _ = case
    with pytest.raises(ValueError, match=r"`exit_threshold` must be a number in \[0, 1\]"):
        cascade(sure, exit_threshold=1.5)
    with pytest.raises(ValueError, match="one for each of the first 3 stages"):
        cascade(sure, exit_threshold=[0.5, 0.5])


def test_a_budget_for_special_tokens_alone_is_refused(text_cascade):
    with pytest.raises(ValueError, match="`max_tokens` must be at least 3 for this classifier"):
        Cascade(text_cascade.localizer, text_cascade.reader, ExitRule.make([2, 8]))


def test_a_classifier_of_the_wrong_modality_is_refused(
    planted, tokenizer, classifier_folder, image_classifier_folder, tmp_path
):
    planted.save_pretrained(tmp_path / "localizer")
    tokenizer.save_pretrained(tmp_path / "localizer")
    with pytest.raises(OSError, match=r"`classifier` must be .* a model for text-classification"):
        Cascade.load(tmp_path / "localizer", image_classifier_folder, [8])
    model = PatchReader.load(image_classifier_folder).model
    with pytest.raises(ValueError, match=r"which reads `input_ids`, got a ViT.* `pixel_values`"):
        SpanReader.load(model)


def test_a_missing_classifier_folder_is_named(case, tmp_path):
    case[0].save_pretrained(tmp_path)
    (tmp_path / "classifier" / "config.json").unlink()
    with pytest.raises(OSError, match=f"`classifier` must be .*{tmp_path}/classifier"):
        Cascade.from_pretrained(tmp_path)


def test_a_folder_without_a_cascade_is_refused(classifier_folder):
    with pytest.raises(
        OSError, match=r"`source` must be .* of a cascade, got .*named cascade.json"
    ):
        Cascade.from_pretrained(classifier_folder)


def test_a_localizer_of_another_type_is_refused(classifier_folder):
    with pytest.raises(ValueError, match=r"`localizer` must be of type anchornet_image or .* bert"):
        Cascade.load(classifier_folder, classifier_folder, [8])


def test_an_input_that_is_none_is_named(text_cascade, image_cascade):
    with pytest.raises(TypeError, match="item 1 of `inputs` must be a string, got int"):
        text_cascade(["good", 3])
    with pytest.raises(TypeError, match="`inputs`"):
        image_cascade(3)


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_a_batch_of_no_input_is_refused(text_cascade, size):
    with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1"):
        text_cascade(["good"], batch_size=size)


@pytest.mark.parametrize("size", [0, 8])
def test_a_size_that_the_classifier_of_images_cannot_read_is_refused(image_classifier_folder, size):
    with pytest.raises(ValueError, match="`full_size` must be a"):
        PatchReader.load(image_classifier_folder, full_size=size).check_stages([1, "full"])
    PatchReader.load(image_classifier_folder, full_size=16).check_stages([1, "full"])


def test_a_picture_that_is_too_thin_is_named_by_its_size(image_cascade):
    pictures = [paint(RED), paint(RED), Image.new("RGB", (60_000, 1))]
    with pytest.raises(ValueError, match="an image of 60000 x 1 px must have at most"):
        image_cascade(pictures)
