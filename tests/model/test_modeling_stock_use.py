"""Stock use of transformers: `Trainer`, peft, pipelines and the usual arguments of `forward`."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from torch.testing import assert_close
from transformers import Trainer, TrainingArguments, pipeline
from transformers.utils import logging

from hf_anchornet import (
    AnchorNetImageModel,
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
)


@pytest.fixture(params=["text", "image"])
def classifier(request):
    """A random classifier of texts, then one of images."""
    return request.getfixturevalue("model" if request.param == "text" else "image_model")


@pytest.fixture
def trunk(classifier):
    return classifier.anchornet


@pytest.fixture
def without_ngrams():
    config = AnchorNetTextConfig(vocab_size=80, embedding_size=8, hidden_size=16)
    return AnchorNetTextForSequenceClassification(config).eval()


def make_inputs(model):
    """Some inputs, by name."""
    if model.main_input_name == "input_ids":
        return {"input_ids": torch.randint(2, 80, (2, 20))}
    return {"pixel_values": torch.randn(2, 3, 17, 23)}


# Trainer


def make_rows(model):
    """Twelve rows whose labels are what the model predicts, except in the last three."""
    name = model.main_input_name
    rows = [{name: make_inputs(model)[name][0]} for _ in range(12)]
    with torch.no_grad():
        labels = [int(model(row[name][None]).logits.argmax()) for row in rows]
    labels = labels[:9] + [1 - label for label in labels[9:]]
    return Dataset.from_list(
        [{name: row[name].tolist(), "labels": y} for row, y in zip(rows, labels, strict=True)]
    )


@pytest.mark.parametrize("output_evidence", [False, True])
@pytest.mark.parametrize("output_hidden_states", [False, True])
def test_trainer_gives_plain_logits_to_compute_metrics(
    classifier, tmp_path, output_evidence, output_hidden_states
):
    classifier.config.output_evidence = output_evidence
    classifier.config.output_hidden_states = output_hidden_states
    trainer = Trainer(
        classifier,
        TrainingArguments(str(tmp_path), report_to=[], per_device_eval_batch_size=5, use_cpu=True),
        compute_metrics=lambda found: {
            "accuracy": float(np.mean(np.argmax(found.predictions, -1) == found.label_ids))
        },
    )
    rows = make_rows(classifier)
    assert trainer.evaluate(rows)["eval_accuracy"] == 0.75
    assert trainer.predict(rows).predictions.shape == (12, 2)


def test_trainer_divides_the_loss_by_the_steps_that_it_accumulates(classifier, tmp_path):
    rows = make_rows(classifier).select([0] * 8)  # equal rows: the mean of losses is each loss
    classifier.eval().train = lambda mode=True: classifier  # no dropout, no statistics
    losses = []
    for steps in (1, 4):
        arguments = TrainingArguments(
            str(tmp_path),
            report_to=[],
            use_cpu=True,
            max_steps=1,
            learning_rate=0.0,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=steps,
        )
        losses.append(Trainer(classifier, arguments, train_dataset=rows).train().training_loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


# Arguments of forward


def test_token_types_and_positions_mean_nothing(model, capsys):
    inputs, ids = make_inputs(model), torch.ones(2, 20, dtype=torch.long)
    logging.get_logger("hf_anchornet").warning_once.cache_clear()
    output = model(**inputs, token_type_ids=ids, position_ids=ids)
    assert_close(output.logits, model(**inputs).logits, rtol=0, atol=0)
    assert "unknown" not in capsys.readouterr().err


@pytest.mark.parametrize("of_trunk", [False, True])
def test_an_unknown_argument_is_ignored_and_logged(classifier, caplog, monkeypatch, of_trunk):
    model = classifier.anchornet if of_trunk else classifier
    monkeypatch.setattr(logging.get_logger("transformers"), "propagate", True)
    inputs = make_inputs(model)
    expected = model(**inputs)[0]
    with caplog.at_level("WARNING"):
        assert_close(model(**inputs, **{f"bool_{of_trunk}": True})[0], expected)
    assert f"{type(model).__name__.split('For')[0]}" in caplog.text
    assert f"ignores unknown arguments: bool_{of_trunk}" in caplog.text


@pytest.mark.parametrize("of_trunk", [False, True])
def test_attentions_are_refused_with_the_reason(classifier, of_trunk):
    model = classifier.anchornet if of_trunk else classifier
    message = "`output_attentions` must be False, got True: an AnchorNet has no attention"
    with pytest.raises(ValueError, match=message):
        model(**make_inputs(model), output_attentions=True)
    model.config.output_attentions = True
    with pytest.raises(ValueError, match=message):
        model(**make_inputs(model))


def test_hidden_states_are_the_outputs_of_all_layers(classifier):
    inputs = make_inputs(classifier)
    output = classifier(**inputs, output_hidden_states=True)
    trunk = classifier.anchornet(**inputs, output_hidden_states=True)
    assert_close(output.hidden_states, trunk.hidden_states, rtol=0, atol=0)
    assert_close(trunk.hidden_states[-1], trunk.last_hidden_state, rtol=0, atol=0)
    is_text = classifier.main_input_name == "input_ids"
    assert len(trunk.hidden_states) == 3 + is_text  # and the embeddings
    shapes = [tuple(hidden.shape) for hidden in trunk.hidden_states]
    if is_text:
        assert shapes == [(2, 20, 16), (2, 18, 16), (2, 16, 16), (2, 12, 16)]
    else:
        assert shapes == [(2, 4, 8, 11), (2, 8, 6, 9), (2, 8, 4, 7)]
    assert classifier(**inputs).hidden_states is None
    classifier.config.output_hidden_states = True
    assert_close(classifier(**inputs).hidden_states, output.hidden_states, rtol=0, atol=0)
    assert_close(classifier.anchornet(**inputs).hidden_states, output.hidden_states)


def test_a_text_longer_than_a_chunk_has_its_hidden_states_in_one_piece(model):
    model.config.chunk_size = 7
    inputs = make_inputs(model)
    output = model(**inputs, output_hidden_states=True)
    assert output.hidden_states[0].shape == (2, 20, 16)
    assert_close(output.logits, model(**inputs).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("of_trunk", [False, True])
def test_return_dict_of_the_call_and_of_the_config_give_tuples(classifier, of_trunk):
    model = classifier.anchornet if of_trunk else classifier
    inputs = make_inputs(model)
    whole = model(**inputs, output_hidden_states=True)
    assert isinstance(whole, dict)
    asked = model(**inputs, output_hidden_states=True, return_dict=False)
    model.config.return_dict = False
    configured = model(**inputs, output_hidden_states=True)
    assert isinstance(configured, tuple)
    assert_close(asked, whole.to_tuple(), rtol=0, atol=0)
    assert_close(configured, whole.to_tuple(), rtol=0, atol=0)
    assert isinstance(model(**inputs, return_dict=True), dict)


def test_embedded_texts_give_what_their_ids_give(without_ngrams):
    model = without_ngrams
    ids, mask = torch.randint(2, 80, (3, 20)), torch.ones(3, 20)
    mask[1, 4:] = mask[2, :12] = 0
    embedded = model.get_input_embeddings()(ids)
    for part in (model, model.anchornet):
        by_ids, by_vectors = part(ids, mask), part(attention_mask=mask, inputs_embeds=embedded)
        assert_close(by_vectors.to_tuple(), by_ids.to_tuple(), rtol=0, atol=0)
    assert_close(model(inputs_embeds=embedded).logits, model(ids).logits, rtol=0, atol=0)
    model.config.chunk_size = 7
    assert_close(model(inputs_embeds=embedded).logits, model(ids).logits)


def test_embedded_texts_get_gradients(without_ngrams):
    embedded = torch.randn(2, 9, 8, requires_grad=True)
    without_ngrams(inputs_embeds=embedded).logits[:, 0].sum().backward()
    assert embedded.grad.abs().sum(dim=2).all()


def test_embedded_texts_are_refused_by_models_with_ngrams(model):
    with pytest.raises(ValueError, match=r"`inputs_embeds` must be None .* token ids, got .*2, 9"):
        model(inputs_embeds=torch.randn(2, 9, 8))


@pytest.mark.parametrize("of_trunk", [False, True])
def test_ids_and_vectors_exclude_each_other(without_ngrams, of_trunk):
    model = without_ngrams.anchornet if of_trunk else without_ngrams
    with pytest.raises(ValueError, match=r"exactly one of `input_ids` and .* got neither"):
        model()
    with pytest.raises(ValueError, match=r"exactly one of `input_ids` and .* got both"):
        model(torch.ones(1, 9, dtype=torch.long), inputs_embeds=torch.randn(1, 9, 8))


def test_images_of_another_number_of_channels_are_refused(image_model):
    with pytest.raises(ValueError, match=r"`pixel_values` must have the 3 channels .*, got 1; set"):
        image_model(torch.randn(1, 1, 20, 20))


def test_the_call_of_peft_for_sequence_classification_is_answered(model):
    inputs, labels = make_inputs(model), torch.tensor([0, 1])
    for return_dict in (None, True):
        output = model(
            input_ids=inputs["input_ids"],
            attention_mask=None,
            inputs_embeds=None,
            labels=labels,
            output_attentions=None,
            output_hidden_states=None,
            return_dict=return_dict,
        )
        assert_close(output.loss, model(**inputs, labels=labels).loss, rtol=0, atol=0)


# Pipelines of transformers on the bare trunk


def test_the_feature_extraction_pipeline_gives_the_last_hidden_state(model, tokenizer):
    extract = pipeline("feature-extraction", model=model.anchornet, tokenizer=tokenizer)
    text = "a good film, not bad, good, good"
    expected = model.anchornet(**tokenizer(text, return_tensors="pt")).last_hidden_state
    assert isinstance(model.anchornet, AnchorNetTextModel)
    assert_close(torch.tensor(extract(text)), expected)


def test_the_image_feature_extraction_pipeline_gives_the_last_hidden_state(
    image_model, image_processor
):
    trunk = image_model.anchornet
    assert isinstance(trunk, AnchorNetImageModel)
    extract = pipeline("image-feature-extraction", model=trunk, image_processor=image_processor)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8))
    expected = trunk(**image_processor(picture, return_tensors="pt")).last_hidden_state
    assert_close(torch.tensor(extract(picture)), expected)


# Export


def assert_same_but_for_masked_windows(found, expected):
    """What an exported program adds lies behind the windows of the model and counts for nothing."""
    assert_close(found.logits, expected.logits, rtol=1e-5, atol=1e-5)
    for name in ("evidence", "masks"):
        for more, branch in zip(found[name], expected[name], strict=True):
            inside = tuple(slice(0, size) for size in branch.shape)
            assert_close(more[inside], branch, rtol=1e-5, atol=1e-5)
            assert more.count_nonzero() == more[inside].count_nonzero()


TOKENS = torch.export.Dim("tokens", min=2, max=1000)


@pytest.mark.parametrize("example", [5, 30])
def test_texts_shorter_than_the_largest_window_export_too(model, example):
    exported = torch.export.export(
        model,
        (torch.randint(2, 80, (2, example)),),
        {"attention_mask": torch.ones(2, example, dtype=torch.long), "output_evidence": True},
        dynamic_shapes={
            "input_ids": {1: TOKENS},
            "attention_mask": {1: TOKENS},
            "output_evidence": None,
        },
    ).module()
    for length in (2, 3, 8, 9, 10, 77):
        ids, mask = torch.randint(2, 80, (2, length)), torch.ones(2, length, dtype=torch.long)
        mask[1, : length // 2] = 0
        found = exported(ids, attention_mask=mask, output_evidence=True)
        expected = model(ids, mask, output_evidence=True)
        assert_same_but_for_masked_windows(found, expected)


def test_images_down_to_the_largest_window_export(image_model):
    height, width = (torch.export.Dim(name, min=11, max=500) for name in ("height", "width"))
    exported = torch.export.export(
        image_model,
        (torch.randn(2, 3, 17, 23),),
        {"output_evidence": True},
        dynamic_shapes={"pixel_values": {2: height, 3: width}, "output_evidence": None},
    ).module()
    for size in ((11, 11), (11, 40), (33, 12), (64, 65)):
        pixels = torch.randn(2, 3, *size)
        found = exported(pixels, output_evidence=True)
        expected = image_model(pixels, output_evidence=True)
        assert_same_but_for_masked_windows(found, expected)
