"""From a picture of any kind to the model's input, and boxes back to the original picture."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling
from transformers.processing_utils import ImagesKwargs

Box = tuple[int, int, int, int]
"""`(x0, y0, x1, y1)`, half-open, in pixels of the original image."""

PIXELS_LIMIT = 2**24
"""Most pixels that the model is given of one image: about 1 GB of features."""

SIDE_LIMIT = 2**14
"""Most pixels of an image's longer side for the model: what windows share is compared along each
axis, at the cost of its square."""

URL_TIMEOUT_S = 30
URL_BYTES_LIMIT = 2**28

ImageSource = Image.Image | str | PathLike[str] | bytes | NDArray[Any] | Mapping[str, Any]
"""A PIL image, a path or URL, a file's bytes, an array or tensor, or a `datasets` image struct."""


def open_image(source: Any) -> Image.Image:
    """The picture as a viewer shows it: upright by its EXIF orientation, RGB, on white.

    Of an animation the first frame. 16-bit pictures are scaled to 8 bits. Arrays are (height,
    width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels; floats
    are in [0, 1], or in [0, 255] if one of them is above 1; integers are in [0, 255], or in
    [0, 65535] if they are uint16 or one of them is above 255.

    Args:
        source: See `ImageSource`.

    Raises:
        TypeError: if `source` is something else.
        ValueError: if it cannot be decoded, is too large or has a shape or values of no picture.
        OSError: if there is no such file or it cannot be read.
    """
    if isinstance(source, Mapping) and ("bytes" in source or "path" in source):
        source = source.get("bytes") or source.get("path")
    if isinstance(source, Image.Image):
        with _name_failures("a PIL image"):
            return _decode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_file(BytesIO(source), f"{len(source)} bytes")
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return _open_file(BytesIO(_download(source)), source)
    if isinstance(source, str | PathLike):
        if not Path(source).is_file():
            raise FileNotFoundError(f"an image file must exist, got {source}; check the path.")
        return _open_file(Path(source), str(source))
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
    if hasattr(source, "__array__"):
        return Image.fromarray(_to_uint8(np.asarray(source)))
    raise TypeError(
        "an image must be a PIL image, a path, a URL, bytes or an array, got "
        f"{type(source).__name__}; convert it, leave it out or, for a dataset, pass its image "
        "column."
    )


def open_named_image(source: Any, name: str) -> Image.Image:
    """As `open_image`; errors begin with `name`, which tells the image among others."""
    try:
        return open_image(source)
    except (TypeError, ValueError, OSError) as error:
        raise type(error)(f"{name}: {error}") from error


def _download(url: str) -> bytes:
    """The first `URL_BYTES_LIMIT` bytes behind a URL."""
    try:
        with urlopen(
            Request(url, headers={"User-Agent": "Mozilla/5.0"}), timeout=URL_TIMEOUT_S
        ) as answer:
            content: bytes = answer.read(URL_BYTES_LIMIT)
    except (OSError, HTTPException, ValueError) as error:
        raise OSError(f"an image URL must answer, got {url}: {error}; check it.") from error
    return content


def _open_file(file: Path | BytesIO, name: str) -> Image.Image:
    with _name_failures(name), Image.open(file) as opened:
        return _decode(opened)


@contextmanager
def _name_failures(name: str) -> Iterator[None]:
    """Turn what Pillow raises into errors that name the picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # below its limit
            yield
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"an image must be small enough to decode, got {name}: {error} If you trust its "
            "source, set `PIL.Image.MAX_IMAGE_PIXELS = None`."
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"an image must be a whole picture file that Pillow can read, got {name}: {error}"
        ) from error


def _decode(image: Image.Image) -> Image.Image:
    # Copies of a picture without need would double the memory of a large one.
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    if upright.mode.startswith("I") or upright.mode == "F":
        return Image.fromarray(_to_uint8(np.asarray(upright)))
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    upright.load()
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey, colour or RGBA values of any type as (height, width, 3), uint8."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or array.size == 0:
        raise ValueError(
            "an image array must be (height, width), (height, width, channels) or (channels, "
            f"height, width) with 1, 3 or 4 channels, got shape {array.shape}; pass one image."
        )
    if array.dtype == np.uint8 and array.shape[-1] == 3:
        return np.ascontiguousarray(array)
    values = array.astype(np.float64) * _byte_scale(array)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255):
        raise ValueError(
            "an image array must hold finite numbers in [0, 1] or [0, 255] (16-bit integers: to "
            f"65535), got {array.dtype} in [{array.min()}, {array.max()}]; rescale it."
        )
    if values.shape[-1] == 4:
        alpha = values[..., 3:] / 255
        values = values[..., :3] * alpha + 255 * (1 - alpha)
    return np.broadcast_to(values.round().astype(np.uint8), (*values.shape[:2], 3)).copy()


def _byte_scale(array: NDArray[Any]) -> float:
    """Factor that brings an array's values to [0, 255]."""
    if array.dtype == bool or (array.dtype.kind == "f" and array.max() <= 1):
        return 255.0
    # Pillow may widen 16-bit pictures to 32 bits: what exceeds a byte is taken for 16 bits.
    wide = array.dtype == np.uint16 or (array.dtype.kind in "iu" and array.max() > 255)
    return 255 / 65535 if wide else 1.0


class AnchorNetImageProcessorKwargs(ImagesKwargs, total=False):
    """What the processor knows beyond every image processor.

    Attributes:
        max_pixels: The most pixels of one image after resizing; larger ones are refused.
    """

    max_pixels: int


class AnchorNetImageProcessor(PilBackend):
    """Makes `pixel_values` and `pixel_mask` of pictures; keeps their aspect ratio.

    Images are resized so that the shorter side has `size["shortest_edge"]` pixels, and padded at
    the bottom and right to the largest of the batch. The mask, (batch, height, width), is 1 on
    real pixels; the model counts windows on these only, so padding changes no result.
    """

    resample = PILImageResampling.BILINEAR  # with antialiasing, as Pillow does it
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"shortest_edge": 224}  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_pad = True
    max_pixels = PIXELS_LIMIT
    model_input_names = ["pixel_values", "pixel_mask"]  # noqa: RUF012
    valid_kwargs = AnchorNetImageProcessorKwargs

    def fetch_images(self, image_url_or_urls: Any) -> list[Image.Image]:
        """The pictures as `open_image` shows them, of one picture of any kind or several.

        Raises:
            TypeError, ValueError, OSError: as `open_image`, naming the place of the picture.
        """
        images = image_url_or_urls
        several = isinstance(images, list | tuple) or getattr(images, "ndim", 0) > 3
        return [
            open_named_image(image, f"image {index}")
            for index, image in enumerate(images if several else [images])
        ]

    def process_image(self, image: Any, *_: Any, **__: Any) -> NDArray[np.uint8]:
        """One picture from `fetch_images` as (3, height, width), uint8."""
        return np.moveaxis(np.asarray(image), -1, 0)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[NDArray[np.uint8]],
        return_tensors: str | None = None,
        max_pixels: int = PIXELS_LIMIT,
        **kwargs: Any,
    ) -> BatchFeature:
        if kwargs["do_center_crop"]:
            raise ValueError(
                "`do_center_crop` must be off, got True: boxes are in the whole picture; leave "
                "it out or crop the pictures before."
            )
        for index, image in enumerate(images):
            _check_pixels(image.shape[1:], kwargs["size"], kwargs["do_resize"], max_pixels, index)
        kwargs["do_pad"] = False  # padded here, with a mask
        batch = super()._preprocess(images, return_tensors=None, **kwargs)
        return self.collate(batch["pixel_values"], return_tensors)

    def collate(
        self, images: Sequence[NDArray[np.float32]], return_tensors: str | None = "pt"
    ) -> BatchFeature:
        """`pixel_values` and `pixel_mask` of images of any sizes, padded to the largest.

        Args:
            images: Preprocessed images, each (channels, height, width).
            return_tensors: "pt" for torch, "np" for numpy, `None` for lists of arrays.
        """
        padded, masks = self.pad(list(images), return_mask=True)
        return BatchFeature({"pixel_values": padded, "pixel_mask": masks}, return_tensors)


def restore_boxes(
    boxes: NDArray[np.int64], model_size: tuple[int, int], size: tuple[int, int]
) -> list[Box]:
    """Boxes of the model's input in pixels of the original picture, widened to whole pixels.

    Args:
        boxes: (boxes, 4), int64, `(x0, y0, x1, y1)`.
        model_size: Height and width of what the model saw, without padding.
        size: Width and height of the upright original, in Pillow's order.
    """
    stretch = np.array(size * 2) / np.array(model_size[::-1] * 2)
    places = boxes * stretch  # (boxes, 4)
    low = np.floor(places[:, :2] + 1e-9).astype(int)
    high = np.minimum(np.ceil(places[:, 2:] - 1e-9).astype(int), size)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in np.concatenate([low, high], axis=1).tolist()]


def _check_pixels(
    shape: tuple[int, ...], size: Any, do_resize: bool, max_pixels: int, index: int
) -> None:
    """Refuse an image that would be too large for the model, before it is enlarged."""
    height, width = shape
    stretch = (size.shortest_edge or min(shape)) / min(shape) if do_resize else 1.0
    if height * width * stretch**2 > max_pixels:
        raise ValueError(
            f"image {index} must have at most {max_pixels:,} pixels for the model, got {width} x "
            f"{height} px, scaled by {stretch:.3g}; crop it, lower `size` or raise `max_pixels`."
        )
    if max(height, width) * stretch > SIDE_LIMIT:
        raise ValueError(
            f"image {index} must have a longer side of at most {SIDE_LIMIT:,} pixels for the model,"
            f" got {width} x {height} px, scaled by {stretch:.3g}; crop it, lower `size` or read it"
            " with `full_resolution=True`."
        )
