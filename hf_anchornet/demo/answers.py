"""Answers of the web demo: from the user's text or photo to HTML, within the demo's limits."""

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


def load_models(task: str, localizer: str = "", classifier: str = "") -> DemoModels:
    """The models of `DemoModels.load`; the eight last used ones stay loaded."""
    return _load(task, localizer, classifier)


# A function of its own, as the cache tells omitted arguments from given ones.
_load = lru_cache(maxsize=8)(DemoModels.load)


def warm_up() -> None:
    """Run the shipped models on inputs of each order of size, so that the first click is fast."""
    texts, photos = load_models("span-localization"), load_models("patch-localization")
    options = DemoOptions(5, texts.usual_sizes, BUDGETS["span-localization"])
    # Multiply-adds are counted once for each power of two of the number of tokens.
    for length in (16, 40, 80, 160, 320, 640, 1280, 2560):
        show_text("good " * length, texts, options)
    options = DemoOptions(5, photos.usual_sizes, BUDGETS["patch-localization"])
    show_image({"path": SAMPLE_IMAGE}, photos, options)


def show_text(text: str, models: DemoModels, options: DemoOptions) -> tuple[str, str]:
    """Verdict and details of a text, as HTML.

    Raises:
        ValueError: if the text is empty or too long, or an option is out of range.
    """
    if not text.strip():
        raise ValueError("`Text` must not be empty; type or paste one, or choose an example.")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"`Text` must have at most {MOST_CHARACTERS:,} characters here, got {len(text):,}; "
            "shorten it, or use the pipeline, which reads texts of any length."
        )
    answer = models.ask(text, options)
    cards = render_cards(answer, "the full text")
    return render_verdict(answer), render_spans(text, answer) + cards


def show_image(
    upload: Mapping[str, Any] | None, models: DemoModels, options: DemoOptions
) -> tuple[str, str]:
    """Verdict and details of a photo, as HTML.

    Args:
        upload: Gradio's description of the uploaded file, with its `path`.
        models: The models to ask.
        options: The user's choices.

    Raises:
        ValueError: if there is no photo, it is too large or unreadable, or an option is out of
            range.
    """
    if upload is None:
        raise ValueError("`Photo` must not be empty; drop or choose one, or click the example.")
    image = open_upload(Path(upload["path"]).read_bytes())
    answer = models.ask(image, options)
    cards = render_cards(answer, "the whole photo")
    return render_verdict(answer), render_boxes(image, answer) + cards


def open_upload(content: bytes) -> Image.Image:
    """The picture in an uploaded file, upright and RGB.

    Raises:
        ValueError: if it is too large or unreadable.
    """
    try:
        with Image.open(BytesIO(content)) as opened:  # reads only the header
            width, height = opened.size
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        width = height = 0  # decoding it below raises the error
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"`Photo` must have at most {MOST_PIXELS:,} pixels here, got {width} x {height}; "
            "make it smaller."
        )
    return open_named_image(content, "`Photo`")
