"""Every backend gives the same answers; graphs are found, made, or refused with a reason."""

import sys

import numpy as np
import pytest
import torch
from conftest import assert_same, relabel
from PIL import Image
from torch.testing import assert_close
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from hf_anchornet import Cascade, PatchLocalizationPipeline, SpanLocalizationPipeline
from hf_anchornet.model.backend import OnnxNetwork, make_network
from hf_anchornet.model.export_onnx import export_onnx
from hf_anchornet.model.image_localizer import ImageLocalizer
from hf_anchornet.model.text_localizer import TextLocalizer

WORDS = ["the", "film", "was", "not", "good", "bad", "a", "café", ",", "."]
# No passage stands twice: of two alike, rounding would choose.
LONG = " ".join(np.random.default_rng(0).choice(WORDS, 60).tolist())
TEXTS = ["the film was not good, a bad café film", "", "good", LONG]


@pytest.fixture
def pictures():
    return [Image.effect_noise(size, 90).convert("RGB") for size in [(40, 40), (64, 40), (33, 50)]]


def rename_labels(folder, auto_class, labels):
    """The folder of a classifier, which now has these labels."""
    classifier = auto_class.from_pretrained(folder)
    relabel(classifier, labels)
    classifier.save_pretrained(folder)
    return folder


@pytest.fixture
def named_classifier(classifier_folder):
    """The folder of a BERT with the localizer's labels."""
    labels = ["negative", "positive"]
    return rename_labels(classifier_folder, AutoModelForSequenceClassification, labels)


@pytest.fixture
def named_image_classifier(image_classifier_folder):
    """The folder of a ViT with the localizer's labels."""
    labels = ["cold", "warm"]
    return rename_labels(image_classifier_folder, AutoModelForImageClassification, labels)


def assert_same_answers(answers, others):
    """But for the milliseconds."""
    for answer in (*answers, *others):
        answer["cost"].pop("milliseconds", None)
    assert_same(answers, others)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_spans_are_the_same_on_onnx_runtime(
    model, tokenizer, named_classifier, batch_size, trace_once
):
    eager, onnx = (
        SpanLocalizationPipeline(
            model=model,
            tokenizer=tokenizer,
            classifier=named_classifier,
            exit_threshold=0.9,
            backend=backend,
        )
        for backend in ("eager", "onnx")
    )
    assert isinstance(onnx.localizer.network, OnnxNetwork)
    assert isinstance(onnx.reader.network, OnnxNetwork)
    assert_same_answers(onnx(TEXTS, batch_size=batch_size), eager(TEXTS, batch_size=batch_size))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_patches_are_the_same_on_onnx_runtime(
    image_model, image_processor, named_image_classifier, pictures, batch_size, trace_once
):
    eager, onnx = (
        PatchLocalizationPipeline(
            model=image_model,
            image_processor=image_processor,
            classifier=named_image_classifier,
            return_maps=True,
            backend=backend,
        )
        for backend in ("eager", "onnx")
    )
    assert isinstance(onnx.localizer.network, OnnxNetwork)
    assert isinstance(onnx.reader.network, OnnxNetwork)
    assert_same_answers(
        onnx(pictures, batch_size=batch_size), eager(pictures, batch_size=batch_size)
    )


def test_a_cascade_answers_and_costs_the_same_on_onnx_runtime(
    random_folder, named_classifier, trace_once, tmp_path
):
    options = {"stages": [4, 8, "full"], "exit_threshold": 0.99}
    eager = Cascade.load(random_folder, named_classifier, **options)
    eager.save_pretrained(tmp_path / "cascade")
    loaded = Cascade.load(random_folder, named_classifier, **options, backend="onnx")
    opened = Cascade.from_pretrained(tmp_path / "cascade", backend="onnx")
    expected = eager(TEXTS)
    assert {answer["stage"] for answer in expected} > {0}
    for cascade in (loaded, opened):
        assert isinstance(cascade.localizer.network, OnnxNetwork)
        assert isinstance(cascade.reader.network, OnnxNetwork)
        assert_same_answers(cascade(TEXTS), expected)


def test_ngrams_answer_on_onnx_runtime_as_in_torch(
    random_folder, named_classifier, trace_once, monkeypatch
):
    options = {"stages": ["ngrams", "localizer", 4, "full"], "exit_threshold": [0.505, 0.95, 1.0]}
    eager = Cascade.load(random_folder, named_classifier, **options)
    onnx = Cascade.load(random_folder, named_classifier, **options, backend="onnx")
    texts = ["bad good", "film good", "a bad film", "not good", "the good was good"]
    sizes, run = [], OnnxNetwork.__call__

    def note(self, *inputs, **named):
        sizes.append(len(inputs[0]) if inputs else 0)
        return run(self, *inputs, **named)

    monkeypatch.setattr(OnnxNetwork, "__call__", note)
    expected = eager(texts)
    assert len({answer["stage"] for answer in expected}) >= 3
    assert_same_answers(onnx(texts), expected)
    stay = sum(answer["stage"] > 0 for answer in expected)
    assert sizes[0] == stay < len(texts)  # the rest saw no graph


def test_a_pipeline_reads_a_cascade_by_its_own_backend(
    model, tokenizer, random_folder, named_classifier, trace_once, tmp_path
):
    Cascade.load(random_folder, named_classifier, [4]).save_pretrained(tmp_path / "cascade")
    localize = SpanLocalizationPipeline(
        model=model, tokenizer=tokenizer, classifier=tmp_path / "cascade", backend="onnx"
    )
    assert isinstance(localize.cascade.reader.network, OnnxNetwork)


def test_texts_are_the_same_compiled(model, tokenizer, trace_quickly):
    eager, compiled = (TextLocalizer(model, tokenizer, name) for name in ("eager", "compile"))
    for texts in (TEXTS, TEXTS[:1], TEXTS[1:2]):
        assert_close(compiled.read(texts).logits, eager.read(texts).logits)
        assert_close(compiled.read(texts).evidence, eager.read(texts).evidence)
    assert compiled.network is not model


def test_images_are_the_same_compiled(image_model, image_processor, pictures, trace_quickly):
    eager, compiled = (
        ImageLocalizer(image_model, image_processor, name) for name in ("eager", "compile")
    )
    for images in (pictures, pictures[:1]):
        one, other = compiled.read(images), eager.read(images)
        assert_close(one.logits, other.logits, rtol=1e-4, atol=1e-5)
        assert_close(one.attribution, other.attribution, rtol=1e-4, atol=1e-5)
        assert one.multiply_adds() == other.multiply_adds()


def test_pieces_of_texts_are_not_compiled_for_each_length(model, trace_quickly):
    model.config.chunk_size = 20
    compiled = make_network(model, "compile")
    with torch.no_grad():
        for length in range(21, 300, 20):
            ids = torch.randint(2, 60, (2, length))
            assert_close(compiled(ids).logits, model(ids).logits)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] < 8


# torch's own compiler still imports modules that use what torch has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.slow
def test_texts_are_the_same_compiled_to_machine_code(model, tokenizer):
    torch.compiler.reset()
    eager, compiled = (TextLocalizer(model, tokenizer, name) for name in ("eager", "compile"))
    for texts in (TEXTS, TEXTS[:1]):
        assert_close(compiled.read(texts).logits, eager.read(texts).logits, rtol=1e-4, atol=1e-5)


def test_a_published_graph_is_found(random_folder, classifier_folder, trace_once, monkeypatch):
    localizer = TextLocalizer.load(random_folder)
    export_onnx(localizer.model, random_folder)
    monkeypatch.setattr("hf_anchornet.model.backend.trace_graph", None)
    found = TextLocalizer.load(random_folder, backend="onnx")
    assert_close(found.read(TEXTS).logits, localizer.read(TEXTS).logits, rtol=1e-4, atol=1e-5)


def test_a_published_graph_is_found_in_a_subfolder(classifier_folder, trace_once, monkeypatch):
    parent, _, name = classifier_folder.rpartition("/")
    model = AutoModelForSequenceClassification.from_pretrained(parent, subfolder=name)
    export_onnx(model, classifier_folder)
    monkeypatch.setattr("hf_anchornet.model.backend.trace_graph", None)
    assert isinstance(make_network(model, "onnx", name), OnnxNetwork)


def test_a_graph_of_other_weights_is_left_out(classifier_folder, trace_once, caplog):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()
    export_onnx(model, classifier_folder)
    with torch.no_grad():
        model.classifier.bias += 1
    ids = torch.tensor([[5, 6, 7]])
    network = make_network(model, "onnx")
    assert_close(network(ids).logits, model(ids).logits.detach(), rtol=1e-4, atol=1e-5)
    assert "you did not export it from these weights and settings" in caplog.text
    assert "exporting" in caplog.text


def test_other_inputs_than_a_graphs_must_say_nothing(classifier_folder, trace_once):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()
    network, ids = make_network(model, "onnx"), torch.tensor([[5, 6, 7]])
    expected = model(ids).logits.detach()
    found = network(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits
    assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"`token_type_ids` must be 0 everywhere"):
        network(input_ids=ids, token_type_ids=torch.ones_like(ids))


@pytest.mark.parametrize("load", [TextLocalizer.load, Cascade.from_pretrained])
def test_an_unknown_backend_is_refused(text_cascade, tmp_path, load):
    text_cascade.save_pretrained(tmp_path / "cascade")
    message = r"`backend` must be one of eager, compile, onnx, got 'tensorrt'"
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "cascade", backend="tensorrt")


def test_a_pipeline_refuses_an_unknown_backend(model, tokenizer):
    with pytest.raises(ValueError, match=r"`backend` must be one of .*, got 'tensorrt'"):
        SpanLocalizationPipeline(model=model, tokenizer=tokenizer, backend="tensorrt")


def test_a_pipeline_of_images_refuses_an_unknown_backend(image_model, image_processor):
    with pytest.raises(ValueError, match=r"`backend` must be one of .*, got 'tensorrt'"):
        PatchLocalizationPipeline(
            model=image_model, image_processor=image_processor, backend="tensorrt"
        )


def test_a_backend_is_no_option_of_a_call(localize):
    with pytest.raises(TypeError, match=r"`backend` is not an option .* when it is made"):
        localize("good", backend="onnx")


def test_onnx_runtime_computes_on_the_processor_only(model):
    with pytest.raises(ValueError, match=r'`device` must be "cpu" with backend "onnx", got "meta"'):
        make_network(model.to("meta"), "onnx")


def test_a_missing_runtime_is_named_with_its_extra(model, monkeypatch, trace_once):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"onnxruntime .*hf-anchornet\[onnx\]"):
        make_network(model, "onnx")


def test_a_graph_runs_on_as_many_threads_as_torch(model, trace_once):
    options = make_network(model, "onnx").session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()
