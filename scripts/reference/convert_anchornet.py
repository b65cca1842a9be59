"""Convert the AnchorNet published at github winycg/AnchorNet to a folder for `from_pretrained`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.modeling_anchornet import SCORE_SCALE
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from scripts.options import parse_options

# Our names and theirs; the first match counts. `{block}` starts at 0 after the first convolution.
_RENAMED = (
    (r"anchornet\.layers\.0\.conv", "conv1"),
    (r"anchornet\.layers\.0\.norm", "bn1"),
    (r"anchornet\.layers\.(\d+)\.expand\.conv", "bneck.{block}.conv1"),
    (r"anchornet\.layers\.(\d+)\.expand\.norm", "bneck.{block}.bn1"),
    (r"anchornet\.layers\.(\d+)\.depthwise\.conv", "bneck.{block}.conv2"),
    (r"anchornet\.layers\.(\d+)\.depthwise\.norm", "bneck.{block}.bn2"),
    (r"anchornet\.layers\.(\d+)\.gate\.squeeze", "bneck.{block}.se.se1"),
    (r"anchornet\.layers\.(\d+)\.gate\.excite", "bneck.{block}.se.se2"),
    (r"anchornet\.layers\.(\d+)\.project\.conv", "bneck.{block}.conv3"),
    (r"anchornet\.layers\.(\d+)\.project\.norm", "bneck.{block}.bn3"),
    (r"anchornet\.branches\.0", "exp_conv"),
    (r"aggregation\.heads\.0", "fc"),
    (r"aggregation\.bias", "fc.bias"),
)


def reference_config(num_labels: int = 1000) -> AnchorNetImageConfig:
    """The configuration of the published network: windows of 95 px every 8 px.

    Args:
        num_labels: Number of classes; the published weights have ImageNet's 1000.
    """
    return AnchorNetImageConfig(
        channels=[16, 16, 24, 24, 48, 96, 96, 96],
        expand_ratios=[1, 1, 3, 4, 4, 2, 1.5, 1.5],
        branch_depths=[8],
        hidden_size=512,
        squeeze_excite=True,
        id2label={index: f"LABEL_{index}" for index in range(num_labels)},
    )


def load_reference_checkpoint(path: str) -> AnchorNetForImageClassification:
    """The published network as one of our models, for inference.

    Args:
        path: File saved by torch, with the input of `convert_reference_state_dict`; only tensors
            and plain containers are unpickled.

    Raises:
        ValueError: If it holds other weights.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(
            f"`path` must be a file with a state dict, got {type(state).__name__} in {path}; save "
            "`model.state_dict()`."
        )
    weights = convert_reference_state_dict(state)
    model = AnchorNetForImageClassification(reference_config(len(weights["aggregation.bias"])))
    model.load_state_dict(weights)
    model.train(False)
    return model


def convert_reference_state_dict(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for an `AnchorNetForImageClassification` of `reference_config`.

    The published blocks with expansion ratio 1 contain an unused expansion, which is dropped. The
    linear map is divided by `SCORE_SCALE`, exactly, as it is a power of two.

    Args:
        state: State dict of the published network, or a checkpoint that holds it under `net` or
            `state_dict`; names may start with `module.`.

    Raises:
        ValueError: If weights are missing, of another shape, or of another network.
    """
    for name in ("net", "state_dict"):
        if isinstance(state.get(name), Mapping):
            state = state[name]
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    ours = _empty_state_dict(len(state["fc.bias"]) if "fc.bias" in state else 1000)
    theirs = {name: _reference_name(name) for name in ours}
    _check_state_dict(state, {theirs[name]: tensor for name, tensor in ours.items()})
    converted = {name: state[theirs[name]].clone() for name in ours}
    converted["aggregation.heads.0.weight"] /= SCORE_SCALE
    return converted


def random_reference_state_dict(seed: int, num_labels: int = 1000) -> dict[str, Tensor]:
    """Random weights and statistics with the published names, the same on every machine.

    Each layer preserves the scale of its input; unused expansions are left out.

    Args:
        seed: Seed of the random numbers.
        num_labels: Number of classes.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    shapes = {_reference_name(name): t.shape for name, t in _empty_state_dict(num_labels).items()}
    for name, shape in sorted(shapes.items()):
        # Uniform numbers are exact on every machine; normal ones differ in the last digit.
        uniform = torch.rand(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.long)
        elif len(shape) > 1:
            state[name] = (uniform * 2 - 1) * (6 / shape[1:].numel()) ** 0.5
        elif name.endswith((".running_var", "bn1.weight", "bn2.weight", "bn3.weight")):
            state[name] = uniform + 0.5
        else:
            state[name] = uniform - 0.5
    return state


@cache
def _empty_state_dict(num_labels: int) -> dict[str, Tensor]:
    """Our names with tensors on the meta device, which have a shape but no memory."""
    with torch.device("meta"):
        return AnchorNetForImageClassification(reference_config(num_labels)).state_dict()


def _reference_name(name: str) -> str:
    for ours, theirs in _RENAMED:
        match = re.match(ours, name)
        if match:
            block = int(match[1]) - 1 if match.groups() else None
            return theirs.format(block=block) + name[match.end() :]
    raise ValueError(f"`name` must be a weight of `reference_config`, got {name!r}.")


def _check_state_dict(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    unused = r"bneck\.0\.(conv1|bn1)\."  # the only block with ratio 1
    missing = sorted(set(expected) - set(state))
    unexpected = sorted(name for name in set(state) - set(expected) if not re.match(unused, name))
    other = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(set(state) & set(expected))
        if state[name].shape != expected[name].shape
    ]
    if missing or unexpected or other:
        raise ValueError(
            "`state` must hold the weights of the AnchorNet of winycg/AnchorNet; missing: "
            f"{missing}, unexpected: {unexpected}, of another shape: {other}; give the file of "
            "that network, not of a downstream classifier."
        )


@dataclass
class Files:
    """Options of the conversion.

    Attributes:
        source: The authors' checkpoint, `anchornet.pth` or `.pth.tar`.
        target: Folder to write.
    """

    source: str
    target: str


def main() -> None:
    """Parse the options and convert."""
    (files,) = parse_options(Files, description=__doc__)
    load_reference_checkpoint(files.source).save_pretrained(files.target)
    # The scale at which the authors show images (shorter side 256 px, then a crop of 224), but the
    # whole picture: boxes are counted from its corner.
    AnchorNetImageProcessor(size={"shortest_edge": 256}).save_pretrained(files.target)


if __name__ == "__main__":
    main()
