"""Localization of whole data sets, one batch at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

from hf_anchornet.model.image_localizer import ImageLocalizer, LocalizedImages
from hf_anchornet.model.text_localizer import LocalizedTexts, TextLocalizer


def localize_texts(
    localizer: TextLocalizer, texts: Sequence[str], batch_size: int = 32
) -> Iterator[LocalizedTexts]:
    """Batches of localized texts of any length, in order.

    Raises:
        TypeError: if an input is not a string, naming its row.
    """
    return map(localizer.read, _batch_inputs(localizer, texts, batch_size))


def localize_images(
    localizer: ImageLocalizer, images: Sequence[Any], batch_size: int = 32
) -> Iterator[LocalizedImages]:
    """Batches of localized images of any kind that `open_image` takes and any size, in order.

    Raises:
        TypeError: if an input is not an image, naming its row.
        ValueError: if an image cannot be read, naming its row.
    """
    return map(localizer.read, _batch_inputs(localizer, images, batch_size))


def _batch_inputs(
    localizer: TextLocalizer | ImageLocalizer, inputs: Sequence[Any], batch_size: int
) -> Iterator[list[Any]]:
    """Batches of checked inputs, in order; only the images of one batch are open at a time."""
    for start in range(0, len(inputs), batch_size):
        rows = range(start, min(start + batch_size, len(inputs)))
        yield [localizer.check_input(inputs[row], f"row {row}") for row in rows]
