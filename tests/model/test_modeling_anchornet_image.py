"""What only images have: skips, the published layout, the folded copy; what transformers expects.

The contract that both modalities keep is tested in `test_contract.py`.
"""

import pytest
import torch
from conftest import randomize_norms
from torch.testing import assert_close
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetImageConfig,
    AnchorNetImageModel,
    AnchorNetTextForSequenceClassification,
)


def random_pixels(batch=2, height=17, width=23):
    return torch.randn(batch, 3, height, width)


def in_training(model):
    """The model in training mode, its normalisations as they are and nothing dropped."""
    model.aggregation.dropout.p = 0.0
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return model


def make_model(config, **fields):
    """A random classifier, its normalisations random too."""
    for name, value in fields.items():
        setattr(config, name, value)
    return randomize_norms(AnchorNetForImageClassification(config)).eval()


# Windows and skips


def test_the_default_trunk_has_the_windows_of_the_paper_at_a_stride_of_8():
    config = AnchorNetImageConfig(branch_depths=[2, 3, 4, 5, 6, 7, 8])
    windows = AnchorNetImageModel(config).windows
    assert [window.size for window in windows] == [7, 15, 31, 47, 63, 79, 95]
    assert [window.stride for window in windows] == [4, 8, 8, 8, 8, 8, 8]
    assert [w.size for w in AnchorNetImageModel(AnchorNetImageConfig()).windows] == [31, 63, 95]


@pytest.mark.parametrize("squeeze_excite", [False, True])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_a_block_adds_the_centre_of_its_window_or_as_published_its_near_corner(
    image_config, kernel, dilation, squeeze_excite
):
    image_config.kernel_sizes, image_config.dilations = [3, 3, kernel], [1, 1, dilation]
    image_config.squeeze_excite = squeeze_excite
    block = AnchorNetImageModel(image_config).eval().layers[2]
    torch.nn.init.zeros_(block.project.norm.weight)  # only the skip is left
    hidden = torch.randn(1, 8, 14, 15)
    lost = (kernel - 1) * dilation
    first = 0 if squeeze_excite else lost // 2
    expected = hidden[:, :, first : first + 14 - lost, first : first + 15 - lost]
    assert_close(block(hidden), expected, rtol=0, atol=0)


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_only_squeeze_and_excitation_sees_the_whole_map(image_config, squeeze_excite):
    model = make_model(image_config, squeeze_excite=squeeze_excite)
    pixels = random_pixels()
    changed = pixels.clone()
    changed[:, :, -1, -1] += 3.0  # far from the first window
    before, after = (model(x, output_evidence=True).evidence for x in (pixels, changed))
    for old, new in zip(before[1:], after[1:], strict=True):  # the first layer is plain
        assert torch.equal(new[:, 0, 0], old[:, 0, 0]) != squeeze_excite


@pytest.mark.parametrize(("height", "width"), [(10, 40), (40, 10), (1, 1)])
def test_an_image_smaller_than_the_largest_window_is_refused(image_model, height, width):
    message = f"`pixel_values` must be .* window, 11 x 11 px, got {height} x {width}; enlarge"
    with pytest.raises(ValueError, match=message):
        image_model(random_pixels(1, height, width))


def test_grey_and_many_channel_inputs_are_read(image_config):
    for num_channels in (1, 5):
        image_config.num_channels = num_channels
        model = AnchorNetForImageClassification(image_config).eval()
        assert model(torch.randn(1, num_channels, 12, 12)).logits.shape == (1, 2)


# The folded copy


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_the_folded_copy_gives_the_same_logits_and_evidence(image_config, squeeze_excite):
    model = make_model(image_config, squeeze_excite=squeeze_excite)
    pixels, fused = random_pixels(), model.fuse()
    one, other = (m(pixels, output_evidence=True) for m in (model, fused))
    assert_close(other.logits, one.logits, rtol=1e-4, atol=1e-5)
    assert_close(other.evidence, one.evidence, rtol=1e-4, atol=1e-5)
    assert not [m for m in fused.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_folding_leaves_the_original_as_it_was(image_model):
    pixels = random_pixels()
    image_model.train()
    before = {name: value.clone() for name, value in image_model.state_dict().items()}
    fused = image_model.fuse()
    torch.nn.init.zeros_(fused.aggregation.heads[0].weight)
    assert image_model.training
    assert not fused.training
    assert image_model.state_dict().keys() == before.keys()
    assert_close(dict(image_model.state_dict()), before, rtol=0, atol=0)
    assert image_model(pixels).logits.shape == (2, 2)


# Training


def test_every_parameter_gets_a_gradient(image_model):
    pixels, labels = random_pixels(4), torch.tensor([0, 1, 1, 0])
    in_training(image_model)(pixels, labels=labels).loss.backward()
    named = image_model.named_parameters()
    assert not [name for name, p in named if p.grad is None or not p.grad.any()]


def test_training_adds_the_branches_own_losses_and_the_evidence_penalty(image_model):
    image_model.config.evidence_penalty = 0.01
    pixels, labels = random_pixels(3), torch.tensor([0, 1, 1])
    output = in_training(image_model)(pixels, labels=labels, output_evidence=True)
    cross_entropy = torch.nn.functional.cross_entropy
    alone = [
        cross_entropy(output.bias + 3 * branch.sum(dim=(1, 2)), labels)
        for branch in output.evidence
    ]
    # with two labels, |e - mean| is half the difference for each of them
    penalty = sum((branch[..., 1] - branch[..., 0]).abs().sum() for branch in output.evidence) / 3
    expected = cross_entropy(output.logits, labels) + 0.3 * torch.stack(alone).mean()
    assert_close(output.loss, expected + 0.01 * penalty)
    evaluated = image_model.eval()(pixels, labels=labels).loss
    assert_close(evaluated, cross_entropy(output.logits, labels))


def test_two_training_steps_lower_the_loss(image_model):
    pixels, labels = random_pixels(4), torch.tensor([0, 1, 1, 0])
    optimizer = torch.optim.SGD(image_model.train().parameters(), lr=0.01)
    losses = []
    image_model.aggregation.dropout.p = 0.0
    for _ in range(3):
        loss = image_model(pixels, labels=labels).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[2] < losses[1] < losses[0]


def test_multi_label_targets_train_with_a_sigmoid_loss(image_config):
    image_config.problem_type = "multi_label_classification"
    model = AnchorNetForImageClassification(image_config).eval()
    targets = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    output = model(random_pixels(), labels=targets)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, targets)
    assert_close(output.loss, expected)


def test_dropout_acts_in_training_only(image_model):
    pixels = random_pixels()
    in_training(image_model).aggregation.dropout.p = 0.5
    assert not torch.equal(image_model(pixels).logits, image_model(pixels).logits)
    assert torch.equal(image_model.eval()(pixels).logits, image_model(pixels).logits)


# Saving and loading


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_saved_and_loaded_models_give_the_same_logits(image_config, squeeze_excite, tmp_path):
    model = make_model(image_config, squeeze_excite=squeeze_excite)
    model.save_pretrained(tmp_path)
    loaded = AnchorNetForImageClassification.from_pretrained(tmp_path)
    pixels = random_pixels()
    assert_close(loaded(pixels).logits, model(pixels).logits, rtol=0, atol=0)


def test_the_auto_classes_load_config_trunk_and_classifier(image_model, tmp_path):
    image_model.save_pretrained(tmp_path)
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path)
    trunk, pixels = AutoModel.from_pretrained(tmp_path), random_pixels()
    assert type(AutoConfig.from_pretrained(tmp_path)) is AnchorNetImageConfig
    assert type(classifier) is AnchorNetForImageClassification
    assert type(trunk) is AnchorNetImageModel
    assert_close(trunk(pixels).features, image_model.anchornet(pixels).features, rtol=0, atol=0)


def test_a_text_checkpoint_does_not_load_as_an_image_model(model, tmp_path):
    model.save_pretrained(tmp_path)
    message = '`model_type` .* must be "anchornet_image", got "anchornet_text"; load it'
    with pytest.raises(ValueError, match=message):
        AnchorNetForImageClassification.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"Unrecognized configuration class .*TextConfig"):
        AutoModelForImageClassification.from_pretrained(tmp_path)


def test_an_image_checkpoint_does_not_load_as_a_text_model(image_model, tmp_path):
    image_model.save_pretrained(tmp_path)
    message = '`model_type` .* must be "anchornet_text", got "anchornet_image"; load it'
    with pytest.raises(ValueError, match=message):
        AnchorNetTextForSequenceClassification.from_pretrained(tmp_path)


def test_half_precision_weights_load_as_half_precision_and_keep_evidence_in_float32(
    image_model, tmp_path
):
    image_model.half().save_pretrained(tmp_path)
    loaded = AnchorNetForImageClassification.from_pretrained(tmp_path)
    output = loaded(random_pixels().half(), output_evidence=True)
    assert loaded.dtype == torch.float16
    assert {branch.dtype for branch in output.evidence} == {torch.float32}
    assert output.logits.isfinite().all()


def test_a_bad_field_given_to_from_pretrained_is_refused(image_model, tmp_path):
    image_model.save_pretrained(tmp_path)
    with pytest.raises(Exception, match="`num_channels` must be at least 1"):
        AnchorNetForImageClassification.from_pretrained(tmp_path, num_channels=0)


def test_tuples_and_model_outputs_agree(image_model):
    pixels = random_pixels()
    assert_close(image_model(pixels, return_dict=False)[0], image_model(pixels).logits)


def test_evidence_is_returned_when_the_config_asks_for_it(image_model):
    assert image_model(random_pixels()).evidence is None
    image_model.config.output_evidence = True
    assert len(image_model(random_pixels()).evidence) == 3


# Compiled


def test_the_model_exports_with_any_height_and_width(image_model):
    # One position of a branch is a case of its own for the exporter: 13 px give two.
    height, width = (torch.export.Dim(name, min=13, max=500) for name in ("height", "width"))
    exported = torch.export.export(
        image_model,
        (random_pixels(),),
        {"output_evidence": True},
        dynamic_shapes={"pixel_values": {2: height, 3: width}, "output_evidence": None},
    )
    pixels = random_pixels(2, 31, 40)
    output = exported.module()(pixels, output_evidence=True)
    assert_close(output.logits, image_model(pixels).logits)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
def test_the_model_compiles_to_one_graph_for_any_size(image_model, masked):
    compiled = torch.compile(image_model, fullgraph=True, dynamic=True, backend="eager")
    for height, width in [(17, 23), (31, 40), (12, 55)]:
        pixels = random_pixels(2, height, width)
        mask = torch.ones(2, height, width) if masked else None
        assert_close(compiled(pixels, mask).logits, image_model(pixels, mask).logits)
