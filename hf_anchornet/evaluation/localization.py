"""What an image localizer says of a whole data set, batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_anchornet.model.image_localizer import ImageLocalizer, LocalizedImages
from hf_anchornet.model.image_processing_anchornet import open_named_image
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_words import LocatedText


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


@dataclass(frozen=True)
class Localization:
    """A localizer's view of one text.

    Attributes:
        located: The text's words and their attribution, as it is shown.
        logits: (labels,), float32.
        scales: Sizes of the spans, in its tokens, that a classifier should be given to read.
    """

    located: LocatedText
    logits: NDArray[np.float32]
    scales: Sequence[int]


def localize(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 32,
) -> Iterator[Localization]:
    """What a localizer says of each text, in order; texts of any length."""
    localizer = TextLocalizer(model, tokenizer)
    for start in range(0, len(texts), batch_size):
        batch = localizer.read(list(texts[start : start + batch_size]))
        for located, logits in zip(batch.locate(), batch.logits.cpu().numpy(), strict=True):
            yield Localization(located, logits, localizer.reading_scales)
