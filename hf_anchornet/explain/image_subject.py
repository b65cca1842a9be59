"""A transformers image classifier as explainers use it: input and probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from hf_anchornet.model.image_localizer import ImageLocalizer
from hf_anchornet.model.image_reader import IMAGE_CLASSIFIER, check_whole
from hf_anchornet.model.selection import check_count

from .subject import Subject


class ImageSubject(Subject):
    """An image classifier to explain: an AnchorNet or any other transformers model.

    Args:
        model: An image classification model.
        processor: Its image processor, which must not crop.

    Raises:
        ValueError: if the processor crops images.
    """

    kind = IMAGE_CLASSIFIER
    anchornet_type = "anchornet_image"
    localizer_class = ImageLocalizer

    def __init__(self, model: PreTrainedModel, processor: Any) -> None:
        check_whole(processor, "processor")
        super().__init__(model, processor)

    def pixel_values(self, image: Image.Image) -> Tensor:
        """The model's input for one image, upright, RGB: (1, channels, height, width)."""
        return self._process([image])["pixel_values"]

    @torch.no_grad()
    def predict(self, images: Sequence[Image.Image], batch_size: int = 32) -> NDArray[np.float64]:
        """Probabilities of the labels of images, in [0, 1]: (images, labels).

        Args:
            images: Upright, RGB, of any sizes.
            batch_size: Images per forward pass.
        """
        check_count("batch_size", batch_size)
        probs = np.zeros((len(images), len(self.labels)))
        for start in range(0, len(images), batch_size):
            inputs = self._process(images[start : start + batch_size])
            probs[start : start + batch_size] = self.to_probs(self.model(**inputs).logits)
        return probs

    @torch.no_grad()
    def predict_pixels(self, pixel_values: Tensor) -> NDArray[np.float64]:
        """Probabilities of the labels of preprocessed images: (batch, labels)."""
        return self.to_probs(self.model(pixel_values=pixel_values).logits)

    def compute_logits(self, pixel_values: Tensor) -> Tensor:
        """Logits of preprocessed images, differentiable: (batch, labels)."""
        logits: Tensor = self.model(pixel_values=pixel_values).logits
        return logits

    def _process(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """The model's input; for an AnchorNet including the mask of real pixels."""
        inputs = self.processor(images=list(images), return_tensors="pt")
        return {
            name: value.to(self.model.device, self.model.dtype) for name, value in inputs.items()
        }
