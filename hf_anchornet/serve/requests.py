"""Fields of a request, the size of its input, and the answers to invalid requests."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from .libraries import (
    BaseModel,
    ConfigDict,
    Field,
    JSONResponse,
    Request,
    RequestValidationError,
    model_validator,
)
from .limits import ServingOptions

MOST_LABELS = 32
"""Largest number of labels in one request."""

LONGEST_LABEL = 1000
"""Most characters of a label in a request."""

LONGEST_REFUSAL = 500
"""Most characters of a refusal, which may quote a request."""

MOST_SCALES = 8
"""Largest number of scales in one request; each costs a pass over all positions."""

LARGEST_SCALE = 1_000_000
"""Largest scale, in tokens or pixels; it covers any whole input."""

MOST_TOKENS = 1024
"""Largest `max_tokens`; the time to select spans grows in proportion to it."""

MODEL_WEIGHT = 4
"""Weight of a pixel of the model's input against one of the file: features take more memory."""

Scales = Annotated[
    list[Annotated[int, Field(ge=1, le=LARGEST_SCALE)]], Field(max_length=MOST_SCALES)
]
Labels = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_LABEL)]], Field(max_length=MOST_LABELS)
]


class _Options(BaseModel):
    """Fields that are all known."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def refuse_many(cls, given: Any) -> Any:
        """Refuse an object with too many fields at once: each would be a fault of its own."""
        if isinstance(given, Mapping) and len(given) > len(cls.model_fields):
            raise ValueError(
                f"the body must have at most the fields {', '.join(cls.model_fields)}, got "
                f"{len(given):,} fields; leave the others out."
            )
        return given


class PatchRequest(_Options):
    """Options of the patch-localization pipeline for one image."""

    top_k: int | None = None
    scales: Scales | None = None
    iou_threshold: float | None = None
    labels: Labels | None = None
    exit_threshold: float | None = None
    explain_answer: bool | None = None
    max_patches: int | None = None


class SpanRequest(_Options):
    """A text and its options of the span-localization pipeline."""

    text: str
    top_k: int | None = None
    scales: Scales | None = None
    iou_threshold: float | None = None
    labels: Labels | None = None
    exit_threshold: float | None = None
    explain_answer: bool | None = None
    max_tokens: Annotated[int, Field(le=MOST_TOKENS)] | None = None
    unit: Literal["word", "clause", "sentence"] | None = None


def measure_image(
    width: int, height: int, shorter_side: int | None, options: ServingOptions
) -> int:
    """The number of pixels that an image counts as.

    The larger of two numbers: the pixels of the image itself, which stays in memory, and
    `MODEL_WEIGHT` times the square around the model's input. The model's time and memory grow with
    the square of the longer side, and a batch of wide and tall images is padded to that square.

    Args:
        width: Width of the image in its file.
        height: Its height.
        shorter_side: Pixels to which the image processor resizes the shorter side, if it does.
        options: The limits.

    Raises:
        ValueError: if the image is too large or too long.
    """
    if width * height > options.max_pixels:
        raise ValueError(
            f"the image must have at most `max_pixels` ({options.max_pixels}) pixels, got "
            f"{width * height}; send a smaller one.",
        )
    shorter, longer = sorted((width, height))
    if longer > options.max_aspect * shorter:
        raise ValueError(
            f"the image's longer side must be at most `max_aspect` ({options.max_aspect}) times "
            f"the shorter, got {width} x {height} px; cut it into parts.",
        )
    side = longer if shorter_side is None else -(-longer * shorter_side // shorter)
    return max(width * height, MODEL_WEIGHT * side**2)


async def refuse_request(_: Request, error: Exception) -> JSONResponse:
    """The answer to an invalid request: one sentence that does not repeat the request."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": shorten("; ".join(map(_describe_fault, error.errors())))}, 422)


async def refuse_json(_: Request, __: Exception) -> JSONResponse:
    """The answer to a body that is JSON but beyond the limits of Python's parser."""
    refusal = "the body must be JSON without deep nesting or huge numbers; send `text` and options."
    return JSONResponse({"detail": refusal}, 422)


def shorten(refusal: str) -> str:
    """A refusal of at most `LONGEST_REFUSAL` characters."""
    return refusal if len(refusal) <= LONGEST_REFUSAL else f"{refusal[: LONGEST_REFUSAL - 3]}..."


def _describe_fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"][1:]))
    if fault["type"] == "json_invalid":
        return f"the body must be valid JSON, got an error at character {where}"
    if fault["type"] == "value_error":  # of `refuse_many`
        return str(fault["ctx"]["error"])
    if not where:
        return "the body must be a JSON object; send it with `Content-Type: application/json`"
    return f"`{where}`: {fault['msg']}"
