"""Images of a split: decoded on access, prepared and collated."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from pyarrow.lib import ArrowNotImplementedError
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm
from transformers.image_utils import SizeDict

from hf_anchornet.model.image_files import open_image
from hf_anchornet.model.image_options import check_pixels
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor

from .augmentation import AugmentationOptions, augment
from .splits import DataOptions, number_labels

Item = dict[str, Any]
"""One image: `pixel_values`, (channels, height, width), and `labels`, a number or a list."""

MOST_SHOWN = 5
"""Broken images that an error describes; it counts the others."""


class Pictures(Sequence[Image.Image]):
    """The pictures of a split, upright and RGB, decoded on each access: memory stays constant.

    Args:
        rows: The split.
        column: Column of images: a `datasets` image feature, file contents or paths.
        allow_urls: Whether the column may hold URLs.

    Raises:
        TypeError: if the column holds no images.
    """

    def __init__(self, rows: Dataset, column: str, allow_urls: bool = False) -> None:
        try:
            self.files = rows.select_columns(column).cast_column(column, ImageFeature(decode=False))
        except (TypeError, ArrowNotImplementedError) as error:
            raise TypeError(
                f"`{column}` must hold images, file contents or paths, got "
                f"{rows.features[column]}; name the right `image_column`."
            ) from error
        self.column, self.allow_urls = column, allow_urls

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, row: int) -> Image.Image: ...
    @overload
    def __getitem__(self, row: slice) -> list[Image.Image]: ...
    def __getitem__(self, row: int | slice) -> Image.Image | list[Image.Image]:
        """The picture of a row, or the pictures of some rows.

        Raises:
            ValueError: if one cannot be opened, naming its row.
        """
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        return open_row_image(self.files[row][self.column], self.column, row, self.allow_urls)


class LabelledImages(TorchDataset[Item]):
    """The images of a split, prepared for a model, with their targets.

    Args:
        pictures: The split.
        targets: One per row, from `number_labels`.
        prepare: Makes `pixel_values` of a picture.
    """

    def __init__(
        self, pictures: Pictures, targets: Sequence[Any], prepare: Callable[[Image.Image], Any]
    ) -> None:
        self.pictures, self.targets, self.prepare = pictures, targets, prepare

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> Item:
        """The image of a row, decoded and prepared.

        Raises:
            ValueError: if it cannot be opened or prepared, naming its row.
        """
        picture = self.pictures[row]
        try:
            prepared = self.prepare(picture)
        except ValueError as error:
            raise ValueError(f"in row {row} of `{self.pictures.column}`: {error}") from error
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
    return LabelledImages(open_pictures(rows, options), targets, view)


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
    return LabelledImages(open_pictures(rows, options), targets, prepare)


def open_pictures(rows: Dataset, options: DataOptions) -> Pictures:
    """The pictures of a split, see `Pictures`."""
    return Pictures(rows, options.image_column, options.allow_urls)


def check_pictures(splits: Mapping[str, Dataset], options: DataOptions) -> None:
    """Decode every picture of some splits once, before hours are spent on the others.

    Args:
        splits: The rows of each split, by name.
        options: Names of the columns.

    Raises:
        ValueError: if pictures cannot be decoded; it counts them and describes the first.
    """
    broken = list[str]()
    for name, rows in splits.items():
        pictures = open_pictures(rows, options)
        bar = tqdm(range(len(rows)), desc=f"opening images of {name}", disable=None, leave=False)
        faults = (_find_fault(pictures, row) for row in bar)
        broken += [f"split {name}: {fault}" for fault in faults if fault]
    if broken:
        numbered = enumerate(broken[:MOST_SHOWN], start=1)
        shown = "; ".join(f"({number}) {line}" for number, line in numbered)
        more = f"; and {len(broken) - MOST_SHOWN:,} more" if len(broken) > MOST_SHOWN else ""
        raise ValueError(
            f"all images must be whole, got {len(broken):,} that cannot be used: {shown}{more}"
        )


def _find_fault(pictures: Pictures, row: int) -> str:
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
