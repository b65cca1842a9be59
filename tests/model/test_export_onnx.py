"""ONNX graphs give what the models give, on ONNX Runtime, for inputs of any size."""

import json
import sys

import pytest
import torch
from torch.testing import assert_close
from transformers import (
    AutoModelForSequenceClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from hf_anchornet.model.backend import OnnxNetwork
from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig
from hf_anchornet.model.export_onnx import (
    WINDOWS,
    export_onnx,
    fingerprint,
    search_by_halves,
    trace_graph,
)
from hf_anchornet.model.graph_seal import is_sealed
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
LENGTHS = [[20, 13], [33], [9, 8, 1], [2, 1], [1], [12, 0], [0]]
SIZES = [[(20, 20)], [(11, 11)], [(40, 31), (15, 31), (40, 12)], [(64, 12), (11, 12)]]


def make_texts(lengths, side="right"):
    """Random tokens, (batch, tokens), and a mask with so many tokens in each row."""
    positions = torch.arange(max(lengths))
    mask = (positions < torch.tensor(lengths)[:, None]).long()
    mask = mask if side == "right" else mask.flip(1)
    return torch.randint(2, 60, mask.shape), mask


def make_images(sizes):
    """Noise and a mask, each image in the top left corner."""
    height, width = torch.tensor(sizes).amax(dim=0).tolist()
    mask = torch.zeros(len(sizes), height, width, dtype=torch.long)
    for row, (high, wide) in enumerate(sizes):
        mask[row, :high, :wide] = 1
    return torch.randn(len(sizes), 3, height, width) * mask[:, None], mask


def assert_same_answers(network, model, *inputs):
    """All outputs of a localizer's graph are those of the model."""
    with torch.no_grad():
        expected = model(*inputs, output_evidence=True)
    found = network(*inputs, output_evidence=True)
    for name in ("logits", "bias", "evidence", "masks"):
        assert_close(getattr(found, name), expected[name], **TOLERANCE)


@pytest.fixture
def run(trace_once):
    """From a model to its graph on ONNX Runtime."""
    return lambda model: OnnxNetwork(trace_once(model).SerializeToString())


@pytest.fixture
def classifier(classifier_folder):
    return AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_graph_of_a_text_localizer_gives_its_logits_and_evidence(run, model, lengths, side):
    assert_same_answers(run(model), model, *make_texts(lengths, side))


def test_texts_that_the_model_reads_in_pieces_give_the_same_in_one(run, model):
    model.config.chunk_size = 6
    assert_same_answers(run(model), model, *make_texts([50, 31, 7]))


def test_without_a_mask_all_tokens_are_real(run, model):
    ids, _ = make_texts([20, 20])
    assert_same_answers(run(model), model, ids)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_graph_of_an_image_localizer_gives_its_logits_and_evidence(run, image_model, sizes):
    assert_same_answers(run(image_model), image_model, *make_images(sizes))


def test_a_graph_divides_by_the_same_power_of_the_number_of_windows(run, image_model):
    image_model.config.count_exponent = 0.5
    assert_same_answers(run(image_model), image_model, *make_images([(40, 33), (25, 30)]))


def test_a_graph_of_coarse_windows_has_as_many_positions_as_there_are(trace_once):
    """A stride above 9 px gave graphs that knew a single position."""
    config = AnchorNetImageConfig(
        hidden_size=4,
        channels=[4, 4],
        expand_ratios=[1, 1],
        kernel_sizes=[3, 3],
        strides=[4, 4],
        branch_depths=[1, 2],
    )
    model = AnchorNetForImageClassification(config).eval()
    run = OnnxNetwork(trace_once(model).SerializeToString())
    for sizes in ([(60, 44)], [(11, 11)], [(40, 31), (15, 31)]):
        assert_same_answers(run, model, *make_images(sizes))


def test_without_a_mask_all_pixels_are_real(run, image_model):
    pixels, _ = make_images([(25, 19)])
    assert_same_answers(run(image_model), image_model, pixels)


@pytest.mark.parametrize("lengths", [[20, 13], [33], [1]], ids=str)
def test_a_graph_of_a_bert_gives_its_logits(run, classifier, lengths):
    ids, mask = make_texts(lengths)
    expected = classifier(ids, attention_mask=mask).logits.detach()
    assert_close(run(classifier)(ids, mask).logits, expected, **TOLERANCE)


@pytest.mark.parametrize("size", [(32, 32), (40, 33)], ids=str)
def test_a_graph_of_a_resnet_gives_its_logits(run, size):
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    model = ResNetForImageClassification(config).eval()
    for pixels in torch.randn(2, 3, *size), torch.randn(1, 3, *size):
        expected = model(pixels).logits.detach()
        assert_close(run(model)(pixels).logits, expected, **TOLERANCE)


def test_the_evidence_in_a_graph_adds_up_to_its_logits(run, model):
    output = run(model)(*make_texts([20, 13]), output_evidence=True)
    total = output.bias + sum(branch.sum(dim=1) for branch in output.evidence)
    assert_close(output.logits, total, rtol=1e-5, atol=1e-6)


def test_a_graph_knows_its_windows(run, model):
    windows = json.loads(run(model).metadata[WINDOWS])
    assert windows == [[window.size, window.stride] for window in model.windows]


def test_a_folder_keeps_its_graph_where_the_backend_finds_it(classifier, tmp_path, trace_once):
    assert export_onnx(classifier, tmp_path) == tmp_path / "onnx" / "model.onnx"
    assert OnnxNetwork(tmp_path / "onnx" / "model.onnx").output_names == ["logits"]
    assert export_onnx(classifier, tmp_path / "a" / "b.onnx") == tmp_path / "a" / "b.onnx"
    (tmp_path / "v1.0").mkdir()
    assert export_onnx(classifier, tmp_path / "v1.0").parent == tmp_path / "v1.0" / "onnx"
    with pytest.raises(ValueError, match=r"`path` must be a file that ends in \.onnx .*b\.txt'"):
        export_onnx(classifier, tmp_path / "b.txt")
    assert not (tmp_path / "b.txt").exists()


def test_8_bits_make_a_graph_smaller_and_the_answers_similar(run, model, tmp_path, trace_once):
    file = export_onnx(model, tmp_path / "int8.onnx", int8=True)
    small, graph, texts = OnnxNetwork(file), trace_once(model), make_texts([20, 13])
    assert file.stat().st_size < graph.ByteSize()
    assert is_sealed(file.read_bytes(), fingerprint(model))
    found, expected = small(*texts).logits, run(model)(*texts).logits
    assert not torch.equal(found, expected)
    assert_close(found, expected, rtol=0.1, atol=0.1)


def test_a_fingerprint_outlives_saving(classifier, classifier_folder, tmp_path):
    classifier.save_pretrained(tmp_path / "again")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again")
    assert fingerprint(again) == fingerprint(classifier)


def test_a_fingerprint_is_of_the_weights(model):
    before = fingerprint(model)
    with torch.no_grad():
        model.aggregation.bias[0] += 1e-3
    assert fingerprint(model) != before


def test_a_fingerprint_is_of_the_settings_that_matter(model):
    before = fingerprint(model)
    model.config.chunk_size = 7
    assert fingerprint(model) == before
    model.config.layer_norm_eps = 0.1
    assert fingerprint(model) != before


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33])
def test_a_search_by_halves_finds_what_searchsorted_finds(count, dtype):
    known = torch.randint(0, 40, (count,)).sort().values.to(dtype)
    values = torch.randint(-2, 45, (4, 9)).to(dtype)
    assert_close(search_by_halves(known, values), torch.searchsorted(known, values))


def test_a_model_that_reads_something_else_is_refused(model, monkeypatch):
    monkeypatch.setattr(type(model), "main_input_name", "input_features")
    with pytest.raises(ValueError, match=r"`model` must read `input_ids` or .* `input_features`"):
        trace_graph(model)


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_its_extra(model, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"hf-anchornet\[onnx\]"):
        trace_graph(model)
