"""A classifier that reads the best patches of an image instead of the whole image."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ImageClassificationPipeline,
    PreTrainedModel,
)
from transformers.utils.logging import get_logger

from .cascade_rule import FULL, Stage
from .classifier import ClassifierKind
from .costs import ShapeCosts
from .image_boxes import DEFAULT_OVERLAP
from .image_glance import GlancedImages
from .image_localizer import ImageLocalizer, LocalizedImages
from .image_processing_anchornet import Box
from .localizer import register_modality
from .reader import Reader, Reading

logger = get_logger(__name__)

IMAGE_CLASSIFIER = ClassifierKind(
    "image-classification",
    ImageClassificationPipeline,
    AutoModelForImageClassification,
    AutoImageProcessor,
    "image_processor",
    "pixel_values",
)

TRIED = (320, 240)
"""Width and height of a blank picture that shows what an image processor makes."""


class ReadableImage(NamedTuple):
    """An image opened for reading.

    Attributes:
        image: The original.
        boxes: Its patches, best first.
    """

    image: Image.Image
    boxes: Sequence[Box]


class PatchReader(Reader):
    """Any transformers image classifier, reading the best patches instead of the whole image.

    See `Reader`; the logits of the patches are averaged. A warning tells of an image processor that
    crops: the classifier then does not see the borders of patches.

    Attributes:
        crops: Whether it does.
    """

    kind: ClassVar[ClassifierKind] = IMAGE_CLASSIFIER

    def __init__(self, model: PreTrainedModel, processor: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, processor, *args, **kwargs)
        self.crops = crops(processor)
        if self.crops:
            logger.warning(
                "the image processor of the classifier crops: it does not see the borders of "
                "patches; set `do_center_crop = False` and `crop_pct = 1.0` of the processor"
            )

    def _make_costs(self) -> ShapeCosts:
        self._full_shapes: dict[tuple[int, int], tuple[int, ...]] = {}
        return ShapeCosts(self.model, self.model.dtype)

    def list_stages(self, max_patches: int) -> list[Stage]:
        """The best patch, then the best two, and so on: an input may exit after each."""
        return [*range(1, max_patches + 1)]

    def check_stages(self, stages: Sequence[Stage]) -> None:
        """Check that whole images can be read at `full_size`; patches can, in any number."""
        if FULL in stages and self.full_size is not None:
            self._try_size("full_size", "classifier")

    def open(
        self,
        batch: LocalizedImages | GlancedImages,
        rows: Sequence[int],
        stages: Sequence[Stage],
        iou_threshold: float | Sequence[float] = DEFAULT_OVERLAP,
        scales: Sequence[int] | None = None,
    ) -> list[ReadableImage]:
        """Views of some images of a batch, each with as many patches as the largest stage reads.

        Args:
            batch: The localized images; glanced at only, if no patches will be read.
            rows: Which of them.
            stages: What will be read.
            iou_threshold: See `select_top_patches`.
            scales: See `LocalizedImages.select`.
        """
        most = max((int(stage) for stage in stages if stage != FULL), default=0)
        if not rows or not most:
            return [ReadableImage(batch.images[row], []) for row in rows]
        chosen = cast(LocalizedImages, batch).take(rows)
        ranked = chosen.select(most, iou_threshold, scales)
        boxes = chosen.restore(ranked.boxes, ranked.filled)
        return [ReadableImage(*item) for item in zip(chosen.images, boxes, strict=True)]

    def cut(self, view: ReadableImage, stage: Stage) -> list[Any]:
        """The best patches of an image, or "full" for the whole image."""
        return [FULL] if stage == FULL else [*view.boxes[: int(stage)]]

    @torch.no_grad()
    def compute_pieces(
        self, pieces: Sequence[tuple[ReadableImage, Any]]
    ) -> tuple[Tensor, list[tuple[int, ...]]]:
        """Logits, (pieces, labels), and the shape of the classifier's input for each piece.

        Args:
            pieces: Pairs of a view and a box, or pairs of a view and "full".
        """
        if pieces[0][1] == FULL:
            inputs = self._process([view.image for view, _ in pieces], self.full_size)
        else:
            inputs = self._process([cut_square(view.image, box) for view, box in pieces])
        logits: Tensor = self.network(**inputs).logits
        return logits, [(1, *inputs["pixel_values"].shape[1:])] * len(pieces)

    def glance(
        self,
        sources: Sequence[Image.Image],
        order: Sequence[int],
        localizer: Any,
        pixels: Sequence[NDArray[np.float32]] | None = None,
    ) -> GlancedImages:
        """A batch that is answered by this classifier on whole images, resized to `full_size`.

        Args:
            sources: The original images, upright, RGB, at least one.
            order: The classifier's index of each label of the localizer.
            localizer: See `GlancedImages`, as for the next.
            pixels: Default: none.
        """
        views = [(ReadableImage(image, []), FULL) for image in sources]
        logits, sizes = self.compute_pieces(views)
        costs = [self.count_multiply_adds(size) for size in sizes]
        return GlancedImages(sources, logits[:, order], costs, localizer, pixels)

    def check_glance(self) -> None:
        """Check that whole images of `full_size` can be read.

        Raises:
            ValueError: if the image processor or the model cannot have this size.
        """
        shape = self._try_size("glance_size", "glance")
        if self.full_size is not None and shape[-2:] != (self.full_size, self.full_size):
            raise ValueError(
                f"`glance_size` must be a size that the glance's image processor makes, got "
                f"{self.full_size}, and it makes {shape[-1]} x {shape[-2]} px of a picture of "
                f"{TRIED[0]} x {TRIED[1]}; switch off its other steps, such as `do_center_crop`."
            )

    def _try_size(self, option: str, role: str) -> tuple[int, ...]:
        """The shape of the input for a whole image, if the model reads it; errors name the option.

        Raises:
            ValueError: if it does not.
        """
        try:
            shape = self._full_shape(TRIED)
            self.costs.count(*shape)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"`{option}` must be a size that the {role}'s model reads, got {self.full_size} "
                f"for a {type(self.model).__name__}: {error}; choose another size or model."
            ) from error
        return shape

    def count_multiply_adds(self, size: tuple[int, ...]) -> int:
        """Multiply-adds of the classifier for an input of this shape."""
        return self.costs.count(*size)

    def full_multiply_adds(
        self, sources: Sequence[Image.Image], views: Sequence[ReadableImage | None]
    ) -> list[int]:
        """Multiply-adds of the classifier for each whole image."""
        return [self.costs.count(*self._full_shape(image.size)) for image in sources]

    def _full_shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of the classifier's input for a whole image of this width and height."""
        if size not in self._full_shapes:
            blank = self._process([Image.new("RGB", size)], self.full_size)
            self._full_shapes[size] = tuple(blank["pixel_values"].shape)
        return self._full_shapes[size]

    def describe_pieces(self, pieces: Sequence[Any]) -> dict[str, Any]:
        """Nothing: the answer shows the patches already."""
        return {}

    def describe_cost(self, reading: Reading, view: ReadableImage) -> dict[str, Any]:
        """Pixels that were read."""
        return {"classifier_pixels": sum(height * width for *_, height, width in reading.sizes)}

    def _process(self, images: Sequence[Image.Image], side: int | None = None) -> dict[str, Tensor]:
        """The classifier's input for images, all resized alike, on its device."""
        size = {} if side is None else {"size": {"height": side, "width": side}}
        made = self.processor(images=list(images), return_tensors="pt", **size)
        model = self.model
        inputs = {name: value.to(model.device, model.dtype) for name, value in made.items()}
        pixels = inputs[self.kind.input_name]
        if pixels.device.type == "cpu" and pixels.ndim == 4:
            # Convolutions are up to twice as fast there with the channels last in memory.
            inputs[self.kind.input_name] = pixels.to(memory_format=torch.channels_last)
        return inputs


def check_whole(processor: Any, name: str, does_crop: bool | None = None) -> None:
    """Check that an image processor reads images to their borders.

    Args:
        processor: The image processor.
        name: What errors call it.
        does_crop: What `crops` says of it, if that is known.

    Raises:
        ValueError: if it does not: scores would be shown for what the classifier never saw.
    """
    is_cut = getattr(processor, "do_center_crop", False)
    if not is_cut:
        is_cut = crops(processor) if does_crop is None else does_crop
    if is_cut:
        raise ValueError(
            f"`{name}` must read the whole image, got a {type(processor).__name__} that crops: "
            "scores would miss its borders; set `do_center_crop = False` and `crop_pct = 1.0` of "
            "the processor."
        )


def crops(processor: Any) -> bool:
    """Whether an image processor drops the borders of a square image.

    Then the ends of a ramp of grey are missing along an axis. `False` if what it makes is not one
    picture an image.
    """
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    greys = [np.zeros_like(ramp), np.full_like(ramp, 255), ramp, ramp.T]
    pictures = [Image.fromarray(grey).convert("RGB") for grey in greys]
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    if pixels.ndim != 4 or (pixels[0] == pixels[1]).any():
        return False
    across, down = ((ramped - pixels[0]) / (pixels[1] - pixels[0]) for ramped in pixels[2:])
    for line in (across.mean(dim=(0, 1)), down.mean(dim=(0, 2))):
        slack = 1 / len(line) + 2 / 255  # half a pixel, and rounding
        if float(line[0]) > slack or float(line[-1]) < 1 - slack:
            return True
    return False


def cut_square(image: Image.Image, box: Box) -> Image.Image:
    """A patch as the square that the localizer saw; in whole pixels its sides may differ by one."""
    side = max(box[2] - box[0], box[3] - box[1])
    return image.resize((side, side), box=box)


register_modality("anchornet_image", ImageLocalizer, PatchReader)
