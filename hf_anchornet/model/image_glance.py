"""A batch of images that a classifier glanced at, before a localizer reads any of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .image_localizer import ImageLocalizer, LocalizedImages


class GlancedImages:
    """A batch of images with a classifier's logits for the whole of each, made small.

    Args:
        images: The originals, upright, RGB.
        logits: (batch, labels), in the localizer's order of labels.
        costs: Multiply-adds of the classifier for each image.
        localizer: Reads those images that go on.
        pixels: Its input for each image, as `ImageLocalizer.read_pixels` takes it; `None`: it is
            made for those images that go on.

    Attributes:
        deepened: Rows that the localizer read later, by `deepen`, and their batch.
    """

    def __init__(
        self,
        images: Sequence[Image.Image],
        logits: Tensor,
        costs: Sequence[int],
        localizer: ImageLocalizer,
        pixels: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        self.images = images
        self.logits = logits
        self.costs = costs
        self.localizer = localizer
        self.pixels = pixels
        self.deepened: list[tuple[Sequence[int], LocalizedImages]] = []

    def deepen(self, rows: Sequence[int]) -> LocalizedImages:
        """These rows, at least one, read by the localizer."""
        images = [self.images[row] for row in rows]
        if self.pixels is None:
            batch = self.localizer.read(images)
        else:
            batch = self.localizer.read_pixels(images, [self.pixels[row] for row in rows])
        self.deepened.append((rows, batch))
        return batch

    def take(self, rows: Sequence[int]) -> LocalizedImages | None:
        """Some rows, as the localizer read them together; `None` if it did not."""
        for read, batch in self.deepened:
            if set(rows) <= set(read):
                return batch.take([list(read).index(row) for row in rows])
        return None

    def list_rest(self) -> list[int]:
        """The rows that the localizer did not read."""
        deeper = {row for rows, _ in self.deepened for row in rows}
        return [row for row in range(len(self.images)) if row not in deeper]

    def multiply_adds(self) -> list[int]:
        """Multiply-adds of the classifier for each image."""
        return [*self.costs]
