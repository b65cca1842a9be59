"""Checks of an image processor's options and of the size of its output."""

from typing import Any

import numpy as np

SIDE_LIMIT = 2**14
"""Largest longer side of an image after resizing: overlaps of windows are compared along each axis,
at a cost of its square."""

NOT_SUPPORTED = (
    ("do_center_crop", (None, False), "boxes are in the whole picture; crop the pictures before"),
    ("do_convert_rgb", (None, True), "pictures are converted to `num_channels` channels"),
    ("pad_size", (None,), "images are padded to the largest of their batch"),
    ("data_format", (None, "channels_first"), "the model takes channels first"),
)
"""Options of stock processors: the values that are accepted, and why others are not."""


def check_options(
    num_channels: int,
    do_normalize: bool | None = None,
    image_mean: Any = None,
    image_std: Any = None,
    **options: Any,
) -> None:
    """Refuse options that the processor cannot honour."""
    if num_channels not in (1, 3):
        raise ValueError(
            f"`num_channels` must be 1 (grey) or 3 (RGB), got {num_channels}; make `pixel_values` "
            "of other channels yourself."
        )
    for name, values in (("image_mean", image_mean), ("image_std", image_std)):
        count = num_channels if np.ndim(values) == 0 else len(values)
        if do_normalize and count != num_channels:
            raise ValueError(
                f"`{name}` must have one number for each of `num_channels` {num_channels}, got "
                f"{list(values)}; give as many or a single number."
            )
    for name, allowed, reason in NOT_SUPPORTED:
        if options[name] not in allowed:
            raise ValueError(f"`{name}` must be left out, got {options[name]!r}: {reason}.")


def check_pixels(
    shape: tuple[int, ...], size: Any, do_resize: bool, max_pixels: int, index: int
) -> None:
    """Refuse an image that would be too large for the model, before it is enlarged."""
    height, width = rows, columns = shape
    if do_resize and size.shortest_edge:
        stretch = size.shortest_edge / min(shape)
        rows, columns = round(height * stretch), round(width * stretch)
    elif do_resize:
        rows, columns = size.height or size.max_height, size.width or size.max_width
    became = f"{width} x {height} px, resized to {columns} x {rows}"
    if rows * columns > max_pixels:
        raise ValueError(
            f"image {index} must have at most {max_pixels:,} pixels for the model, got {became}; "
            "crop it, lower the image processor's `size` or raise its `max_pixels`."
        )
    if max(rows, columns) > SIDE_LIMIT:
        # One that is enlarged has a shorter side that may be too small to be read as it is.
        other = (
            "lower the image processor's `size`"
            if rows > height
            else "read it with `full_resolution=True`"
        )
        raise ValueError(
            f"image {index} must have a longer side of at most {SIDE_LIMIT:,} pixels for the model,"
            f" got {became}; crop it or {other}."
        )
