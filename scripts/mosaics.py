"""Mosaics of the best patches of pictures, on which a localizer learns sooner what to look for.

The evidence of a picture's label is in one of thousands of windows. Of a mosaic of the few dozen
windows that a first localizer finds remarkable it is in one of these, if it is there at all. Labels
are those of the pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image
from tqdm.auto import tqdm

from hf_anchornet.data.holdout import write_split
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, load_split
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_localizer import ImageLocalizer
from scripts.options import parse_options


@dataclass
class MosaicOptions:
    """Options of the mosaics.

    Attributes:
        localizer: Folder or Hub id of the localizer that chooses the patches.
        output_dir: Folder for the splits, as parquet files.
        image_size: Shorter side, in pixels, to which pictures are resized for the localizer.
        against: The localizer's label evidence against which chooses, such as "whole" of
            `scripts.pretext`; by default evidence for the label it predicts chooses.
        tile: Side of a tile in pixels of the picture.
        columns: Tiles in each row of a mosaic, which has as many rows.
    """

    localizer: str
    output_dir: str
    image_size: int = 640
    against: str | None = None
    tile: int = 112
    columns: int = 4

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("image_size", "tile", "columns"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")


def write_mosaics(data: DataOptions, options: MosaicOptions) -> None:
    """Write the mosaics of the training and the validation split, with labels of the pictures.

    Args:
        data: The source.
        options: Options of the mosaics.

    Raises:
        ValueError: if the localizer does not have the label.
    """
    localizer = ImageLocalizer.load(options.localizer)
    localizer.processor.size = {"shortest_edge": options.image_size}
    for split in (data.train_split, data.validation_split):
        rows = load_split(data, split, data.image_column)
        feature = rows.features[data.label_column]
        features = Features({data.image_column: ImageFeature(), data.label_column: feature})
        made = list(_make_rows(localizer, rows, data, options))
        mosaics = Dataset.from_list(made, features=features)
        write_split(mosaics, Path(options.output_dir, f"{split}.parquet"), data.image_column)


def _make_rows(
    localizer: ImageLocalizer, rows: Dataset, data: DataOptions, options: MosaicOptions
) -> Iterator[dict[str, Any]]:
    pictures, labels = open_pictures(rows, data), rows[data.label_column]
    for row in tqdm(range(len(rows)), disable=None):
        picture = pictures[row]
        image = ImageFeature().encode_example(make_mosaic(localizer, picture, options))
        yield {data.image_column: image, data.label_column: labels[row]}


def make_mosaic(
    localizer: ImageLocalizer, picture: Image.Image, options: MosaicOptions
) -> Image.Image:
    """The best patches of a picture that do not overlap, the best first, as a square of squares.

    Args:
        localizer: What chooses.
        picture: An RGB picture.
        options: Options of the mosaics.
    """
    view = localizer.read([picture])
    evidence, labels = view.evidence, view.predicted
    if options.against is not None:
        evidence = replace(evidence, branches=[-branch for branch in evidence.branches])
        known = label_names(localizer.model)
        if options.against not in known:
            raise ValueError(f"`against` must be one of {known}, got {options.against!r}.")
        labels = torch.tensor([known.index(options.against)])
    largest = [localizer.windows[-1].size]
    ranked = evidence.select(options.columns**2, 0.0, largest, labels)
    mosaic = Image.new("RGB", (options.columns * options.tile,) * 2)
    for place, (x0, y0, x1, y1) in enumerate(view.restore(ranked.boxes, ranked.filled)[0]):
        left, top = ((low + high - options.tile) // 2 for low, high in ((x0, x1), (y0, y1)))
        left = max(0, min(left, picture.width - options.tile))
        top = max(0, min(top, picture.height - options.tile))
        row, column = divmod(place, options.columns)
        tile = picture.crop((left, top, left + options.tile, top + options.tile))
        mosaic.paste(tile, (column * options.tile, row * options.tile))
    return mosaic


def main() -> None:
    """Parse the options and write the mosaics."""
    data, options = parse_options(DataOptions, MosaicOptions, description=__doc__)
    write_mosaics(data, options)


if __name__ == "__main__":
    main()
