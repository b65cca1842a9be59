"""A small EfficientNet, from whose first blocks a localizer can start."""

import torch
from transformers import (
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetImageProcessorPil,
)


def save_mobile_network(folder, labels, side):
    """Save one with random weights that reads pictures of `side` px; the folder."""
    torch.manual_seed(0)
    config = EfficientNetConfig(
        width_coefficient=0.2,
        depth_coefficient=0.3,
        hidden_dim=256,
        hidden_act="relu6",
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    EfficientNetForImageClassification(config).save_pretrained(folder)
    EfficientNetImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)
    return str(folder)
