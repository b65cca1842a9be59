"""An image localizer ready for inference: logits, evidence and best boxes of a batch of images."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageClassification, PreTrainedModel

from .backend import EAGER, make_network
from .classifier import is_multi_label
from .costs import ShapeCosts
from .geometry import Window, show_evidence
from .image_boxes import DEFAULT_OVERLAP, ImageEvidence, RankedBoxes
from .image_processing_anchornet import Box, open_named_image, restore_boxes
from .localizer import Localizer
from .selection import check_count, check_iou_threshold


class _Ranking(NamedTuple):
    """A request to `LocalizedImages.select` and its result."""

    labels: Tensor
    scales: Sequence[int] | None
    limits: list[float]
    ranked: RankedBoxes


class LocalizedImages:
    """A batch of images with their logits and evidence; the predicted labels are explained.

    Args:
        images: The originals, upright, RGB.
        evidence: Their evidence as it is shown.
        logits: (batch, labels).
        localizer: The localizer that produced this batch.
    """

    def __init__(
        self,
        images: Sequence[Image.Image],
        evidence: ImageEvidence,
        logits: Tensor,
        localizer: "ImageLocalizer",
    ) -> None:
        self.images = images
        self.evidence = evidence
        self.logits = logits
        self.localizer = localizer
        self.predicted = logits.argmax(dim=-1)  # (batch,), int64
        self._ranked: list[_Ranking] = []

    @cached_property
    def attribution(self) -> Tensor:
        """Attribution of each pixel to the predicted label: (batch, height, width)."""
        return self.evidence.attribute(self.predicted)

    def attribute(self, labels: Tensor) -> Tensor:
        """Attribution of each pixel to one label of each image: (batch, height, width).

        Args:
            labels: (batch,), int64.
        """
        known = torch.equal(labels, self.predicted)
        return self.attribution if known else self.evidence.attribute(labels)

    def take(self, rows: Sequence[int]) -> "LocalizedImages":
        """Some of the images, as if they had been read without the others."""
        if list(rows) == list(range(len(self.images))):
            return self
        sizes = self.evidence.sizes[rows]
        height, width = sizes.amax(dim=0).tolist()
        windows = self.evidence.windows
        places = [
            (rows, slice(window.num_positions(height)), slice(window.num_positions(width)))
            for window in windows
        ]
        picked, masks = (
            [branch[place] for branch, place in zip(branches, places, strict=True)]
            for branches in (self.evidence.branches, self.evidence.masks)
        )
        evidence = ImageEvidence(picked, masks, windows, sizes)
        images = [self.images[row] for row in rows]
        return LocalizedImages(images, evidence, self.logits[rows], self.localizer)

    def select(
        self,
        top_k: int,
        iou_threshold: float | Sequence[float] = DEFAULT_OVERLAP,
        scales: Sequence[int] | None = None,
        labels: Tensor | None = None,
    ) -> RankedBoxes:
        """The best boxes for one label of each image, see `ImageEvidence.select`.

        Args:
            top_k: Number of boxes; 0: none.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from; default: the model's `reading_scales`.
            labels: (batch,), int64; default: the predicted ones.
        """
        scales = self.localizer.reading_scales if scales is None else scales
        labels = self.predicted if labels is None else labels
        limits = check_iou_threshold(iou_threshold, check_count("top_k", top_k, least=0))
        # Later ranks do not change earlier ones, so a longer ranking holds the shorter ones.
        for known in self._ranked:
            same = torch.equal(known.labels, labels) and known.scales == scales
            if same and known.limits[:top_k] == limits:
                return RankedBoxes(*(field[:, :top_k] for field in known.ranked))
        ranked = self.evidence.select(top_k, limits, scales, labels)
        self._ranked.append(_Ranking(labels, scales, limits, ranked))
        return ranked

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
                zip(self.images, self.evidence.sizes.tolist(), strict=True)
            )
        ]

    def maps(self) -> Iterator[NDArray[np.float64]]:
        """The attribution of each image alone: (height, width)."""
        maps = self.attribution.cpu().numpy()
        for scores, (height, width) in zip(maps, self.evidence.sizes.tolist(), strict=True):
            yield scores[:height, :width]

    def multiply_adds(self) -> list[int]:
        """Multiply-adds of the localizer for each image alone, without padding."""
        channels = self.localizer.model.config.num_channels
        sizes = self.evidence.sizes.tolist()
        return [self.localizer.costs.count(1, channels, *size) for size in sizes]


class ImageLocalizer(Localizer):
    """An image localizer with its image processor.

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: The `AnchorNetImageProcessor` that it was trained with.
        backend: Runtime: "eager", "compile" or "onnx"; see `make_network`.

    Raises:
        ImportError: if the extra `onnx` is needed and not installed.
        ValueError: if `backend` is unknown or cannot run the model.
    """

    modality: ClassVar[str] = "image"
    model_class: ClassVar[Any] = AutoModelForImageClassification
    processor_class: ClassVar[Any] = AutoImageProcessor

    def __init__(self, model: PreTrainedModel, processor: Any, backend: str = EAGER) -> None:
        self.model = model
        self.processor = processor
        fused: Any = model.fuse()  # type: ignore[operator]
        self.network = make_network(model, backend, fused=fused)
        self.windows = cast(tuple[Window, ...], model.windows)
        self.reading_scales = cast(list[int], model.config.reading_scales) or None
        self.costs = ShapeCosts(fused, fused.dtype)

    def check_input(self, item: Any, name: str) -> Image.Image:
        """The picture, upright and RGB; see `open_named_image`.

        Raises:
            TypeError: if it is not a picture; the message calls it `name`.
            ValueError: if it cannot be read, or holds fractions that the processor does not expect.
        """
        kind = str(getattr(item, "dtype", ""))
        if "float" in kind and not self.processor.do_rescale:
            raise ValueError(
                f"{name} must not be an array of {kind} with `do_rescale=False`: pictures are read "
                "as 0 to 255 here, and this processor would not scale them; give the picture as "
                "uint8, or use a processor with `do_rescale=True`."
            )
        return open_named_image(item, name)

    def describe_reading(self) -> dict[str, Any]:
        """As in the base class, with the size to which images are resized."""
        size = {name: side for name, side in dict(self.processor.size).items() if side is not None}
        return super().describe_reading() | {"size": size}

    def measure(self, image: Image.Image) -> float:
        """The aspect ratio of an image: those of a batch should be alike."""
        return image.width / image.height

    def read(self, images: Sequence[Image.Image]) -> LocalizedImages:
        """The localized batch of images of any size, at least one."""
        return self.read_pixels(images, [self.prepare(image) for image in images])

    def prepare(self, image: Image.Image, name: str | None = None) -> NDArray[np.float32]:
        """The model's input for an image, not padded: (channels, height, width).

        Args:
            image: The original, upright, RGB.
            name: What errors call it; default: its size.

        Raises:
            ValueError: if it is too large for the model.
        """
        try:
            made = self.processor(image, return_tensors=None)
        except ValueError as error:
            # The processor sees one picture and calls it the first.
            named = name or f"an image of {image.width} x {image.height} px"
            raise ValueError(str(error).replace("image 0", named, 1)) from error
        pixels: NDArray[np.float32] = made["pixel_values"][0]
        return pixels

    @torch.no_grad()
    def read_pixels(
        self, images: Sequence[Image.Image], pixels: Sequence[NDArray[np.float32]]
    ) -> LocalizedImages:
        """The localized batch of images that are processed already.

        Args:
            images: The originals, upright, RGB.
            pixels: The model's input for each image, not padded: (channels, height, width).
        """
        inputs = self.processor.collate(pixels).to(self.model.device)
        values = inputs["pixel_values"].to(self.model.dtype)
        output = self.network(values, inputs["pixel_mask"], output_evidence=True)
        shown = show_evidence(output.evidence, is_multi_label(self.model))
        sizes = torch.tensor([image.shape[1:] for image in pixels], device=output.logits.device)
        evidence = ImageEvidence(shown, output.masks, self.windows, sizes)
        return LocalizedImages(images, evidence, output.logits, self)
