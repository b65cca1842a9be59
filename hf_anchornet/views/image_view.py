"""Views of localized patches: boxes coloured by scale, and a heat map of the evidence.

`result` is always the dict that the `patch-localization` pipeline returns for `image`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hf_anchornet.model.image_processing_anchornet import open_image

from .base import HUES, Record, clean_line, summarize_answer
from .explanation_view import (
    draw_explanation,
    render_explanation,
    summarize_explanation,
)

SMALLEST_SIDE_PX = 480
"""Smaller pictures are enlarged to this longer side, so that the labels are legible."""

_Color = tuple[int, int, int]
_FOR_RGB, _AGAINST_RGB = (213, 94, 0), (0, 114, 178)
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
        """Write the view to `path` as PNG."""
        self.draw().save(path, "PNG")


def render_patches(image: Any, result: Record) -> Image.Image:
    """The picture with its patches, and a caption below.

    Beside it, if they are there: the heat map, and the parts that explain the answer, with values.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    panels = draw_panels(image, result)
    explanation = result.get("explanation")
    if explanation is not None:
        picture = open_image(image)
        large = picture.resize(panels[0].size)
        panels.append(draw_explanation(large, explanation["parts"], large.width / picture.width))
    return _add_caption(_join(panels), result)


def draw_panels(image: Any, result: Record, longest_px: int | None = None) -> list[Image.Image]:
    """The picture with its patches and, if there is one, the heat map, in the same size.

    Pictures whose longer side exceeds `longest_px` are scaled down to it.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    picture = open_image(image)
    _check_boxes(picture, result["patches"])
    longest = max(picture.size)
    drawn_px = max(longest, SMALLEST_SIDE_PX)
    stretch = (drawn_px if longest_px is None else min(drawn_px, longest_px)) / longest
    large = picture.resize([round(side * stretch) for side in picture.size])
    panels = [draw_boxes(large, result["patches"], stretch)]
    heat = next(iter(result.get("maps", {}).values()), None)
    if heat is not None:
        panels.append(draw_heat(large, heat))
    return panels


def draw_boxes(image: Image.Image, patches: Sequence[Record], stretch: float = 1.0) -> Image.Image:
    """A copy of the picture with boxes, coloured by scale and labelled with shares.

    Args:
        image: The picture, RGB.
        patches: Patches of the pipeline's answer; the best is drawn on top.
        stretch: Pixels of `image` per pixel of the boxes.
    """
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(_TEXT_PX)
    colors = _color_scales(patches)
    for patch in reversed(patches):
        color = colors[patch["scale"]]
        sides = [round(patch["box"][side] * stretch) for side in ("xmin", "ymin", "xmax", "ymax")]
        corner = (sides[0], sides[1])
        pen.rectangle([*corner, sides[2] - 1, sides[3] - 1], outline=color, width=3)
        tag = f"{patch['share']:+.0%}"
        pen.rectangle(pen.textbbox(corner, tag, font=font), fill=color)
        pen.text(corner, tag, fill=_ink_on(color), font=font)
    return drawn


def draw_heat(image: Image.Image, cells: Sequence[Sequence[float]]) -> Image.Image:
    """The picture in grey with its evidence on top: orange for the label, blue against it.

    Args:
        image: The picture, RGB.
        cells: Evidence of each cell, (rows, columns); an entry of the answer's `maps`.
    """
    values = np.array(cells, dtype=np.float32)
    values /= max(float(np.abs(values).max()), 1e-12)
    smooth = Image.fromarray(values).resize(image.size, Image.Resampling.BILINEAR)
    strength: NDArray[np.float32] = np.asarray(smooth)[..., None]  # (height, width, 1)
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.float32)
    color = np.where(strength > 0, np.array(_FOR_RGB), np.array(_AGAINST_RGB))
    opacity = 0.8 * np.abs(strength)
    return Image.fromarray((grey * (1 - opacity) + color * opacity).round().astype(np.uint8))


def render_table(result: Record) -> str:
    """The answer in one sentence, and its patches as a plain table, best first."""
    rows = [f"{'share':>7}  {'evidence':>8}  {'scale':>6}  box (x0, y0, x1, y1)"]
    for patch in result["patches"]:
        label = "" if patch["label"] == result["label"] else f"  {clean_line(patch['label'])}"
        sides = ", ".join(f"{side:d}" for side in patch["box"].values())
        rows.append(
            f"{patch['share']:>+7.1%}  {patch['evidence']:>+8.3f}  {patch['scale']:>3} px  "
            f"({sides}){label}"
        )
    table = "\n".join([summarize_answer(result), *(rows if result["patches"] else [])])
    return "\n\n".join(part for part in (table, render_explanation(result)) if part)


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


def _color_scales(patches: Sequence[Record]) -> Mapping[int, _Color]:
    scales = sorted({patch["scale"] for patch in patches})
    return {scale: HUES[index % len(HUES)].rgb for index, scale in enumerate(scales)}


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
    entries: list[tuple[str, _Color | None]] = [(summarize_answer(result), None)]
    if (explanation := result.get("explanation")) is not None:
        entries.append((clean_line(summarize_explanation(explanation)), None))
    entries += [
        (f"window {scale} px", color) for scale, color in _color_scales(result["patches"]).items()
    ]
    line_px = _TEXT_PX + _MARGIN_PX
    lines = [line for text, color in entries for line in _wrap(text, color, font, image.width)]
    canvas = Image.new("RGB", (image.width, image.height + line_px * len(lines)), "white")
    canvas.paste(image)
    pen = ImageDraw.Draw(canvas)
    for row, (text, color) in enumerate(lines):
        top = image.height + row * line_px + _MARGIN_PX // 2
        if color is not None:
            pen.rectangle([_MARGIN_PX, top, _MARGIN_PX + _TEXT_PX, top + _TEXT_PX], fill=color)
        pen.text((_MARGIN_PX + (color is not None) * line_px, top), text, "black", font=font)
    return canvas


def _wrap(
    text: str, color: _Color | None, font: Any, width_px: int
) -> list[tuple[str, _Color | None]]:
    """The text as lines that fit the width, each with the colour of its key."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width_px - 3 * _MARGIN_PX - _TEXT_PX:
            lines.append(word)
        else:
            lines[-1] = longer
    return [(line, color) for line in lines]
