"""Grad-CAM: by hand, on the map that is found, and on an AnchorNet's windows."""

import pytest
import torch
from torch.testing import assert_close
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from hf_anchornet.explain.grad_cam import compute_grad_cam, find_last_map
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.model.geometry import spread_over_pixels


@pytest.fixture
def resnet():
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=2)
    processor = ViTImageProcessorPil(size={"height": 64, "width": 64})
    return ImageSubject(ResNetForImageClassification(config), processor)


def by_hand(features, logit):
    """Equations 1 and 2 of 1610.02391."""
    (gradient,) = torch.autograd.grad(logit, features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).relu()[0].double().detach()


def test_the_last_map_is_what_is_pooled(resnet):
    found = find_last_map(resnet.model, torch.rand(1, 3, 64, 64))
    assert found is resnet.model.resnet.encoder.stages[-1]


def test_grad_cam_weighs_features_by_their_mean_gradient(resnet):
    pixels = torch.rand(1, 3, 64, 64)
    layer = resnet.model.resnet.encoder.stages[-1]
    cam = compute_grad_cam(resnet, pixels, 1, layer)
    features = resnet.model.resnet(pixels).last_hidden_state
    expected = by_hand(features, resnet.model.classifier(features.mean(dim=(2, 3)))[0, 1])
    assert cam.shape == (8, 8)
    assert cam.max() > 0
    assert_close(torch.from_numpy(cam), expected, rtol=1e-4, atol=1e-6)
    assert_close(
        torch.from_numpy(compute_grad_cam(resnet, pixels, 1)), expected, rtol=1e-4, atol=1e-6
    )


def test_the_map_of_an_anchornet_is_spread_over_its_windows(image_model, image_processor):
    subject = ImageSubject(image_model, image_processor)
    pixels = torch.rand(1, 3, 32, 40)
    cam = compute_grad_cam(subject, pixels, 1)
    assert cam.shape == (32, 40)
    layer = image_model.anchornet.branches[-1]
    coarse = torch.from_numpy(compute_grad_cam(subject, pixels, 1, layer))
    window = image_model.windows[-1]
    assert coarse.shape == (window.num_positions(32), window.num_positions(40))
    sizes = torch.tensor([[32, 40]])
    assert_close(torch.from_numpy(cam), spread_over_pixels(coarse[None], window, sizes)[0])


def test_a_network_without_a_map_asks_for_a_layer():
    class Flat(torch.nn.Module):
        def forward(self, pixel_values):
            return pixel_values.flatten(1)

    with pytest.raises(ValueError, match="`layer` must be given"):
        find_last_map(Flat(), torch.rand(1, 3, 8, 8))


def test_a_vision_transformer_has_but_the_map_of_its_patches(image_classifier_folder):
    model = ViTForImageClassification.from_pretrained(image_classifier_folder)
    found = find_last_map(model, torch.rand(1, 3, 16, 16))
    assert found is model.vit.embeddings.patch_embeddings.projection
