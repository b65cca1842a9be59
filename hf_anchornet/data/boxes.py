"""Boxes that people drew in the images of a split."""

import math
from typing import Any

from datasets import Dataset
from PIL import ExifTags

from hf_anchornet.model.image_files import is_url, open_file

from .images import Pictures
from .splits import check_column

FIRST_TURNED = 5
"""EXIF orientation from which on the width of a file is the height of the upright image."""


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
    files = Pictures(rows, image_column).files
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
