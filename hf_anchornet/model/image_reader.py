"""A classifier that reads the patches of an image instead of the whole of it."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ImageClassificationPipeline,
    PreTrainedModel,
)

from .backend import EAGER, make_network
from .cascade_rule import FULL, Stage
from .classifier import Classifier, ClassifierKind, load_classifier, name_predictions
from .costs import ShapeCosts
from .image_localizer import LocalizedImages
from .image_processing_anchornet import Box

IMAGE_CLASSIFIER = ClassifierKind(
    "image-classification",
    ImageClassificationPipeline,
    AutoModelForImageClassification,
    AutoImageProcessor,
    "image_processor",
    "pixel_values",
)


class ReadableImage(NamedTuple):
    """An image for a classifier to read, patch by patch.

    Attributes:
        image: The original.
        boxes: Its patches, best first.
    """

    image: Image.Image
    boxes: Sequence[Box]


class PatchReader:
    """Any transformers image classifier, made to read patches instead of the whole image.

    Args:
        model: An image classification model.
        processor: Its image processor.
        full_size: Side in pixels that a whole image is scaled to; default: as the processor does.
        backend: What computes: "eager", "compile" or "onnx"; see `make_network`.
        subfolder: Where in its folder or repository the model is.

    Raises:
        ImportError: if the extra `onnx` is needed and not installed.
        ValueError: if there is no such backend or it cannot run the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        full_size: int | None = None,
        backend: str = EAGER,
        subfolder: str = "",
    ) -> None:
        self.model = model.eval()
        self.network = make_network(model, backend, subfolder)
        self.processor = processor
        self.full_size = full_size
        self.costs = ShapeCosts(model, model.dtype)
        self._full_shapes: dict[tuple[int, int], tuple[int, ...]] = {}

    @classmethod
    def load(
        cls,
        classifier: Classifier,
        device: torch.device | None = None,
        subfolder: str = "",
        full_size: int | None = None,
        backend: str = EAGER,
        **hub: Any,
    ) -> "PatchReader":
        """Take a classifier in any of its forms; see `load_classifier` and the class."""
        loaded = load_classifier(classifier, IMAGE_CLASSIFIER, device, subfolder, **hub)
        return cls(*loaded, full_size, backend, subfolder)

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
        inputs = self._process(crops)
        logits = torch.split(self._compute(inputs), [len(places) for places in boxes])
        patch_pixels = inputs["pixel_values"][0, 0].numel()
        for reading, by_patch in zip(readings, logits, strict=True):
            if len(by_patch):
                (answer,) = name_predictions(self.model, by_patch.mean(dim=0, keepdim=True))
                reading |= answer | {"pixels": len(by_patch) * patch_pixels}
        return readings

    # What a cascade asks of a reader.

    def list_stages(self, max_patches: int) -> list[Stage]:
        """The best patch, then the best two, and so on: an input may leave after each."""
        return [*range(1, max_patches + 1)]

    def check_stages(self, stages: Sequence[Stage]) -> None:
        """Any number of patches can be read."""

    def open(
        self, batch: LocalizedImages, rows: Sequence[int], stages: Sequence[Stage]
    ) -> list[ReadableImage]:
        """Some images of a batch with as many of their best patches as a stage may read."""
        most = max((int(stage) for stage in stages if stage != FULL), default=0)
        if not rows or not most:
            return [ReadableImage(batch.images[row], []) for row in rows]
        chosen = batch.take(rows)
        ranked = chosen.select(most)
        boxes = chosen.restore(ranked.boxes, ranked.filled)
        return [ReadableImage(*item) for item in zip(chosen.images, boxes, strict=True)]

    def cut(self, view: ReadableImage, stage: Stage) -> list[Any]:
        """What there is to read of an image at a stage: its best patches, or the whole of it."""
        return [FULL] if stage == FULL else [*view.boxes[: int(stage)]]

    def compute_pieces(
        self, pieces: Sequence[tuple[ReadableImage, Any]]
    ) -> tuple[Tensor, list[tuple[int, ...]]]:
        """Logits of pieces, (pieces, labels), and the shape of the classifier's input for each.

        Args:
            pieces: All boxes, or all "full".
        """
        if pieces[0][1] == FULL:
            inputs = self._process([view.image for view, _ in pieces], self.full_size)
        else:
            inputs = self._process([cut_square(view.image, box) for view, box in pieces])
        return self._compute(inputs), [(1, *inputs["pixel_values"].shape[1:])] * len(pieces)

    def count_multiply_adds(self, size: tuple[int, ...]) -> int:
        """What the classifier computes for a piece of this shape."""
        return self.costs.count(*size)

    def full_multiply_adds(self, images: Sequence[Image.Image]) -> list[int]:
        """What the classifier would compute for each whole image."""
        return [self.costs.count(*self._full_shape(image.size)) for image in images]

    def _full_shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of the classifier's input for a whole image of this width and height."""
        if size not in self._full_shapes:
            blank = self._process([Image.new("RGB", size)], self.full_size)
            self._full_shapes[size] = tuple(blank["pixel_values"].shape)
        return self._full_shapes[size]

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Write the model and its image processor."""
        self.model.save_pretrained(folder, **kwargs)
        self.processor.save_pretrained(folder)

    def _process(self, images: Sequence[Image.Image], side: int | None = None) -> dict[str, Tensor]:
        """The classifier's input for images, all scaled alike, on its device."""
        size = {} if side is None else {"size": {"height": side, "width": side}}
        inputs = self.processor(images=list(images), return_tensors="pt", **size)
        return {
            name: value.to(self.model.device, self.model.dtype) for name, value in inputs.items()
        }

    @torch.no_grad()
    def _compute(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits: (images, labels)."""
        logits: Tensor = self.network(**inputs).logits
        return logits


def cut_square(image: Image.Image, box: Box) -> Image.Image:
    """A patch as the square that the localizer saw; in whole pixels its sides may differ by one."""
    side = max(box[2] - box[0], box[3] - box[1])
    return image.resize((side, side), box=box)
