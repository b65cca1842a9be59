"""Arrays and tensors as pictures: layouts of channels, ranges of values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BAND_PIXELS = 2**20
"""Pixels that are converted at a time, so that a large image is never in memory many times."""

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R 601-2, as in Pillow."""


def channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """One image as (height, width, channels), of 1, 3 or 4 channels."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or array.size == 0:
        raise ValueError(
            "an image array must be (height, width), (height, width, channels) or (channels, "
            f"height, width) with 1, 3 or 4 channels, got shape {array.shape}; pass one image."
        )
    return array


def to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey, colour or RGBA values of any type as (height, width, 3), uint8."""
    array = channels_last(array)
    if array.dtype == np.uint8 and array.shape[-1] == 3:
        return np.ascontiguousarray(array)
    scale = _byte_scale(array)
    shown = np.empty((*array.shape[:2], 3), dtype=np.uint8)
    rows = max(1, BAND_PIXELS // array.shape[1])
    for top in range(0, len(array), rows):
        values = array[top : top + rows].astype(np.float64) * scale
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255):
            raise ValueError(
                "an image array must hold finite numbers in [0, 1] or [0, 255] (16-bit integers: "
                f"to 65535), got {array.dtype} in [{array.min()}, {array.max()}]; rescale it."
            )
        if values.shape[-1] == 4:
            alpha = values[..., 3:] / 255
            values = values[..., :3] * alpha + 255 * (1 - alpha)
        shown[top : top + rows] = values.round()
    return shown


def _byte_scale(array: NDArray[Any]) -> float:
    """Factor that brings an array's values to [0, 255]."""
    if array.dtype == bool or (array.dtype.kind == "f" and array.max() <= 1):
        return 255.0
    # Pillow may widen 16-bit pictures to 32 bits: what exceeds a byte is taken for 16 bits.
    wide = array.dtype == np.uint16 or (array.dtype.kind in "iu" and array.max() > 255)
    return 255 / 65535 if wide else 1.0


def apply_layout(array: NDArray[Any], name: str, layout: Any) -> NDArray[Any]:
    """The array with channels last, if `layout` says where they are."""
    if layout is None or array.ndim != 3:
        return array
    if layout not in ("channels_first", "channels_last"):
        raise ValueError(
            '`input_data_format` must be "channels_first" or "channels_last", got '
            f"{layout!r}; leave it out to have it guessed."
        )
    last = np.moveaxis(array, 0, -1) if layout == "channels_first" else array
    if last.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"{name}: `input_data_format` must fit the image, got {layout} for shape "
            f"{array.shape}; leave it out to have it guessed."
        )
    return last


def own_values(array: NDArray[Any], name: str, num_channels: int) -> NDArray[Any]:
    """An array's values, not rescaled: (height, width, channels)."""
    try:
        array = channels_last(array)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if array.shape[-1] == 4 or not np.isfinite(array).all():
        raise ValueError(
            f"{name}: an image array with `do_rescale=False` must hold finite numbers in 1 or 3 "
            f"channels, got {array.dtype} of shape {array.shape}; drop the alpha channel or what "
            "is not finite."
        )
    array = array.astype(np.float32) if array.dtype == bool else array
    if array.shape[-1] == 3 and num_channels == 1:
        grey: NDArray[Any] = (array @ np.array(GREY_WEIGHTS)).astype(array.dtype)[..., None]
        return grey
    return np.broadcast_to(array, (*array.shape[:2], num_channels))
