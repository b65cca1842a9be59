"""A trunk of pretrained blocks: the same numbers as in their network, and training from them."""

import json

import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import (
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetImageProcessorPil,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ResNetConfig,
    ResNetModel,
)

from hf_anchornet.cli import train
from hf_anchornet.cli.modalities import run_for_data
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from hf_anchornet.training.backbone import Backbone, can_start_from
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import make_image_localizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.5, 0.2]


def make_network(kind):
    torch.manual_seed(0)
    if kind == "mobilenet_v2":
        config = MobileNetV2Config(depth_multiplier=0.35, tf_padding=False, num_labels=3)
        return MobileNetV2ForImageClassification(config)
    # With next to no squeeze-and-excitation, which a localizer leaves out.
    config = EfficientNetConfig(
        width_coefficient=0.3,
        depth_coefficient=0.5,
        hidden_dim=384,
        hidden_act="relu6",
        num_labels=3,
    )
    network = EfficientNetForImageClassification(config)
    for name, weights in network.named_parameters():
        if "squeeze_excite" in name:
            torch.nn.init.constant_(weights, 30.0 if name.endswith("expand.bias") else 0.0)
    return network


@pytest.fixture(params=["mobilenet_v2", "efficientnet"])
def network(request):
    network = make_network(request.param)
    with torch.no_grad():  # numbers as after training, that tell one place from another
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for weights in (module.running_var, module.weight):
                    weights.uniform_(0.5, 1.5)
                for weights in (module.running_mean, module.bias):
                    weights.normal_(std=0.1)
            elif isinstance(module, torch.nn.Conv2d) and "squeeze_excite" not in name:
                torch.nn.init.kaiming_normal_(module.weight)
    return network.eval()


@pytest.fixture
def folder(network, tmp_path):
    network.save_pretrained(tmp_path / "backbone")
    processor = EfficientNetImageProcessorPil(image_mean=MEAN, image_std=STD)
    processor.save_pretrained(tmp_path / "backbone")
    return str(tmp_path / "backbone")


def find_block_output(network, depth, pixel_values):
    """What the network computes after its block `depth`, counted from 1: (channels, y, x)."""
    found = {}
    if network.config.model_type == "mobilenet_v2":
        stem, layers = network.mobilenet_v2.conv_stem, network.mobilenet_v2.layer
        module = stem if depth == 1 else layers[depth - 2]
    else:
        module = network.efficientnet.encoder.blocks[depth - 1]
    hook = module.register_forward_hook(lambda module, given, output: found.update(it=output))
    network(pixel_values=pixel_values)
    hook.remove()
    return found["it"][0]


def measure_gap(ours, theirs):
    """Least difference of the middle of our map to any part of theirs, along the diagonal."""
    middle = ours[:, 2:-2, 2:-2]
    rows, columns = middle.shape[1:]
    parts = (theirs[:, at : at + rows, at : at + columns] for at in range(12))
    return min((part - middle).abs().max() for part in parts if part.shape == middle.shape)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@torch.no_grad()
def test_features_are_those_of_the_network_away_from_its_padding(network, folder, depth):
    assert can_start_from(folder)
    backbone = Backbone.open(folder)
    options = backbone.choose_architecture(ImageLocalizerOptions(branch_depths=[depth + 1]))
    model = make_image_localizer(options, ["a", "b"], False, **backbone.list_fields(options))
    backbone.give_trunk(model)
    pixels = torch.rand(1, 3, 224, 224)
    theirs = find_block_output(network, depth, pixels)
    # Padding shifts their windows by some pixels: ours must begin there, too.
    gaps = []
    for shift in range(model.windows[-1].stride):
        moved = pixels[:, :, shift:, shift:]
        ours = model.eval().anchornet(moved, output_hidden_states=True).hidden_states[-1][0]
        gaps.append(measure_gap(ours, theirs))
    assert min(gaps) < 1e-4 * theirs.abs().max()
    assert max(gaps) > 1e-2 * theirs.abs().max()


def test_branches_are_the_largest_windows_up_to_the_usual_one(folder):
    backbone = Backbone.open(folder)
    options = backbone.choose_architecture(ImageLocalizerOptions(backbone=folder))
    model = make_image_localizer(options, ["a", "b"], False, **backbone.list_fields(options))
    sizes = [window.size for window in model.windows]
    assert len(sizes) == 3
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 95


def test_options_that_were_chosen_may_be_given_again(folder):
    backbone = Backbone.open(folder)
    options = backbone.choose_architecture(ImageLocalizerOptions(backbone=folder))
    assert backbone.choose_architecture(options) == options  # as by the command of training.json


def test_a_localizer_learns_from_it(network, folder, tmp_path):
    colours = [(250, 0, 0), (0, 0, 250)]
    rows = {"image": [Image.new("RGB", (40, 36), colours[row % 2]) for row in range(8)]}
    rows["label"] = [("red", "blue")[row % 2] for row in range(8)]
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    given = {
        "dataset": str(tmp_path / "rows.parquet"),
        "output_dir": str(tmp_path / "run"),
        "validation_split": "train",
        "backbone": folder,
        "branch_depths": [2, 4],
        "num_epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-6,
        "image_size": 32,
        "crop_size": 32,
        "embedding_learning_rate": 0.0,
    }
    report = run_for_data(train.WORKS, given)
    model = AnchorNetForImageClassification.from_pretrained(tmp_path / "run")
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    learned = model.anchornet.layers[0].conv.weight
    torch.testing.assert_close(learned, first.weight, atol=1e-4, rtol=0)
    assert model.config.branch_depths == [2, 4]
    assert len(model.config.channels) == len(model.config.dilations) == 4
    assert model.config.hidden_act == "relu6"
    processor = json.loads((tmp_path / "run" / "preprocessor_config.json").read_text("utf-8"))
    assert (processor["image_mean"], processor["image_std"]) == (MEAN, STD)
    assert "--backbone" in report["command"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [8, 8]}, r"`channels` must be left out with `backbone`.* got \[8, 8\]"),
        ({"branch_depths": [1, 99]}, r"`branch_depths` must be at most \d+, .* got \[1, 99\]"),
    ],
)
def test_options_that_it_decides_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        Backbone.open(folder).choose_architecture(ImageLocalizerOptions(**options))


def test_other_networks_are_refused(tmp_path):
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "resnet")
    with pytest.raises(ValueError, match=r'`backbone` must begin .* got .* of type "resnet"'):
        Backbone.open(str(tmp_path / "resnet"))
    assert not can_start_from(str(tmp_path / "resnet"))
    with pytest.raises(ValueError, match="`backbone` must be None with `from_localizer`"):
        ImageLocalizerOptions(from_localizer="a", backbone="b")
