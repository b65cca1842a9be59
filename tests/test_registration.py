"""Registration and half-size checkpoints."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.pipelines import PIPELINE_REGISTRY

from hf_anchornet import (
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_LOCALIZER,
    SAMPLE_IMAGE,
    SAMPLE_REVIEW,
    AnchorNetForImageClassification,
    AnchorNetImageModel,
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
    PatchLocalizationPipeline,
    SpanLocalizationPipeline,
)
from hf_anchornet.registration import (
    CASCADES,
    IMAGE_TASK,
    TEXT_TASK,
    find_shipped_cascade,
    load_pipeline,
    register,
)
from scripts.shrink import save_half


@pytest.mark.parametrize("task", ["span-localization", "patch-localization"])
def test_registering_twice_changes_nothing(task):
    before = dict(PIPELINE_REGISTRY.supported_tasks[task])
    register()
    register()
    assert PIPELINE_REGISTRY.supported_tasks[task] == before


@pytest.mark.parametrize(
    ("task", "source", "message"),
    [
        ("span-localization", DEFAULT_IMAGE_LOCALIZER, "must be one of texts .* one of images"),
        ("patch-localization", DEFAULT_TEXT_LOCALIZER, "must be one of images .* one of texts"),
    ],
)
def test_a_localizer_of_the_other_modality_is_named(task, source, message):
    with pytest.raises(ValueError, match=message):
        load_pipeline(task, str(source))


@pytest.mark.parametrize("task", list(CASCADES))
def test_the_shipped_cascade_of_a_task_answers_behind_its_shipped_localizer(task):
    found = find_shipped_cascade(task)
    assert found == CASCADES[task]
    localize = load_pipeline(task, classifier=str(found))
    inputs = {TEXT_TASK: SAMPLE_REVIEW.read_text("utf-8"), IMAGE_TASK: str(SAMPLE_IMAGE)}
    answer = localize(inputs[task], exit_threshold=1.0)
    assert answer["label"] == {TEXT_TASK: "positive", IMAGE_TASK: "Pliers"}[task]
    assert answer["cost"]["classifier_multiply_adds"] > 0


def test_the_auto_classes_make_the_models_of_both_modalities(config, image_config):
    for auto_class, given, model_class in [
        (AutoModel, config, AnchorNetTextModel),
        (AutoModelForSequenceClassification, config, AnchorNetTextForSequenceClassification),
        (AutoModel, image_config, AnchorNetImageModel),
        (AutoModelForImageClassification, image_config, AnchorNetForImageClassification),
    ]:
        assert type(auto_class.from_config(given)) is model_class


@pytest.mark.parametrize(
    ("task", "pipeline_class"),
    [
        ("span-localization", SpanLocalizationPipeline),
        ("patch-localization", PatchLocalizationPipeline),
    ],
)
def test_a_task_knows_its_pipeline_and_publishes_no_path_of_this_machine(task, pipeline_class):
    known = PIPELINE_REGISTRY.supported_tasks[task]
    assert known["impl"] is pipeline_class
    assert "default" in known
    assert "default" not in pipeline_class._registered_impl[task]


def test_half_a_checkpoint_has_half_the_size_and_loads_as_float32(model, tokenizer, tmp_path):
    full, half = tmp_path / "full", tmp_path / "half"
    model.save_pretrained(full)
    tokenizer.save_pretrained(full)
    save_half(str(full), half)
    stored = load_file(half / "model.safetensors")
    loaded = AutoModelForSequenceClassification.from_pretrained(half)
    sizes = [
        sum(v.nbytes for v in load_file(f / "model.safetensors").values() if v.is_floating_point())
        for f in (full, half)
    ]
    assert sizes[1] * 2 == sizes[0]
    assert {v.dtype for v in stored.values()} == {torch.float16, torch.int32}
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert loaded.ngrams.codes_2.equal(model.ngrams.codes_2)
    ids = tokenizer("the good film was not bad", return_tensors="pt").input_ids
    assert AutoTokenizer.from_pretrained(half)("the film").input_ids == [5, 4]
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=5e-3, atol=5e-3)


def test_half_a_bert_loads_as_float32(classifier_folder, tmp_path):
    save_half(classifier_folder, tmp_path / "half")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert loaded.config.id2label == {0: "sad", 1: "glad"}


def test_half_an_image_model_keeps_its_processor_and_loads_as_float32(
    image_model, image_processor, tmp_path
):
    image_model.save_pretrained(tmp_path / "full")
    image_processor.save_pretrained(tmp_path / "full")
    save_half(str(tmp_path / "full"), tmp_path / "half")
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert AutoImageProcessor.from_pretrained(tmp_path / "half").size.shortest_edge == 32
    pixels = torch.rand(1, 3, 32, 40)
    expected = image_model(pixels).logits
    torch.testing.assert_close(loaded(pixels).logits, expected, rtol=2e-2, atol=2e-2)


def test_a_model_without_a_head_is_not_halved(config, tmp_path):
    AnchorNetTextModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`source` must be a text or image classifier, got Anchor"):
        save_half(str(tmp_path), tmp_path / "half")
