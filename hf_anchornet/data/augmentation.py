"""Random changes of training images that keep their label, with Pillow and torch."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in perceived brightness (ITU-R BT.601)."""


@dataclass
class AugmentationOptions:
    """Random changes of training images, drawn anew each time an image is read.

    Attributes:
        crop_size: Side in pixels to which square crops are resized; at least the largest window of
            the localizer. Larger keeps more detail and takes more memory.
        min_crop: Side of the smallest crop as a share, in (0, 1], of the image's shorter side.
            Smaller zooms in further; 1 always takes the whole shorter side.
        keep_whole: Keep the whole image in every view, its shorter side resized to `crop_size`,
            instead of cropping a square: for evidence that is small or can be anywhere. `min_crop`
            is not used then.
        turn: Also rotate by a random multiple of 90 degrees, a view that is not square by 180.
            Switch it off for images with an up and a down.
        mirror: Also mirror left to right. Switch it off where that changes the meaning, as for
            letters and digits.
        color_strength: Strength of changes of brightness, contrast, saturation and tint, and of
            added noise; 0: off, 1: strong.
    """

    crop_size: int = 192
    min_crop: float = 0.7
    keep_whole: bool = False
    turn: bool = True
    mirror: bool = True
    color_strength: float = 0.4

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if self.crop_size < 1:
            raise ValueError(f"`crop_size` must be at least 1, got {self.crop_size}.")
        if not 0 < self.min_crop <= 1:
            raise ValueError(f"`min_crop` must be in (0, 1], got {self.min_crop}.")
        if self.color_strength < 0:
            raise ValueError(
                f"`color_strength` must be at least 0, got {self.color_strength}; 0 switches it "
                "off."
            )


def augment(image: Image.Image, options: AugmentationOptions) -> Tensor:
    """A random view of one RGB image: (3, height, width), float32, in [0, 1].

    Height and width are `crop_size`; with `keep_whole` the longer of them is larger.
    """
    if options.keep_whole:
        view = resize_whole(image, options.crop_size)
    else:
        view = random_crop(image, options.crop_size, options.min_crop)
    pixels = torch.from_numpy(np.array(view)).permute(2, 0, 1).contiguous().float() / 255
    if options.mirror and torch.rand(()) < 0.5:
        pixels = pixels.flip(2)
    if options.turn:
        quarters = int(torch.randint(4, ()))
        if view.width != view.height:  # turned by 90 degrees it would double the size of its batch
            quarters -= quarters % 2
        pixels = torch.rot90(pixels, quarters, dims=(1, 2))
    return change_colors(pixels, options.color_strength)


def random_crop(image: Image.Image, size: int, smallest: float) -> Image.Image:
    """A random square crop of an image, resized with antialiasing.

    Args:
        image: Any image.
        size: Side of the result, in pixels.
        smallest: Side of the smallest crop, as a share of the image's shorter side.
    """
    side = min(image.size) * _draw(smallest, 1.0)
    left, top = (_draw(0.0, length - side) for length in image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def resize_whole(image: Image.Image, size: int) -> Image.Image:
    """The whole image, resized with antialiasing so that its shorter side has `size` pixels."""
    stretch = size / min(image.size)
    sides = (max(size, round(length * stretch)) for length in image.size)
    return image.resize(tuple(sides), Image.Resampling.BILINEAR)  # type: ignore[arg-type]


def change_colors(pixels: Tensor, strength: float) -> Tensor:
    """Pixels with random saturation, contrast, brightness, tint and noise.

    Args:
        pixels: (3, height, width), float32, in [0, 1].
        strength: See `AugmentationOptions.color_strength`.

    Returns:
        The same shape and range.
    """
    if strength == 0:
        return pixels
    grey = torch.einsum("chw,c->hw", pixels, pixels.new_tensor(GREY))
    pixels = grey + (pixels - grey) * _around(0.5 * strength)
    mean = pixels.mean()
    pixels = mean + (pixels - mean) * _around(0.4 * strength)
    gain = (torch.rand(3, 1, 1) * 2 - 1) * 0.15 * strength + _draw(-0.35, 0.35) * strength
    noise = torch.randn_like(pixels) * (0.08 * strength * _draw(0.0, 1.0) ** 2)
    return (pixels * gain.exp() + noise).clamp(0, 1)


def _draw(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _around(spread: float) -> float:
    return _draw(max(0.0, 1 - spread), 1 + spread)
