"""Views of localized patches: boxes coloured by scale, and a heat map of the evidence.

`result` is always the dict that the `patch-localization` pipeline returns for `image`. Patches are
shown in the order of their share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hf_anchornet.model.image_processing_anchornet import open_image

from .base import HUES, Record, check_answer, check_suffix, clean_line, summarize_answer, wrap
from .explanation_view import draw_explanation, render_explanation, summarize_explanation
from .image_heat import AGAINST_RGB, FOR_RGB, draw_heat
from .image_tags import frame, place_tags
from .image_text import fit_lines, write

COLUMNS = 80
"""Width of a line of text."""

RESIZED = "Scales are in pixels of the picture as it was read, boxes in those of the image."
"""What is said below a table whose scales are not the sides of its boxes."""

SMALLEST_SIDE_PX = 480
"""Smaller pictures are enlarged to this longer side, so that the labels are legible."""

LONGEST_SIDE_PX = 2000
"""Larger pictures are drawn with this longer side: beyond, no label is legible."""

LEAST_WIDTH_PX = 320
"""Least width of a view with its caption."""

LONGEST_TAG = 20
"""Most characters of a label at a box."""

_Color = tuple[int, int, int]
_TEXT_PX = 15
_MARGIN_PX = 8


@dataclass(frozen=True)
class PatchView:
    """A picture and its patches, shown as PNG in a notebook and as a table when printed.

    Attributes:
        image: The picture, in any form that the pipeline accepts.
        result: The pipeline's answer; if it has `maps`, a heat map is drawn beside the boxes.
    """

    image: Any
    result: Record

    def __post_init__(self) -> None:
        check_answer(self.result, "patches", "patch-localization")

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.draw().save(buffer, "PNG")
        return buffer.getvalue()

    def __str__(self) -> str:
        return render_table(self.result)

    def draw(self) -> Image.Image:
        """The picture with boxes, heat map and caption; see `render_patches`."""
        return render_patches(self.image, self.result)

    def save(self, path: str | Path) -> None:
        """Write the view to `path`, a .png file."""
        check_suffix(path, ".png")
        self.draw().save(path, "PNG")


def render_patches(image: Any, result: Record) -> Image.Image:
    """The picture with its patches, and a caption below.

    Beside it, if they are there: the heat map, and the parts that explain the answer, with values.
    A picture whose longer side exceeds `LONGEST_SIDE_PX` is drawn smaller.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    panels = draw_panels(image, result, LONGEST_SIDE_PX)
    return _add_caption(_join([*panels.values()]), result)


def draw_panels(
    image: Any, result: Record, longest_px: int | None = None
) -> dict[str, Image.Image]:
    """The views of a picture, all of the same size.

    Args:
        image: The picture, in any form that the pipeline accepts.
        result: The pipeline's answer.
        longest_px: Pictures whose longer side exceeds this are scaled down to it; default: none.

    Returns:
        "boxes": the picture with its patches; "heat": the heat map, if there is one; "explanation":
        the parts that explain the answer, with values, if there are any.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    picture = open_image(image)
    _check_boxes(picture, result["patches"])
    longest = max(picture.size)
    drawn_px = max(longest, SMALLEST_SIDE_PX)
    stretch = (drawn_px if longest_px is None else min(drawn_px, longest_px)) / longest
    large = picture.resize([max(1, round(side * stretch)) for side in picture.size])
    panels = {"boxes": draw_boxes(large, result["patches"], stretch)}
    mapped = _find_mapped(result)
    if mapped is not None:
        panels["heat"] = draw_heat(large, result["maps"][mapped], result.get("grid"))
    if (explanation := result.get("explanation")) is not None:
        panels["explanation"] = draw_explanation(large, explanation["parts"], stretch)
    return panels


def draw_boxes(image: Image.Image, patches: Sequence[Record], stretch: float = 1.0) -> Image.Image:
    """A copy of the picture with boxes, coloured by scale and labelled with shares.

    Where boxes are for several labels, each names its own.

    Labels keep clear of each other where there is room, that of the largest share first.

    Args:
        image: The picture, RGB.
        patches: Patches of the pipeline's answer; smaller ones are drawn on top.
        stretch: Pixels of `image` per pixel of the boxes.
    """
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(_TEXT_PX)
    ranked = rank_patches(patches)
    boxes = [
        [round(patch["box"][side] * stretch) for side in ("xmin", "ymin", "xmax", "ymax")]
        for patch in ranked
    ]
    several = len({patch["label"] for patch in ranked}) > 1
    tags = [
        f"{patch['share']:+.0%}" + f" {write(patch['label'], font, LONGEST_TAG)}" * several
        for patch in ranked
    ]
    bounds = [pen.textbbox((0, 0), tag, font=font) for tag in tags]
    sizes = [(math.ceil(right) + 2, math.ceil(bottom) + 2) for _, _, right, bottom in bounds]
    places = place_tags(boxes, sizes, image.size)
    outlines = zip(boxes, map(color_scale, (patch["scale"] for patch in ranked)), strict=True)
    for box, color in sorted(outlines, key=lambda each: -_measure_area(each[0])):
        pen.rectangle(frame(box), outline=color, width=3)
    for patch, tag, (x, y), (width, height) in reversed(
        [*zip(ranked, tags, places, sizes, strict=True)]
    ):
        color = color_scale(patch["scale"])
        pen.rectangle([x, y, x + width - 1, y + height - 1], fill=color)
        pen.text((x + 1, y), tag, fill=_ink_on(color), font=font)
    return drawn


def rank_patches(patches: Sequence[Record]) -> list[Record]:
    """The patches in the order of their share, largest first."""
    return sorted(patches, key=lambda patch: -float(patch["share"]))


def color_scale(scale: int) -> _Color:
    """The colour of all windows of a scale, in every picture and for every model.

    It changes with every factor of the square root of two.
    """
    step = round(2 * math.log2(scale)) if scale > 0 else 0
    return HUES[(step + 2) % len(HUES)].rgb


def render_table(result: Record) -> str:
    """The answer in a sentence or two, and its patches as a plain table, by share."""
    rows = [f"{'share':>7}  {'evidence':>8}  {'scale':>6}  box (x0, y0, x1, y1)"]
    for patch in rank_patches(result["patches"]):
        label = "" if patch["label"] == result["label"] else f"  {clean_line(patch['label'])}"
        sides = ", ".join(f"{side:d}" for side in patch["box"].values())
        rows.append(
            f"{patch['share']:>+7.1%}  {patch['evidence']:>+8.3f}  {patch['scale']:>3} px  "
            f"({sides}){label}"
        )
    answer = wrap(describe_answer(result), COLUMNS)
    notes = [wrap(RESIZED, COLUMNS)] if is_resized(result["patches"]) else []
    table = "\n".join([answer, *(rows if result["patches"] else []), *notes])
    return "\n\n".join(part for part in (table, render_explanation(result)) if part)


def is_resized(patches: Sequence[Record]) -> bool:
    """Whether the model read a smaller or larger picture than the one with the boxes."""
    sides = [patch["box"]["xmax"] - patch["box"]["xmin"] for patch in patches]
    return any(abs(side - patch["scale"]) > 1 for side, patch in zip(sides, patches, strict=True))


def describe_box(sides: Sequence[int]) -> str:
    """Where a box `(x0, y0, x1, y1)` is, in words."""
    return f"{sides[0]} to {sides[2]} across, {sides[1]} to {sides[3]} down"


def describe_answer(result: Record) -> str:
    """The summary of an answer, and the share that its patches have together."""
    shares, label = result.get("shares", {}), result["label"]
    if len(result["patches"]) < 2 or label not in shares:
        return summarize_answer(result)
    alone = all(patch["label"] == label for patch in result["patches"])
    they = "Together they" if alone else f"Those for {clean_line(label)}"
    together = f"{they} carry {shares[label]:.1%} of the evidence, overlaps counted once."
    return f"{summarize_answer(result)} {together}"


def _check_boxes(picture: Image.Image, patches: Sequence[Record]) -> None:
    for index, patch in enumerate(patches):
        box = patch["box"]
        inside = 0 <= box["xmin"] < box["xmax"] <= picture.width
        if not inside or not 0 <= box["ymin"] < box["ymax"] <= picture.height:
            raise ValueError(
                f"`result` must belong to `image`, got a patch {index} at {dict(box)}, outside "
                f"this image of {picture.width} x {picture.height} px; pass the image that the "
                "pipeline read."
            )


def _measure_area(box: Sequence[int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _ink_on(color: _Color) -> str:
    """Black or white, whichever has more contrast with a colour (luma of ITU-R BT.601)."""
    return "black" if np.dot(color, (0.299, 0.587, 0.114)) > 128 else "white"


def _join(panels: Sequence[Image.Image]) -> Image.Image:
    """The panels, all of the same height, side by side."""
    width = sum(panel.width for panel in panels) + _MARGIN_PX * (len(panels) - 1)
    joined = Image.new("RGB", (width, panels[0].height), "white")
    left = 0
    for panel in panels:
        joined.paste(panel, (left, 0))
        left += panel.width + _MARGIN_PX
    return joined


def _add_caption(image: Image.Image, result: Record) -> Image.Image:
    """The picture with a summary and the key of its colours below."""
    font = ImageFont.load_default(_TEXT_PX)
    entries: list[tuple[str, _Color | None]] = [(describe_answer(result), None)]
    if (explanation := result.get("explanation")) is not None:
        entries.append((clean_line(summarize_explanation(explanation)), None))
    entries += list_keys(result)
    line_px, width = _TEXT_PX + _MARGIN_PX, max(image.width, LEAST_WIDTH_PX)
    written = [(write(text, font), color) for text, color in entries]
    room = width - 3 * _MARGIN_PX - _TEXT_PX
    lines = [(line, color) for text, color in written for line in fit_lines(text, font, room)]
    canvas = Image.new("RGB", (width, image.height + line_px * len(lines)), "white")
    canvas.paste(image)
    pen = ImageDraw.Draw(canvas)
    for row, (text, color) in enumerate(lines):
        top = image.height + row * line_px + _MARGIN_PX // 2
        if color is not None:
            pen.rectangle([_MARGIN_PX, top, _MARGIN_PX + _TEXT_PX, top + _TEXT_PX], fill=color)
        pen.text((_MARGIN_PX + (color is not None) * line_px, top), text, "black", font=font)
    return canvas


def list_keys(result: Record) -> list[tuple[str, _Color]]:
    """What each colour means: windows by scale, then those of the heat map."""
    scales: dict[_Color, list[int]] = {}
    for scale in sorted({patch["scale"] for patch in result["patches"]}):
        scales.setdefault(color_scale(scale), []).append(scale)
    read = " of the picture as it was read" if is_resized(result["patches"]) else ""
    keys = [
        (f"window {', '.join(map(str, found))} px{read}: its share of the evidence", color)
        for color, found in scales.items()
    ]
    label = _find_mapped(result)
    if label is None:
        return keys
    divided = ", divided by the windows over each pixel" if "grid" in result else ""
    name = clean_line(label, 40)
    heat = [(f"evidence for {name}{divided}", FOR_RGB), (f"evidence against {name}", AGAINST_RGB)]
    return keys + heat


def _find_mapped(result: Record) -> str | None:
    """The label whose heat map is drawn: the answered one or else the first; `None` without."""
    maps = result.get("maps", {})
    return result["label"] if result["label"] in maps else next(iter(maps), None)
