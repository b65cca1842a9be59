"""Images from files, URLs, bytes and arrays, as a viewer shows them, within limits."""

import struct
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from .image_arrays import BAND_PIXELS, to_uint8
from .image_download import download_image
from .image_headers import check_exif, check_headers

ImageSource = Image.Image | str | PathLike[str] | bytes | NDArray[Any] | Mapping[str, Any]
"""A PIL image, a path or URL, a file's bytes, an array or tensor, or a `datasets` image struct."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats whose headers are checked in full, and BMP, which has little of a header."""

MORE_FORMATS = ("AVIF", "DIB", "ICO", "JPEG2000", "PCX", "PPM", "QOI", "SGI", "TGA")
"""Formats bounded by the size of the file and its number of pixels."""


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its EXIF orientation."""

_ORIENTED = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Metadata that may hold an orientation."""

_CONTENT = (bytes, bytearray, memoryview)
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors of Pillow's plugins for damaged files."""


def open_image(source: Any, *, allow_paths: bool = True, allow_urls: bool = True) -> Image.Image:
    """The picture as a viewer shows it: upright by its EXIF orientation, RGB, on white.

    Of an animation the first frame. 16-bit pictures are scaled to 8 bits. Arrays are (height,
    width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels; floats
    are in [0, 1], or in [0, 255] if one of them is above 1; integers are in [0, 255], or in
    [0, 65535] if they are uint16 or one of them is above 255.

    Args:
        source: See `ImageSource`.
        allow_paths: Whether `source` may name a file of this machine.
        allow_urls: Whether `source` may be a URL, also one of this machine or its network.

    Raises:
        TypeError: if `source` is something else.
        ValueError: if it cannot be decoded, exceeds a limit of `image_headers`, is too large or has
            a shape or values of no picture; or if it is a path or URL that is not allowed.
        OSError: if there is no such file or it cannot be read.
    """
    refuse_reference(source, allow_paths, allow_urls)
    source = _unpack(source)
    if isinstance(source, Image.Image):
        with _name_failures("a PIL image"):
            return decode_image(source, "a PIL image")
    if isinstance(source, (*_CONTENT, str, PathLike)):
        with open_file(source) as (opened, name):
            return decode_image(opened, name)
    if hasattr(source, "detach"):  # a tensor
        source = source.detach().cpu()
    if hasattr(source, "__array__"):
        return Image.fromarray(to_uint8(np.asarray(source)))
    raise TypeError(
        "an image must be a PIL image, a path, a URL, bytes or an array, got "
        f"{type(source).__name__}; convert it, leave it out or, for a dataset, pass its image "
        "column."
    )


def open_named_image(source: Any, name: str, **allowed: bool) -> Image.Image:
    """As `open_image`; errors begin with `name`, which tells the image among others."""
    try:
        return open_image(source, **allowed)
    except (TypeError, ValueError, OSError) as error:
        raise type(error)(f"{name}: {error}") from error


def refuse_reference(
    source: Any, allow_paths: bool, allow_urls: bool, name: str = "an image"
) -> None:
    """Refuse a path or URL that is not allowed, for images that other people name.

    Raises:
        ValueError: if it is one; the message calls it `name`.
    """
    source = _unpack(source)
    allowed = allow_urls if is_url(source) else allow_paths
    if isinstance(source, str | PathLike) and not allowed:
        option, what = ("urls", "URL") if is_url(source) else ("paths", "path")
        raise ValueError(
            f"{name} must be given by its content, got the {what} {source}; if you trust who "
            f"wrote it, set `allow_{option}`."
        )


@contextmanager
def open_file(
    source: bytes | bytearray | memoryview | str | PathLike[str],
    formats: Collection[str] = FORMATS + MORE_FORMATS,
) -> Iterator[tuple[Image.Image, str]]:
    """An image that is not decoded yet, and its name in errors; see `open_image`.

    Args:
        source: The content of a file, its path or its URL.
        formats: Accepted formats, by Pillow's names.
    """
    name = f"{len(source)} bytes" if isinstance(source, _CONTENT) else str(source)
    with _open_binary(source) as file:
        kind = check_headers(file, name)
        known = [kind] if kind else [one for one in formats if one not in FORMATS or one == "BMP"]
        Image.init()
        usable = [one for one in known if one in formats and one in Image.OPEN]
        with _name_failures(name), Image.open(file, formats=usable) as opened:
            yield opened, name


def _open_binary(source: Any) -> BinaryIO:
    if is_url(source):
        return BytesIO(download_image(source))
    if not isinstance(source, str | PathLike):
        return BytesIO(source)
    if not Path(source).is_file():
        raise FileNotFoundError(f"an image file must exist, got {source}; check the path.")
    return Path(source).open("rb")


def _unpack(source: Any) -> Any:
    """The content or else the path of a `datasets` image struct; others as they are."""
    if isinstance(source, Mapping) and ("bytes" in source or "path" in source):
        return source.get("bytes") or source.get("path")
    return source


def is_url(source: Any) -> bool:
    """Whether a source is an http or https URL."""
    return isinstance(source, str) and source.startswith(("http://", "https://"))


@contextmanager
def _name_failures(name: str) -> Iterator[None]:
    """Turn what Pillow raises into errors that name the picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pixels below the limit, damaged metadata
            yield
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"an image must be small enough to decode, got {name}: {error} If you trust its "
            "source, set `PIL.Image.MAX_IMAGE_PIXELS = None`."
        ) from error
    except _ImageLimitError as error:
        raise ValueError(str(error)) from error
    except UnidentifiedImageError as error:  # whose message shows a Python object
        raise ValueError(
            f"an image must be a whole picture file that Pillow can read, got {name}: cannot "
            "identify image file; save it again as PNG or JPEG, or leave it out."
        ) from error
    except _DAMAGE as error:
        raise ValueError(
            f"an image must be a whole picture file that Pillow can read, got {name}: {error}; "
            "save it again or leave it out."
        ) from error


class _ImageLimitError(Exception):
    """Metadata that were read exceed a limit."""


def decode_image(image: Image.Image, name: str) -> Image.Image:
    """The picture of a PIL image, upright, RGB and on white; see `open_image`.

    Args:
        image: The image, perhaps not decoded yet; from `open_file`, within its context.
        name: Name of the image in errors.
    """
    image.load()  # which may read metadata behind the pixels
    # Copies of a picture without need would double the memory of a large one.
    turn = _TURNS.get(_read_orientation(image, name))
    upright = image if turn is None else _turn(image, turn)
    if upright.mode.startswith("I") or upright.mode == "F":
        return Image.fromarray(to_uint8(np.asarray(upright)))
    if upright.has_transparency_data:
        return _lay_on_white(upright)
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _read_orientation(image: Image.Image, name: str) -> Any:
    profile = image.info.get("exif", image.info.get("Raw profile type exif"))
    if isinstance(profile, str):  # hexadecimal, with a header of three lines
        profile = bytes.fromhex("".join(profile.split("\n")[3:]))
    if isinstance(profile, bytes):
        try:
            check_exif(profile, name)
        except ValueError as error:
            raise _ImageLimitError(str(error)) from error
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _turn(image: Image.Image, turn: Image.Transpose) -> Image.Image:
    """The turned image without its orientation, which must not turn it again."""
    upright = image.transpose(turn)
    for kind in _ORIENTED:
        upright.info.pop(kind, None)
    return upright


def _lay_on_white(image: Image.Image) -> Image.Image:
    shown = Image.new("RGB", image.size)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        place = (0, top, image.width, min(top + rows, image.height))
        layers = image.crop(place).convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        shown.paste(Image.alpha_composite(white, layers).convert("RGB"), place)
    return shown
