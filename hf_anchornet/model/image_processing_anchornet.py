"""The image processor: pictures of any kind to model inputs, and boxes back to the original."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_transforms import get_resize_output_image_size
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling
from transformers.processing_utils import ImagesKwargs

from .image_arrays import apply_layout, own_values
from .image_files import ImageSource as ImageSource
from .image_files import open_image as open_image
from .image_files import open_named_image as open_named_image
from .image_options import check_options, check_pixels

Box = tuple[int, int, int, int]
"""`(x0, y0, x1, y1)`, half-open, in pixels of the original image."""

PIXELS_LIMIT = 2**24
"""Largest number of pixels of one image after resizing: about 1 GB of features."""

TORCH_MODES = {
    PILImageResampling.BILINEAR: "bilinear",
    PILImageResampling.BICUBIC: "bicubic",
}
"""Torch's names of the resampling that it has."""

GREY_MEAN, GREY_STD = (0.449,), (0.226,)
"""Defaults for models of one channel: the means of those of ImageNet's three."""


class AnchorNetImageProcessorKwargs(ImagesKwargs, total=False):
    """Options beyond those of every image processor.

    Attributes:
        max_pixels: The most pixels of one image after resizing; larger ones are refused.
        num_channels: Channels of the model: 3, or 1 for grey.
    """

    max_pixels: int
    num_channels: int


class AnchorNetImageProcessor(PilBackend):
    """Makes `pixel_values` and `pixel_mask` of pictures; keeps their aspect ratio.

    Images are resized so that the shorter side has `size["shortest_edge"]` pixels, and padded at
    the bottom and right to the largest of the batch. The mask, (batch, height, width), is 1 on
    real pixels; the model counts windows on these only, so padding changes no result.

    Pictures are read by `open_image`. With `do_rescale=False` the values of arrays and tensors
    are taken as they are, such as floats in [0, 1].
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
    num_channels = 3
    model_input_names = ["pixel_values", "pixel_mask"]  # noqa: RUF012
    valid_kwargs = AnchorNetImageProcessorKwargs

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get("num_channels") == 1:
            kwargs = {"image_mean": GREY_MEAN, "image_std": GREY_STD, **kwargs}
        super().__init__(**kwargs)

    def _prepare_image_like_inputs(self, images: Any, *_: Any, **kwargs: Any) -> list[NDArray[Any]]:
        """Each picture as (channels, height, width); of one picture of any kind or several.

        Raises:
            TypeError, ValueError, OSError: as `open_image`, naming the place of the picture.
        """
        check_options(**kwargs)
        several = isinstance(images, list | tuple) or getattr(images, "ndim", 0) > 3
        return [
            _read_pixels(image, f"image {index}", **kwargs)
            for index, image in enumerate(images if several else [images])
        ]

    def _preprocess(  # type: ignore[override]
        self,
        images: list[NDArray[Any]],
        return_tensors: str | None = None,
        max_pixels: int = PIXELS_LIMIT,
        **kwargs: Any,
    ) -> BatchFeature:
        for index, image in enumerate(images):
            check_pixels(image.shape[1:], kwargs["size"], kwargs["do_resize"], max_pixels, index)
        do_pad, kwargs["do_pad"] = kwargs["do_pad"], False  # padded here, with a mask
        if kwargs["do_rescale"] and kwargs["do_normalize"]:
            # Both at once, as transformers' torchvision backend does.
            mean, std, factor = (
                kwargs[name] for name in ("image_mean", "image_std", "rescale_factor")
            )
            kwargs["do_rescale"] = False
            kwargs["image_mean"] = np.divide(mean, factor).tolist()
            kwargs["image_std"] = np.divide(std, factor).tolist()
        pixels = super()._preprocess(images, return_tensors=None, **kwargs)["pixel_values"]
        if do_pad is not False:
            return self.collate(pixels, return_tensors)
        sizes = sorted({image.shape[1:] for image in pixels})
        if len(sizes) > 1 and return_tensors is not None:
            raise ValueError(
                "`do_pad` must be True for images of different sizes in one tensor, got False and "
                f"{len(sizes)} sizes such as {sizes[0]} and {sizes[1]}; leave it out or pass "
                "`return_tensors=None`."
            )
        masks = [np.ones(image.shape[1:], np.int64) for image in pixels]
        return BatchFeature({"pixel_values": pixels, "pixel_mask": masks}, return_tensors)

    def resize(
        self, image: Any, size: Any, resample: Any = None, reducing_gap: Any = None, **kwargs: Any
    ) -> Any:
        """As in the base class, by torch where it can, as transformers' torchvision backend.

        That takes a fifth of Pillow's time. Values of pixels differ from Pillow's by at most one.
        """
        mode = TORCH_MODES.get(self.resample if resample is None else resample)
        if image.dtype != np.uint8 or mode is None or not size.shortest_edge or size.longest_edge:
            return super().resize(image, size, resample, reducing_gap, **kwargs)
        sides = get_resize_output_image_size(
            image, size.shortest_edge, default_to_square=False, input_data_format="channels_first"
        )
        # Torch takes no array that is read-only, as Pillow's are.
        owned = image if image.flags.writeable else image.copy(order="K")
        batch = torch.from_numpy(owned)[None]  # (1, channels, height, width)
        resized = torch.nn.functional.interpolate(batch, sides, mode=mode, antialias=True)
        return resized[0].contiguous().numpy()

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


def _read_pixels(
    image: Any,
    name: str,
    num_channels: int,
    do_rescale: bool | None = None,
    input_data_format: Any = None,
    **_: Any,
) -> NDArray[Any]:
    """One picture as (channels, height, width); uint8, or an array's own values."""
    is_array = hasattr(image, "__array__") and not isinstance(image, Image.Image)
    if is_array:
        array = np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)
        image = apply_layout(array, name, input_data_format)
    if is_array and not do_rescale:
        pixels = own_values(image, name, num_channels)
    else:
        opened = open_named_image(image, name)
        pixels = np.asarray(opened if num_channels == 3 else opened.convert("L"))
    return np.moveaxis(pixels.reshape(*pixels.shape[:2], num_channels), -1, 0)
