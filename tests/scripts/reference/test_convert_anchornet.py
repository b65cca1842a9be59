"""The published network as one of ours: against stored outputs of the authors' own code."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close
from transformers import AutoModelForImageClassification

from hf_anchornet import AnchorNetForImageClassification, AnchorNetImageConfig
from hf_anchornet.model.geometry import Window
from scripts.reference.authors import (
    choose_boxes,
    choose_published_boxes,
    random_maps,
    random_pixels,
    run_converted,
)
from scripts.reference.convert_anchornet import (
    convert_reference_state_dict,
    load_reference_checkpoint,
    random_reference_state_dict,
    reference_config,
)

# Written by `scripts.reference.check --example`, which runs the authors' code.
EXPECTED = load_file(Path(__file__).parents[2] / "golden/reference.safetensors")


def crop_both_ends(layer):
    layer.crop = 1


def remove_gate(layer):
    layer.gate = nn.Identity()


def enlarge_epsilon(layer):
    layer.depthwise.norm.eps = 1e-3


def change_activation(layer):
    layer.depthwise.activation = nn.GELU()


@pytest.fixture
def state():
    return random_reference_state_dict(seed=0)


def load(state):
    model = AnchorNetForImageClassification(reference_config(len(state["fc.bias"])))
    model.load_state_dict(convert_reference_state_dict(state))
    return model.eval()


def run(model):
    return run_converted(model, random_pixels(0, 1, 3, 127, 119))


@pytest.mark.parametrize("name", ["features", "class_map", "logits"])
def test_the_converted_network_gives_what_the_authors_code_gave(state, name):
    assert_close(run(load(state))[name], EXPECTED[name], rtol=0, atol=1e-4)
    assert EXPECTED[name].abs().max() > 1  # so the tolerance is a small one


def test_folded_for_inference_it_gives_the_same(state):
    for name, one in run(load(state).fuse()).items():
        assert_close(one, EXPECTED[name], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "change", [crop_both_ends, remove_gate, enlarge_epsilon, change_activation]
)
def test_another_network_does_not_give_what_the_authors_code_gave(state, change):
    model = load(state)
    for layer in model.anchornet.layers[1:]:
        change(layer)
    for name, one in run(model).items():
        assert (one - EXPECTED[name]).abs().max() > 1e-2, name


def test_the_authors_boxes_are_chosen_from_the_same_maps():
    boxes = choose_published_boxes(random_maps(9, 32, 17, 9), 5, 0.3)
    assert torch.equal(boxes.int(), EXPECTED["boxes"])


def test_our_boxes_differ_from_the_authors_only_where_theirs_overlap_in_the_corner():
    ours, theirs = choose_boxes(random_maps(9, 32, 17, 9), 5, 0.3), EXPECTED["boxes"]
    differs = (ours != theirs).flatten(1).any(dim=1)
    corner = (theirs[..., :2] == 0).all(dim=-1).any(dim=1)
    assert differs.any()
    assert corner[differs].all()


def test_the_published_layers_have_windows_of_95_px():
    model = AnchorNetForImageClassification(reference_config(2))
    assert model.windows == (Window(95, 8),)
    assert model.num_labels == 2


def test_the_linear_map_keeps_every_digit(state):
    weights = convert_reference_state_dict(state)
    assert torch.equal(weights["aggregation.heads.0.weight"] * 8, state["fc.weight"])
    assert torch.equal(weights["aggregation.bias"], state["fc.bias"])


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [None, "net", "state_dict"])
def test_checkpoints_in_any_wrapping_are_converted(state, prefix, wrap):
    wrapped = {prefix + name: tensor for name, tensor in state.items()}
    wrapped = {wrap: wrapped, "epoch": 3} if wrap else wrapped
    expected, got = convert_reference_state_dict(state), convert_reference_state_dict(wrapped)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_the_expansion_that_the_first_block_never_uses_is_dropped(state):
    unused = {"bneck.0.conv1.weight": torch.ones(16, 16, 1, 1), "bneck.0.bn1.bias": torch.ones(16)}
    assert convert_reference_state_dict({**state, **unused}).keys() == (
        convert_reference_state_dict(state).keys()
    )


def test_the_given_weights_stay_as_they_are(state):
    before = state["fc.weight"].clone()
    convert_reference_state_dict(state)
    assert torch.equal(state["fc.weight"], before)


def test_weights_of_another_network_are_named(state):
    del state["bneck.3.se.se1.bias"]
    state["layer4.weight"] = torch.ones(1)
    state["conv1.weight"] = torch.ones(16, 3, 5, 5)
    with pytest.raises(ValueError, match="`state` must hold the weights of the AnchorNet") as error:
        convert_reference_state_dict(state)
    assert "missing: ['bneck.3.se.se1.bias'], unexpected: ['layer4.weight']" in str(error.value)
    assert "conv1.weight (16, 3, 5, 5) instead of (16, 3, 3, 3)" in str(error.value)


@pytest.mark.parametrize("state", [{}, {"epoch": 3}])
def test_a_checkpoint_without_weights_is_refused(state):
    with pytest.raises(ValueError, match=r"missing: \['bn1\.bias'"):
        convert_reference_state_dict(state)


def test_a_checkpoint_file_becomes_a_folder_that_gives_the_same(tmp_path):
    state = random_reference_state_dict(seed=1, num_labels=7)
    torch.save({"net": state, "epoch": 1}, tmp_path / "anchornet.pth.tar")
    model = load_reference_checkpoint(str(tmp_path / "anchornet.pth.tar"))
    model.save_pretrained(tmp_path / "folder")
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "folder")
    assert loaded.config.num_labels == 7
    got = loaded.state_dict()
    assert all(torch.equal(got[name], one) for name, one in model.state_dict().items())


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"`path` must be a file with a state dict, got list in"):
        load_reference_checkpoint(str(tmp_path / "list.pth"))


def test_random_weights_are_the_same_for_the_same_seed(state):
    again, other = random_reference_state_dict(0), random_reference_state_dict(1)
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert not torch.equal(state["fc.weight"], other["fc.weight"])


def test_squeeze_and_excitation_fits_other_layers():
    config = AnchorNetImageConfig(
        channels=[4, 2, 2],
        expand_ratios=[1, 2, 1.5],
        kernel_sizes=[3, 5, 3],
        strides=[2, 1, 1],
        dilations=[1, 1, 2],
        branch_depths=[1, 3],
        hidden_size=8,
        squeeze_excite=True,
    )
    model = AnchorNetForImageClassification(config)
    output = model(torch.rand(2, 3, 40, 33), labels=torch.tensor([0, 1]), output_evidence=True)
    output.loss.backward()
    assert all(one.grad is not None for one in model.parameters())
    total = output.bias + sum(one.flatten(1, 2).sum(dim=1) for one in output.evidence)
    assert_close(total, output.logits, rtol=1e-5, atol=1e-6)
