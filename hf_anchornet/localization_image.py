"""What an image localizer says of a whole data set, batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from .boxes_anchornet import LocatedImages, RankedBoxes
from .geometry_anchornet import Window, center_evidence
from .image_processing_anchornet import Box, open_named_image, restore_boxes
from .pipeline_anchornet_image import PatchOptions


@dataclass(frozen=True)
class LocalizedImages:
    """A localizer's view of a batch of images; it explains the label that it predicts.

    Attributes:
        images: The originals, upright, RGB.
        located: Their evidence, centred over the labels of a single-label localizer.
        logits: (batch, labels).
        predicted: (batch,), int64, the label of the largest logit.
        attribution: (batch, height, width), to that label, see `LocatedImages.attribute`.
    """

    images: Sequence[Image.Image]
    located: LocatedImages
    logits: Tensor
    predicted: Tensor
    attribution: Tensor

    def select(self, top_k: int, scales: Sequence[int] | None = None) -> RankedBoxes:
        """The boxes that the pipeline would show, by its own defaults."""
        limit = PatchOptions().iou_threshold
        return self.located.select(self.predicted, self.attribution, top_k, limit, scales)

    def restore(self, boxes: Tensor, filled: Tensor | None = None) -> list[list[Box]]:
        """Boxes of each image in pixels of the original, in the order given.

        Args:
            boxes: (batch, ranks, 4), as in `RankedBoxes`.
            filled: (batch, ranks), bool, which of them to keep; default: all.
        """
        kept = torch.ones_like(boxes[..., 0], dtype=torch.bool) if filled is None else filled
        return [
            restore_boxes(boxes[row, kept[row]].cpu().numpy(), (height, width), image.size)
            for row, (image, (height, width)) in enumerate(
                zip(self.images, self.located.sizes.tolist(), strict=True)
            )
        ]

    def maps(self) -> Iterator[NDArray[np.float64]]:
        """The attribution of each image alone: (height, width)."""
        maps = self.attribution.cpu().numpy()
        for scores, (height, width) in zip(maps, self.located.sizes.tolist(), strict=True):
            yield scores[:height, :width]


@torch.no_grad()
def localize_images(
    model: PreTrainedModel, processor: Any, sources: Sequence[Any], batch_size: int = 32
) -> Iterator[LocalizedImages]:
    """What a localizer says of images of any kind and size, a batch at a time, in order.

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: Its image processor.
        sources: Pictures as `open_image` takes them.
        batch_size: Images in a batch.

    Raises:
        TypeError: if a source is no picture, naming its row.
        ValueError: if one cannot be read, naming its row.
    """
    network: Any = model.fuse()  # type: ignore[operator]
    centre = model.config.problem_type != "multi_label_classification"
    for start in range(0, len(sources), batch_size):
        stop = min(start + batch_size, len(sources))
        images = [open_named_image(sources[row], f"row {row}") for row in range(start, stop)]
        inputs = processor(images, return_tensors="pt").to(model.device)
        mask = inputs["pixel_mask"].long()
        sizes = torch.stack([mask[:, :, 0].sum(dim=1), mask[:, 0].sum(dim=1)], dim=1)
        values = inputs["pixel_values"].to(network.dtype)
        output = network(values, inputs["pixel_mask"], output_evidence=True)
        evidence = [center_evidence(branch) if centre else branch for branch in output.evidence]
        windows = cast(tuple[Window, ...], network.windows)
        located = LocatedImages(evidence, output.masks, windows, sizes)
        predicted = output.logits.argmax(dim=-1)
        attribution = located.attribute(predicted)
        yield LocalizedImages(images, located, output.logits, predicted, attribution)
