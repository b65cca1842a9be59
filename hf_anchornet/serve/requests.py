"""What a request may say: its fields, how large its input is, what is wrong with it."""

from collections.abc import Mapping
from io import BytesIO
from typing import Annotated, Any

from PIL import Image

from .libraries import (
    BaseModel,
    ConfigDict,
    Field,
    HTTPException,
    JSONResponse,
    Request,
    RequestValidationError,
)
from .limits import ServingOptions

IMAGE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Those that are taken: for some of the rest Pillow runs other programs."""

MOST_LABELS = 32
"""The most labels that one request may name."""

MOST_SCALES = 8
"""The most sizes that one request may name: each costs a pass over all positions."""

LARGEST_SCALE = 1_000_000
"""In tokens or pixels; a passage as large as that is the whole text."""

MOST_TOKENS = 1024
"""The largest `max_tokens`: the best set of spans costs time in proportion to it."""

MODEL_WEIGHT = 4
"""A pixel that the model gets counts as so many of the file: features take far more memory."""

Scales = Annotated[
    list[Annotated[int, Field(ge=1, le=LARGEST_SCALE)]], Field(max_length=MOST_SCALES)
]
Labels = Annotated[list[str], Field(max_length=MOST_LABELS)]


class PatchRequest(BaseModel):
    """Options of the patch-localization pipeline for one image."""

    model_config = ConfigDict(extra="forbid")
    top_k: int | None = None
    scales: Scales | None = None
    iou_threshold: float | None = None
    labels: Labels | None = None
    exit_threshold: float | None = None
    max_patches: int | None = None


class SpanRequest(BaseModel):
    """A text and options of the span-localization pipeline for it."""

    model_config = ConfigDict(extra="forbid")
    text: str
    top_k: int | None = None
    scales: Scales | None = None
    iou_threshold: float | None = None
    labels: Labels | None = None
    exit_threshold: float | None = None
    max_tokens: Annotated[int, Field(le=MOST_TOKENS)] | None = None


def measure_text(text: str, most: int) -> int:
    """Characters of a text.

    Args:
        text: As it came.
        most: `ServingOptions.max_characters`.

    Raises:
        HTTPException: if it is too long or no Unicode.
    """
    if len(text) > most:
        raise HTTPException(
            422,
            f"`text` must have at most `max_characters` ({most}) characters, got {len(text)}; "
            "send it in parts.",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise HTTPException(
            422,
            f"`text` must be Unicode, got half of a pair, {text[error.start]!r}, at character "
            f"{error.start}; leave it out.",
        ) from error
    return len(text)


def measure_image(body: bytes, shorter_side: int | None, options: ServingOptions) -> int:
    """Pixels that an image is counted as, by the head of its file; it is decoded at its turn.

    That is the larger of two: its own pixels, which are kept while it is read, and `MODEL_WEIGHT`
    times the square around it as the model gets it. The model's time and memory grow with the
    square of the longer side, and wide and tall images in one batch are padded to that square.

    Args:
        body: The file.
        shorter_side: What the image processor makes of the shorter side, in pixels; `None`: it
            leaves images as they are.
        options: The limits.

    Raises:
        HTTPException: if it is no image, too large or too long.
    """
    try:
        with Image.open(BytesIO(body), formats=IMAGE_FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise HTTPException(
            422,
            f"the body must be an image file ({', '.join(IMAGE_FORMATS)}), got {len(body)} bytes "
            "that are none; send the file as it is, not in a form.",
        ) from error
    if width * height > options.max_pixels:
        raise HTTPException(
            422,
            f"the image must have at most `max_pixels` ({options.max_pixels}) pixels, got "
            f"{width * height}; send a smaller one.",
        )
    shorter, longer = sorted((width, height))
    if longer > options.max_aspect * shorter:
        raise HTTPException(
            422,
            f"the image's longer side must be at most `max_aspect` ({options.max_aspect}) times "
            f"the shorter, got {width} x {height} px; cut it into parts.",
        )
    seen = longer if shorter_side is None else -(-longer * shorter_side // shorter)
    return max(width * height, MODEL_WEIGHT * seen**2)


async def refuse_request(_: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request in one sentence, without the request in it."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": "; ".join(map(_describe_fault, error.errors()))}, 422)


async def refuse_json(_: Request, __: Exception) -> JSONResponse:
    """What FastAPI answers with 400: a body that is JSON but that Python does not read."""
    refusal = "the body must be JSON with few levels and numbers of few digits; send only `text` "
    return JSONResponse({"detail": refusal + "and options."}, 422)


def _describe_fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"][1:]))
    if fault["type"] == "json_invalid":
        return f"the body must be JSON, got none at character {where}"
    if not where:
        return "the body must be a JSON object; send it with `Content-Type: application/json`"
    return f"`{where}`: {fault['msg']}"
