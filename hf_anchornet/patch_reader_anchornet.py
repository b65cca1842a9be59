"""A classifier that reads the patches of an image instead of the whole of it."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ImageClassificationPipeline,
    PreTrainedModel,
)

from .cascade_anchornet import Classifier, ClassifierKind, load_classifier, name_predictions
from .image_processing_anchornet import Box

IMAGE_CLASSIFIER = ClassifierKind(
    "image-classification",
    ImageClassificationPipeline,
    AutoModelForImageClassification,
    AutoImageProcessor,
    "image_processor",
)


class PatchReader:
    """Any transformers image classifier, made to read patches instead of the whole image.

    Args:
        model: An image classification model.
        processor: Its image processor.
    """

    def __init__(self, model: PreTrainedModel, processor: Any) -> None:
        self.model = model.eval()
        self.processor = processor

    @classmethod
    def load(cls, classifier: Classifier, device: torch.device | None = None) -> "PatchReader":
        """Take a classifier in any of its forms; see `load_classifier`."""
        return cls(*load_classifier(classifier, IMAGE_CLASSIFIER, device))

    @torch.no_grad()
    def read(
        self, images: Sequence[Image.Image], boxes: Sequence[Sequence[Box]]
    ) -> list[dict[str, Any]]:
        """What the classifier says of the patches of each image, their logits averaged.

        Args:
            images: The original images.
            boxes: The patches of each image.

        Returns:
            For each image a dict with `pixels`, the number that the model read, and, where there
            is a patch, `label` and `score`.
        """
        crops = [
            cut_square(image, box)
            for image, places in zip(images, boxes, strict=True)
            for box in places
        ]
        readings: list[dict[str, Any]] = [{"pixels": 0} for _ in images]
        if not crops:
            return readings
        inputs = self.processor(images=crops, return_tensors="pt").to(self.model.device)
        inputs = {name: value.to(self.model.dtype) for name, value in inputs.items()}
        logits = self.model(**inputs).logits.split([len(places) for places in boxes])
        patch_pixels = inputs["pixel_values"][0, 0].numel()
        for reading, by_patch in zip(readings, logits, strict=True):
            if len(by_patch):
                (answer,) = name_predictions(self.model, by_patch.mean(dim=0, keepdim=True))
                reading |= answer | {"pixels": len(by_patch) * patch_pixels}
        return readings


def cut_square(image: Image.Image, box: Box) -> Image.Image:
    """A patch as the square that the localizer saw; in whole pixels its sides may differ by one."""
    side = max(box[2] - box[0], box[3] - box[1])
    return image.resize((side, side), box=box)
