"""From a picture of any kind to the model's input, and boxes back to the original picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling
from transformers.processing_utils import ImagesKwargs

from .image_files import ImageSource as ImageSource
from .image_files import open_image as open_image
from .image_files import open_named_image as open_named_image

Box = tuple[int, int, int, int]
"""`(x0, y0, x1, y1)`, half-open, in pixels of the original image."""

PIXELS_LIMIT = 2**24
"""Most pixels that the model is given of one image: about 1 GB of features."""

SIDE_LIMIT = 2**14
"""Most pixels of an image's longer side for the model: what windows share is compared along each
axis, at the cost of its square."""


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
