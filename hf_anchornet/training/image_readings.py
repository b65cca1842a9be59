"""What an image classifier reads in training: patches, a control, the full image, or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm

from hf_anchornet.data.augmentation import AugmentationOptions, augment
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, number_labels
from hf_anchornet.evaluation.image_controls import select_centre_box, select_random_boxes
from hf_anchornet.evaluation.localization import localize_images
from hf_anchornet.model.image_localizer import ImageLocalizer, LocalizedImages
from hf_anchornet.model.image_processing_anchornet import Box
from hf_anchornet.model.image_reader import cut_square

READINGS = ("patches", "mix", "all", "full", "small", "centre", "random")

MARGIN = 0.125
"""Share of a box's sides by which training crops may reach beyond the box."""

PATCH_SIDE, FULL_SIDE = 96, 224
"""Sides, in pixels, of what a new classifier reads."""

Reader = Callable[[Image.Image, Box | None, int | None], Image.Image]
"""From a picture, a box in it (`None`: the whole) and the side of the classifier's input (`None`:
its own) to the picture that it reads."""


@dataclass
class ImageClassifierOptions:
    """An image classifier, and what it reads of each image.

    Attributes:
        localizer: Folder or Hub id of the localizer that selects the patches.
        classifier: Checkpoint to start from; by default a new small ResNet.
        reading: Part of an image that the classifier reads: "patches" (the localizer's best one,
            cut from the original), "mix" (the best `num_patches` and "small") or "all" ("mix" and
            "full", for a classifier that glances, too). For comparison: "full" (the whole image);
            "small" (the same at the resolution of a patch); "centre" or "random" (a box).
        num_patches: Number of patches of each image in "mix" and "all".
        patch_size: Side in pixels to which patches and small images are resized. Larger is slower.
            The default is that of the classifier's processor, or 96 for a new classifier.
        full_size: Side in pixels to which full images are resized. Larger is slower. The default is
            that of the classifier's processor, or 224 for a new classifier. After "all", give it to
            `anchornet calibrate`, too.
        hidden_sizes: Channels of each stage of a new classifier.
        depths: Blocks of each stage of a new classifier.
        keep_whole: Keep the whole of "full" and "small" images in training, too, instead of a
            random square crop.
        turn: Also rotate training images by a random multiple of 90 degrees. Switch it off for
            images with an up and a down.
        mirror: Also mirror training images left to right. Switch it off where that changes the
            meaning, as for letters and digits.
        color_strength: Strength of random changes of colour and of added noise in training images;
            0: off, 1: strong.
    """

    localizer: str
    classifier: str | None = None
    reading: str = "patches"
    num_patches: int = 3
    patch_size: int | None = None
    full_size: int | None = None
    hidden_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    depths: list[int] = field(default_factory=lambda: [1, 1, 1, 1])
    keep_whole: bool = False
    turn: bool = True
    mirror: bool = True
    color_strength: float = 0.5

    def __post_init__(self) -> None:
        """Check the reading and the sizes."""
        if self.reading not in READINGS:
            raise ValueError(f"`reading` must be one of {READINGS}, got {self.reading!r}.")
        for name in ("num_patches", "patch_size", "full_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if len(self.depths) != len(self.hidden_sizes) or not self.depths:
            raise ValueError(
                f"`depths` must have one entry for each of `hidden_sizes` {self.hidden_sizes}, got "
                f"{self.depths}."
            )

    @property
    def mixes(self) -> bool:
        """Whether each image is read several times per epoch."""
        return self.reading in ("mix", "all")

    def make_augmentation(self, side: int) -> AugmentationOptions:
        """How training images of that side, in pixels, are changed at random."""
        return AugmentationOptions(
            crop_size=side,
            keep_whole=self.keep_whole,
            turn=self.turn,
            mirror=self.mirror,
            color_strength=self.color_strength,
        )

    def choose_full_side(self, side: int) -> int | None:
        """Side of full images that are read next to others; `None` if there are none.

        Args:
            side: That of all others.

        Raises:
            ValueError: if it is the same.
        """
        if self.reading != "all":
            return None
        full = self.full_size or (FULL_SIDE if self.classifier is None else side)
        if full == side:
            raise ValueError(
                f'`full_size` must be another side than that of patches for reading "all", got '
                f'{full} for both; set `full_size` and `patch_size`, or choose reading "mix".'
            )
        return full


def choose_boxes(
    options: ImageClassifierOptions, pictures: Sequence[Any], device: torch.device | str = "cpu"
) -> list[list[Box | None]]:
    """The boxes that the classifier reads of each picture; `None` stands for the whole picture.

    The full pictures of "all" are not among them, only the small ones. Controls have the size of
    the localizer's patch. A picture without a patch is read whole.

    Args:
        options: The localizer and the reading.
        pictures: Anything that `open_image` takes.
        device: Device of the localizer.
    """
    if options.reading in ("full", "small"):
        return [[None] for _ in pictures]
    localizer = ImageLocalizer.load(options.localizer, torch.device(device))
    chosen: list[list[Box | None]] = []
    with tqdm(total=len(pictures), desc="selecting", mininterval=5) as progress:
        for view in localize_images(localizer, pictures):
            chosen.extend(choose_from_view(options, view, first_row=len(chosen)))
            progress.update(len(view.images))
    return chosen


def choose_from_view(
    options: ImageClassifierOptions, view: LocalizedImages, first_row: int = 0
) -> list[list[Box | None]]:
    """`choose_boxes` for a localized batch whose first image is number `first_row` of all."""
    ranked = view.select(options.num_patches if options.mixes else 1)
    boxes, filled = ranked.boxes, ranked.filled
    if options.reading in ("centre", "random"):
        boxes = torch.stack(
            [
                select_centre_box(size[None], side)[0]
                if options.reading == "centre"
                else select_random_boxes(size[None], side, 1, first_row + row)[0]
                for row, (size, side) in enumerate(
                    zip(view.evidence.sizes, ranked.scales[:, 0].tolist(), strict=True)
                )
            ]
        )
    whole = [None] if options.mixes else []
    return [[*found, *whole] or [None] for found in view.restore(boxes, filled)]


def cut(picture: Image.Image, box: Box | None, side: int | None = None) -> Image.Image:
    """The part of a picture in a box, as `PatchReader` cuts it."""
    return picture if box is None else cut_square(picture, box)


def cut_loosely(
    picture: Image.Image,
    box: Box | None,
    side: int | None = None,
    *,
    augmentation: AugmentationOptions,
) -> Image.Image:
    """A random view of the part of a picture in and around a box, or of the whole picture.

    `augmentation.keep_whole` is for whole pictures; the view of a box is always a crop.
    """
    if side is not None:
        augmentation = replace(augmentation, crop_size=side)
    if box is not None:
        augmentation = replace(augmentation, keep_whole=False)
        width, height = ((box[axis + 2] - box[axis]) * MARGIN for axis in (0, 1))
        left, top = max(0, round(box[0] - width)), max(0, round(box[1] - height))
        right = min(picture.width, round(box[2] + width))
        bottom = min(picture.height, round(box[3] + height))
        picture = picture.crop((left, top, right, bottom))
    pixels = augment(picture, augmentation)  # (3, height, width)
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy())


class Readings(TorchDataset[dict[str, Any]]):
    """The pictures that a classifier reads, with their labels.

    Args:
        pictures: Whole pictures.
        labels: The target of each picture.
        boxes: Boxes of each picture, from `choose_boxes`; each gives one item.
        read: Makes the classifier's input of picture and box.
        full_side: Side in pixels at which the classifier also reads each whole picture; `None`: it
            does not.
    """

    def __init__(
        self,
        pictures: Sequence[Image.Image],
        labels: Sequence[Any],
        boxes: Sequence[Sequence[Box | None]],
        read: Reader = cut,
        full_side: int | None = None,
    ) -> None:
        self.pictures, self.labels, self.read = pictures, labels, read
        self.places: list[tuple[int, Box | None]] = [
            (row, box) for row, found in enumerate(boxes) for box in found
        ]
        self.sides: list[int | None] = [None] * len(self.places)
        if full_side is not None:
            self.places += [(row, None) for row in range(len(boxes))]
            self.sides += [full_side] * len(boxes)

    @property
    def targets(self) -> list[Any]:
        """The label of each item."""
        return [self.labels[row] for row, _ in self.places]

    @property
    def groups(self) -> list[list[int]]:
        """The items of each side, which can be in one batch."""
        return [
            [item for item, found in enumerate(self.sides) if found == side]
            for side in dict.fromkeys(self.sides)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, box = self.places[index]
        picture = self.read(self.pictures[row], box, self.sides[index])
        return {"picture": picture, "labels": self.labels[row], "side": self.sides[index]}


def make_readings(
    options: ImageClassifierOptions,
    rows: Dataset,
    data: DataOptions,
    labels: Sequence[str],
    read: Reader = cut,
    device: torch.device | str = "cpu",
    full_side: int | None = None,
) -> Readings:
    """The classifier's readings of a split; see `Readings`."""
    pictures, targets = open_pictures(rows, data), number_labels(rows, data.label_column, labels)
    return Readings(pictures, targets, choose_boxes(options, pictures, device), read, full_side)


def collate_readings(processor: Any, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch of `pixel_values`, with the channels last in memory, and `labels`.

    All items are resized to the side of the first; `None` is that of the processor.
    """
    side = items[0]["side"]
    size = {} if side is None else {"size": {"height": side, "width": side}}
    pictures = [item["picture"] for item in items]
    inputs = processor(images=pictures, return_tensors="pt", **size)
    pixel_values = inputs["pixel_values"].contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([item["labels"] for item in items])
    return {"pixel_values": pixel_values, "labels": labels}


def find_side(processor: Any) -> int:
    """The shorter side, in pixels, of the images that a processor makes of square pictures."""
    inputs = processor(images=Image.new("RGB", (256, 256)), return_tensors="pt")
    return int(min(inputs["pixel_values"].shape[-2:]))
