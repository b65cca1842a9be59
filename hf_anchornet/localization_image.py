"""What an image localizer says of a whole data set, batch by batch."""

from collections.abc import Iterator, Sequence
from typing import Any

from transformers import PreTrainedModel

from .image_localizer_anchornet import ImageLocalizer, LocalizedImages
from .image_processing_anchornet import open_named_image


def localize_images(
    model: PreTrainedModel, processor: Any, sources: Sequence[Any], batch_size: int = 32
) -> Iterator[LocalizedImages]:
    """What a localizer says of images of any kind and size, a batch at a time, in order.

    Args:
        model: An `AnchorNetForImageClassification`.
        processor: Its image processor.
        sources: Pictures as `open_image` takes them.
        batch_size: Images in a batch.

    Raises:
        TypeError: if a source is no picture, naming its row.
        ValueError: if one cannot be read, naming its row.
    """
    localizer = ImageLocalizer(model, processor)
    for start in range(0, len(sources), batch_size):
        stop = min(start + batch_size, len(sources))
        yield localizer.read(
            [open_named_image(sources[row], f"row {row}") for row in range(start, stop)]
        )
