"""From what a user of the web demo gives to the HTML that answers it, within the demo's limits."""

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from hf_anchornet.model.image_processing_anchornet import open_named_image
from hf_anchornet.registration import SAMPLE_IMAGE

from .models import BUDGETS, DemoModels, DemoOptions
from .views import render_boxes, render_cards, render_spans, render_verdict

MOST_CHARACTERS = 20_000
MOST_FILE_BYTES = 20_000_000
MOST_PIXELS = 25_000_000

_LEARNED_FROM_PATCHES = """The shipped classifier learned from patches alone: what it says of a
whole photo tells of the cost, not of what a classifier trained on whole photos would answer."""


def load_models(task: str, localizer: str = "", classifier: str = "") -> DemoModels:
    """As `DemoModels.load`; the models used last stay loaded."""
    return _load(task, localizer, classifier)


# Apart, since a cache takes names left out and names given for different calls.
_load = lru_cache(maxsize=8)(DemoModels.load)


def warm_up() -> None:
    """Load the shipped models and ask them for inputs of each order of size: no click waits."""
    texts, photos = load_models("span-localization"), load_models("patch-localization")
    options = DemoOptions(5, texts.sizes, BUDGETS["span-localization"])
    # Multiply-adds are counted once for each power of two of tokens.
    for length in (16, 40, 80, 160, 320, 640, 1280, 2560):
        show_text("good " * length, texts, options)
    options = DemoOptions(5, photos.sizes, BUDGETS["patch-localization"])
    show_image({"path": SAMPLE_IMAGE}, photos, options)


def show_text(text: str, models: DemoModels, options: DemoOptions) -> tuple[str, str]:
    """Verdict and details of a text, as HTML.

    Args:
        text: What the user gave.
        models: Who is asked.
        options: What is shown.

    Raises:
        ValueError: if there is no text or too much of it, or an option is out of range.
    """
    if not text.strip():
        raise ValueError("`Text` must not be empty; type or paste one, or choose an example.")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"`Text` must have at most {MOST_CHARACTERS:,} characters here, got {len(text):,}; "
            "shorten it, or use the pipeline, which takes any length."
        )
    answer = models.ask(text, options)
    cards = render_cards(answer, "the full text")
    return render_verdict(answer), cards + render_spans(text, answer)


def show_image(
    upload: Mapping[str, Any] | None, models: DemoModels, options: DemoOptions
) -> tuple[str, str]:
    """Verdict and details of an uploaded photo, as HTML.

    Args:
        upload: Gradio's description of the file, with its `path`.
        models: Who is asked.
        options: What is shown.

    Raises:
        ValueError: if there is no photo, it is too large, it cannot be read, or an option is out
            of range.
    """
    if upload is None:
        raise ValueError("`Photo` must not be empty; drop or choose one, or click the example.")
    image = open_upload(Path(upload["path"]).read_bytes())
    answer = models.ask(image, options)
    remark = _LEARNED_FROM_PATCHES if models.shipped else ""
    cards = render_cards(answer, "the whole photo", remark)
    return render_verdict(answer), cards + render_boxes(image, answer)


def open_upload(content: bytes) -> Image.Image:
    """The picture in an uploaded file, upright and RGB.

    Raises:
        ValueError: if it is too large or cannot be read.
    """
    try:
        with Image.open(BytesIO(content)) as opened:  # reads no more than the header
            width, height = opened.size
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        width = height = 0  # what is wrong with it is told when it is decoded
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"`Photo` must have at most {MOST_PIXELS:,} pixels here, got {width} x {height}; "
            "make it smaller."
        )
    return open_named_image(content, "`Photo`")
