"""Images of a split: decoded on access, prepared and collated; boxes drawn by people."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import ExifTags, Image
from pyarrow.lib import ArrowNotImplementedError
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm
from transformers.image_utils import SizeDict

from hf_anchornet.model.image_files import is_url, open_file, open_image
from hf_anchornet.model.image_options import check_pixels
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor

from .augmentation import AugmentationOptions, augment
from .splits import DataOptions, check_column, number_labels

Item = dict[str, Any]
"""One image: `pixel_values`, (channels, height, width), and `labels`, a number or a list."""

MOST_SHOWN = 5
"""Broken images that an error describes; it counts the others."""

FIRST_TURNED = 5
"""EXIF orientation from which on the width of a file is the height of the upright image."""


class LabelledImages(TorchDataset[Item]):
    """The images of a split with their targets, decoded on each access: memory stays constant.

    Args:
        rows: The split.
        column: Column of images: a `datasets` image feature, file contents or paths.
        targets: One per row, from `number_labels`.
        prepare: Makes `pixel_values` of an upright RGB picture; the default keeps the picture.
        allow_urls: Whether the column may hold URLs.

    Raises:
        TypeError: if the column holds no images.
    """

    def __init__(
        self,
        rows: Dataset,
        column: str,
        targets: Sequence[Any],
        prepare: Callable[[Image.Image], Any] | None = None,
        allow_urls: bool = False,
    ) -> None:
        try:
            self.files = rows.select_columns(column).cast_column(column, ImageFeature(decode=False))
        except (TypeError, ArrowNotImplementedError) as error:
            raise TypeError(
                f"`{column}` must hold images, file contents or paths, got "
                f"{rows.features[column]}; name the right `image_column`."
            ) from error
        self.column, self.targets, self.prepare = column, targets, prepare
        self.allow_urls = allow_urls

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> Item:
        """The image of a row, decoded and prepared.

        Raises:
            ValueError: if it cannot be opened or prepared, naming its row.
        """
        file = self.files[row][self.column]
        picture = open_row_image(file, self.column, row, self.allow_urls)
        try:
            prepared = picture if self.prepare is None else self.prepare(picture)
        except ValueError as error:
            raise ValueError(f"in row {row} of `{self.column}`: {error}") from error
        return {"pixel_values": prepared, "labels": self.targets[row]}


def open_row_image(file: Any, column: str, row: int, allow_urls: bool = False) -> Image.Image:
    """The picture of a row, upright and RGB.

    Raises:
        ValueError: if it cannot be decoded or is a URL that is not allowed, naming its row.
    """
    try:
        return open_image(file, allow_urls=allow_urls)
    except Exception as error:  # Pillow's readers raise errors of every kind for broken files
        said = str(error) if str(error) not in ("", "None") else type(error).__name__
        said += "" if said.endswith(".") else "."
        named = file.get("path") if isinstance(file, dict) else None
        name = f", {Path(named).name}" if named else ""
        raise ValueError(
            f"the image in row {row} of `{column}` cannot be used: {said} Repair or drop that "
            f"row{name}."
        ) from error


def make_training_images(
    rows: Dataset,
    processor: AnchorNetImageProcessor,
    options: DataOptions,
    labels: Sequence[str],
    augmentation: AugmentationOptions,
) -> LabelledImages:
    """Random views of the images of a split, normalised as the processor normalises."""
    targets = number_labels(rows, options.label_column, labels)
    view = make_random_view(processor, augmentation)
    return LabelledImages(rows, options.image_column, targets, view, options.allow_urls)


def make_random_view(
    processor: AnchorNetImageProcessor, augmentation: AugmentationOptions
) -> Callable[[Image.Image], Tensor]:
    """A function from an RGB picture to `pixel_values` of a random view of it.

    It raises a ValueError for a picture that is kept whole and too long for the model.
    """
    side = SizeDict(shortest_edge=augmentation.crop_size)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std)
    )

    def prepare(picture: Image.Image) -> Tensor:
        if augmentation.keep_whole:
            check_pixels(picture.size[::-1], side, True, processor.max_pixels, 0)
        return (augment(picture, augmentation) - mean) / std

    return prepare


def make_whole_images(
    rows: Dataset, processor: AnchorNetImageProcessor, options: DataOptions, labels: Sequence[str]
) -> LabelledImages:
    """The whole images of a split, as the processor prepares them."""

    def prepare(picture: Image.Image) -> Any:
        return processor(picture)["pixel_values"][0]

    targets = number_labels(rows, options.label_column, labels)
    return LabelledImages(rows, options.image_column, targets, prepare, options.allow_urls)


def make_pictures(rows: Dataset, options: DataOptions, labels: Sequence[str]) -> LabelledImages:
    """The pictures of a split, upright and RGB, with their targets."""
    targets = number_labels(rows, options.label_column, labels)
    return LabelledImages(rows, options.image_column, targets, None, options.allow_urls)


def open_pictures(rows: Dataset, options: DataOptions) -> LabelledImages:
    """The pictures of a split, upright and RGB, without targets."""
    targets = [None] * len(rows)
    return LabelledImages(rows, options.image_column, targets, None, options.allow_urls)


def check_pictures(rows: Dataset, options: DataOptions, name: str) -> None:
    """Decode every picture of a split once, before hours are spent on the others.

    Args:
        rows: The split.
        options: Names of the columns.
        name: Name of the split, for the error.

    Raises:
        ValueError: if pictures cannot be decoded; it counts them and describes the first.
    """
    pictures = open_pictures(rows, options)
    bar = tqdm(range(len(rows)), desc=f"opening images of {name}", disable=None, leave=False)
    broken = [fault for row in bar if (fault := _find_fault(pictures, row))]
    if broken:
        shown = "\n".join(f"- {line}" for line in broken[:MOST_SHOWN])
        more = f"\n- and {len(broken) - MOST_SHOWN:,} more" if len(broken) > MOST_SHOWN else ""
        raise ValueError(
            f"all {len(rows):,} images of split {name} must be whole, got {len(broken):,} that "
            f"cannot be used:\n{shown}{more}"
        )


def _find_fault(pictures: LabelledImages, row: int) -> str:
    """Why the picture of a row cannot be used, or nothing."""
    try:
        pictures[row]
    except ValueError as error:
        return str(error)
    return ""


def collate_images(processor: AnchorNetImageProcessor, items: Sequence[Item]) -> dict[str, Tensor]:
    """A batch padded to the largest image, with the channels last in memory.

    Args:
        processor: Image processor that pads.
        items: From `LabelledImages`.
    """
    batch = processor.collate([item["pixel_values"] for item in items])
    pixel_values = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([item["labels"] for item in items])
    return {"pixel_values": pixel_values, "pixel_mask": batch["pixel_mask"], "labels": labels}


def read_boxes(rows: Dataset, column: str, image_column: str) -> list[list[list[float]]]:
    """The boxes that people drew in each image of a split.

    Args:
        rows: The split.
        column: Column of boxes.
        image_column: Column of images, of which only the sizes are read.

    Raises:
        ValueError: if the column is missing, a box is malformed or lies outside its image, or no
            row has a box.
    """
    check_column(rows.column_names, column)
    files = LabelledImages(rows, image_column, [None] * len(rows)).files
    boxes = [
        check_boxes(found, f"`{column}` in row {row}", measure_size(files[row][image_column]))
        if found
        else []
        for row, found in enumerate(rows[column])
    ]
    if not any(boxes):
        raise ValueError(
            f"`{column}` must hold a box in at least one row, got none; choose a split with boxes."
        )
    return boxes


def measure_size(file: Any) -> tuple[int, int] | None:
    """Width and height of an upright image, from its header; `None` if it cannot be read.

    Args:
        file: Its content and path, as `datasets` gives them undecoded.
    """
    try:
        source = file["bytes"] or file["path"]
        if is_url(source):
            return None
        with open_file(source) as (picture, _):
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= FIRST_TURNED
            return picture.size[::-1] if turned else picture.size
    except Exception:  # each format has its own errors, and decoding will name the row
        return None


def check_boxes(boxes: Any, name: str, size: tuple[int, int] | None) -> list[list[float]]:
    """The boxes of one image, checked.

    Args:
        boxes: Each `[x0, y0, x1, y1]` in pixels.
        name: Column and row, for errors.
        size: Width and height of the image; `None`: unknown.

    Raises:
        ValueError: if a box is not four numbers with x0 < x1 and y0 < y1, is given in fractions
            or lies outside the image.
    """
    shape = "boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
    if not isinstance(boxes, list) or not all(isinstance(box, list) for box in boxes):
        raise ValueError(f"{name} must hold a list of {shape}, got {boxes!r}; nest the lists.")
    for box in boxes:
        numbers = len(box) == 4 and all(isinstance(x, int | float) for x in box)
        finite = numbers and all(map(math.isfinite, box))
        if not finite or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(
                f"{name} must hold {shape}, got {box}; give corners, not width and height."
            )
        if max(box) <= 1:
            raise ValueError(
                f"{name} must hold boxes in pixels, got {box}, which looks like fractions; "
                "multiply them by the width and height of the image."
            )
        width, height = size or (math.inf, math.inf)
        if min(box) < 0 or box[2] > width or box[3] > height:
            within = "" if size is None else f" of {width} x {height} pixels"
            raise ValueError(
                f"{name} must hold boxes inside the upright image{within}, got {box}; repair or "
                "drop that row."
            )
    return [list(box) for box in boxes]
