"""Crops of pictures, half of them with a spot drawn in, for a trunk that looks for small evidence.

A localizer that is to find a defect of a thousandth of a picture from the picture's label alone
learns nothing for a long time. It begins on crops instead, where it tells those as they were from
those with a spot in the colour of another place, in the manner of Li et al. 2021, "CutPaste", and
whether the spot is darker or lighter than what it covers, on even ground or across an edge. No
label of the data set is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from hf_anchornet.data.holdout import write_split
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, load_split
from scripts.options import parse_options

LABELS = ["whole", "darker", "darker at an edge", "lighter", "lighter at an edge"]

LEAST_CONTRAST = 64
"""Smallest difference, in one of three channels of 8 bits, of a spot to what it covers."""

CORNERS = (6, 14)
"""Corners of a spot: at least the first, fewer than the second."""

TRIES = 20
"""Places and colours that are tried for a spot."""


@dataclass
class CropOptions:
    """Options of the crops.

    Attributes:
        output_dir: Folder for the splits, as parquet files.
        side: Side of a crop in pixels of the picture.
        shrink: Factor by which crops are shrunk, as the pictures are in the training that follows.
        per_picture: Crops of each picture.
        smallest: Smallest distance of a spot's border from its centre, in pixels of the picture.
        largest: Largest distance.
        slender: Largest factor by which a spot is narrowed in one direction; 1: none is.
        seed: Seed of places, shapes and colours.
    """

    output_dir: str
    side: int = 128
    shrink: int = 2
    per_picture: int = 40
    smallest: float = 3.0
    largest: float = 20.0
    slender: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if not 0 < self.smallest <= self.largest <= self.side / 2:
            raise ValueError(
                "`smallest` and `largest` must be sizes of spots inside a crop of "
                f"{self.side} px (`side`), got {self.smallest} and {self.largest}."
            )
        for name in ("shrink", "per_picture", "slender"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")


def write_crops(data: DataOptions, options: CropOptions) -> None:
    """Write the crops of the training and the validation split.

    Args:
        data: The source; its labels are not used.
        options: Options of the crops.

    Raises:
        ValueError: if a picture is smaller than a crop.
    """
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=LABELS)})
    for split in (data.train_split, data.validation_split):
        rows = Dataset.from_list(list(_make_rows(data, split, options)), features=features)
        write_split(rows, Path(options.output_dir, f"{split}.parquet"), "image")


def _make_rows(data: DataOptions, split: str, options: CropOptions) -> Iterator[dict[str, Any]]:
    generator = default_rng([options.seed, len(split)])
    pictures = open_pictures(load_split(data, split, data.image_column), data)
    for row in tqdm(range(len(pictures)), desc=split, disable=None):
        picture = pictures[row]
        if min(picture.size) < options.side:
            raise ValueError(
                f"`side` must be at most that of the smallest picture, got {options.side} for row "
                f"{row} of {picture.width} x {picture.height} px."
            )
        for number in range(options.per_picture):
            crop = cut_crop(picture, options.side, generator)
            label = "whole"
            if number % 2:
                sizes = options.smallest, options.largest
                label = draw_spot(crop, sizes, options.slender, generator)
            small = crop.reduce(options.shrink)
            yield {"image": ImageFeature().encode_example(small), "label": label}


def cut_crop(picture: Image.Image, side: int, generator: Generator) -> Image.Image:
    """A square of a picture, at a random place."""
    left, top = (int(generator.integers(length - side + 1)) for length in picture.size)
    return picture.crop((left, top, left + side, top + side))


def draw_spot(
    crop: Image.Image, sizes: tuple[float, float], slender: float, generator: Generator
) -> str:
    """Draw a rough spot at a random place, in a colour of another place; its label is returned.

    Its border is at another distance from its centre in each of several directions: what people
    make is rounder or straighter.

    Args:
        crop: An RGB picture, which is changed.
        sizes: Smallest and largest distance of its border from its centre, in pixels.
        slender: Largest factor by which it is narrowed in one direction.
        generator: Source of place, shape and colour.
    """
    pixels = np.asarray(crop).astype(int)  # a copy
    centre, colour = _choose_place(pixels, sizes[1], generator)
    count = int(generator.integers(*CORNERS))
    angles = np.sort(generator.uniform(0, 2 * np.pi, count))
    radii = generator.uniform(*sizes, count)
    corners = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners[:, 0] /= generator.uniform(1, slender)
    turn = generator.uniform(0, np.pi)
    rotation = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    corners = centre + corners @ np.array(rotation)
    shape = Image.new("1", crop.size)
    ImageDraw.Draw(shape).polygon([tuple(corner) for corner in corners.tolist()], fill=1)
    crop.paste(colour, mask=shape)
    covered = pixels[np.asarray(shape)]  # (pixels, 3)
    x, y = centre.astype(int)
    label = "darker" if sum(colour) < pixels[y, x].sum() else "lighter"
    is_even = np.ptp(covered, axis=0).max() < LEAST_CONTRAST
    return label if is_even else f"{label} at an edge"


def _choose_place(pixels: Any, margin: float, generator: Generator) -> tuple[Any, tuple[int, ...]]:
    """A place away from the edges, as (x, y), and a colour that differs from the one there."""
    side = len(pixels)
    for _ in range(TRIES):
        place = generator.uniform(margin, side - margin, 2)
        x, y = place.astype(int)
        other = pixels[tuple(generator.integers(side, size=2))]
        if abs(other - pixels[y, x]).max() >= LEAST_CONTRAST:
            return place, tuple(map(int, other))
    return place, tuple(map(int, 255 - pixels[y, x]))  # an even crop


def main() -> None:
    """Parse the options and write the crops."""
    data, options = parse_options(DataOptions, CropOptions, description=__doc__)
    write_crops(data, options)


if __name__ == "__main__":
    main()
