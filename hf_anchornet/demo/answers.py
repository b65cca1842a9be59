"""Answers of the web demo: from the user's text or photo to HTML, within the demo's limits."""

from collections.abc import Mapping
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image

from hf_anchornet.model.image_files import open_file, open_named_image
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
        upload: Gradio's description of the uploaded file, with its `path`; see `check_upload`.
        models: The models to ask.
        options: The user's choices.

    Raises:
        ValueError: if there is no photo, it is too large or unreadable, or an option is out of
            range.
    """
    if upload is None:
        raise ValueError("`Photo` must not be empty; drop or choose one, or click the example.")
    with Path(upload["path"]).open("rb") as file:
        content = file.read(MOST_FILE_BYTES + 1)
    image = open_upload(content)
    answer = models.ask(image, options)
    cards = render_cards(answer, "the whole photo")
    return render_verdict(answer), render_boxes(image, answer) + cards


def check_upload(upload: Any, folder: str | PathLike[str]) -> None:
    """Refuse a description of an upload, as whoever asks may have made it up.

    Without preprocessing Gradio does not check that the path is one of its uploads.

    Args:
        upload: `None`, or Gradio's description of the file.
        folder: Gradio's folder of uploads. Files elsewhere are not read, except for the sample.

    Raises:
        ValueError: if it names another file.
    """
    if upload is None:
        return
    named = upload.get("path") if isinstance(upload, Mapping) else None
    path = Path(str(named)).resolve()
    is_uploaded = path.is_relative_to(Path(folder).resolve()) and path.is_file()
    if not is_uploaded and path != SAMPLE_IMAGE.resolve():
        raise ValueError("`Photo` must be a file that was uploaded here; drop or choose one.")


def open_upload(content: bytes) -> Image.Image:
    """The picture in an uploaded file, upright and RGB.

    Raises:
        ValueError: if it is too large or unreadable.
    """
    if len(content) > MOST_FILE_BYTES:
        raise ValueError(
            f"`Photo` must have at most {MOST_FILE_BYTES:,} bytes here; make it smaller."
        )
    try:
        with open_file(content) as (opened, _):  # reads only the header, within limits
            width, height = opened.size
    except (OSError, SyntaxError, TypeError, ValueError):
        width = height = 0  # decoding it below raises the error
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"`Photo` must have at most {MOST_PIXELS:,} pixels here, got {width} x {height}; "
            "make it smaller."
        )
    return open_named_image(content, "`Photo`")
