"""From rows of any `datasets` source to batches of images, decoded only when they are asked for."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from pyarrow.lib import ArrowNotImplementedError
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor, open_image

from .augmentation import AugmentationOptions, augment
from .splits import DataOptions, check_column, find_labels, load_split, number_labels

Item = dict[str, Any]
"""One image: `pixel_values`, (channels, height, width), and `labels`, a number or a list."""


class LabelledImages(TorchDataset[Item]):
    """The images of a split with their targets, decoded anew each time: memory stays constant.

    Args:
        rows: The split.
        column: Column of images: a `datasets` image feature, files' bytes or paths.
        targets: Of each row, from `number_labels`.
        prepare: From an RGB picture to `pixel_values`.

    Raises:
        TypeError: if the column holds no images.
    """

    def __init__(
        self,
        rows: Dataset,
        column: str,
        targets: Sequence[Any],
        prepare: Callable[[Image.Image], Any],
    ) -> None:
        try:
            self.files = rows.select_columns(column).cast_column(column, ImageFeature(decode=False))
        except (TypeError, ArrowNotImplementedError) as error:
            raise TypeError(
                f"`{column}` must hold images, files' bytes or paths, got "
                f"{rows.features[column]}; name the right `image_column`."
            ) from error
        self.column, self.targets, self.prepare = column, targets, prepare

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> Item:
        """Decode and prepare one image.

        Raises:
            ValueError: if it cannot be decoded, naming its row.
        """
        picture = open_row_image(self.files[row][self.column], self.column, row)
        return {"pixel_values": self.prepare(picture), "labels": self.targets[row]}


def open_row_image(file: Any, column: str, row: int) -> Image.Image:
    """The picture of a row, upright and RGB.

    Raises:
        ValueError: if it cannot be decoded, naming its row.
    """
    try:
        return open_image(file)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"the image in row {row} of `{column}` cannot be used: {error} Repair or drop that row."
        ) from error


def load_labelled_images(options: DataOptions) -> tuple[Dataset, Dataset, list[str]]:
    """Rows to learn from, rows to choose the best epoch on, and the labels of the former.

    Raises:
        ValueError: see `load_split` and `find_labels`.
    """
    train_rows, validation_rows = (
        load_split(options, split, options.image_column)
        for split in (options.train_split, options.validation_split)
    )
    return train_rows, validation_rows, find_labels(train_rows, options.label_column)


def make_training_images(
    rows: Dataset,
    processor: AnchorNetImageProcessor,
    options: DataOptions,
    labels: Sequence[str],
    augmentation: AugmentationOptions,
) -> LabelledImages:
    """Random views of each image, normalised as the processor does it."""
    targets = number_labels(rows, options.label_column, labels)
    prepare = make_random_view(processor, augmentation)
    return LabelledImages(rows, options.image_column, targets, prepare)


def make_random_view(
    processor: AnchorNetImageProcessor, augmentation: AugmentationOptions
) -> Callable[[Image.Image], Tensor]:
    """A function from an RGB picture to `pixel_values` of a random view of it."""
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std)
    )

    def prepare(picture: Image.Image) -> Tensor:
        return (augment(picture, augmentation) - mean) / std

    return prepare


def make_whole_images(
    rows: Dataset, processor: AnchorNetImageProcessor, options: DataOptions, labels: Sequence[str]
) -> LabelledImages:
    """Each image as the processor makes it."""

    def prepare(picture: Image.Image) -> Any:
        return processor(picture)["pixel_values"][0]

    targets = number_labels(rows, options.label_column, labels)
    return LabelledImages(rows, options.image_column, targets, prepare)


def make_pictures(rows: Dataset, options: DataOptions, labels: Sequence[str]) -> LabelledImages:
    """Each image as a picture, upright and RGB."""
    targets = number_labels(rows, options.label_column, labels)
    return LabelledImages(rows, options.image_column, targets, prepare=_keep)


def open_pictures(rows: Dataset, column: str) -> LabelledImages:
    """Each image as a picture, upright and RGB; whatever their labels are."""
    return LabelledImages(rows, column, [None] * len(rows), prepare=_keep)


def _keep(picture: Image.Image) -> Image.Image:
    return picture


def collate_images(processor: AnchorNetImageProcessor, items: Sequence[Item]) -> dict[str, Tensor]:
    """A batch, padded to the largest image, with the channels last in memory.

    Args:
        processor: What pads.
        items: From `LabelledImages`.
    """
    batch = processor.collate([item["pixel_values"] for item in items])
    pixel_values = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([item["labels"] for item in items])
    return {"pixel_values": pixel_values, "pixel_mask": batch["pixel_mask"], "labels": labels}


def read_boxes(rows: Dataset, column: str) -> list[list[list[float]]]:
    """The human boxes of each row.

    Raises:
        ValueError: if the column is missing, a box is not four numbers with x0 < x1 and y0 < y1,
            or no row has one.
    """
    check_column(rows.column_names, column)
    boxes = [
        check_boxes(found or [], f"`{column}` in row {row}")
        for row, found in enumerate(rows[column])
    ]
    if not any(boxes):
        raise ValueError(
            f"`{column}` must hold a box in at least one row, got none; choose a split that people "
            "have boxed."
        )
    return boxes


def check_boxes(boxes: Sequence[Sequence[float]], name: str) -> list[list[float]]:
    """The human boxes of one image.

    Args:
        boxes: Each `[x0, y0, x1, y1]`.
        name: What to call them in an error: a column and a row.

    Raises:
        ValueError: if a box is not four numbers with x0 < x1 and y0 < y1.
    """
    for box in boxes:
        finite = len(box) == 4 and all(x is not None and math.isfinite(x) for x in box)
        if not finite or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(
                f"{name} must hold boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got "
                f"{list(box)}; give corners, not width and height."
            )
    return [list(box) for box in boxes]
