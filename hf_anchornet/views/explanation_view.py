"""The explanation of an answer: as lines of text, as an HTML table, and drawn on the picture.

`result` is the dict that a localization pipeline returns; without `explanation` nothing is shown.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .base import Record, clean_line, wrap
from .image_tags import frame
from .page import escape, render_table

_FOR_RGB, _AGAINST_RGB = (213, 94, 0), (0, 114, 178)
_TEXT_PX = 15


def render_explanation(result: Record, width: int | None = None) -> str:
    """The explanation as plain lines, the largest values first; "" if there is none.

    Args:
        result: The answer.
        width: Columns of a terminal; the summary is wrapped, longer parts are cut.
    """
    explanation = result.get("explanation")
    if explanation is None:
        return ""
    rows = [
        f"{part['value']:>+9.3f}  {clean_line(name_part(part), width and max(10, width - 11))}"
        for part in _rank_parts(explanation)
    ]
    return "\n".join([wrap(clean_line(summarize_explanation(explanation)), width), *rows])


def summarize_explanation(explanation: Record) -> str:
    """One or two sentences: the answer, who gave it, and what it is without any part."""
    sentence = (
        f"Of the {explanation['unit']} {explanation['total']:.3f} for {explanation['label']} by "
        f"the {explanation['model']}, {explanation['base']:.3f} is there without these parts; they "
        "add:"
    )
    if explanation["error"]:
        sentence += f" (estimates, standard error at most {explanation['error']:.3f})"
    return sentence


def render_explanation_html(result: Record) -> str:
    """The explanation as a table, the largest values first; "" if there is none."""
    explanation = result.get("explanation")
    if explanation is None:
        return ""
    rows = "".join(
        f"<tr><td>{part['value']:+.3f}</td>"
        f'<td dir="auto" lang="" style="text-align:start">{escape(name_part(part))}</td></tr>'
        for part in _rank_parts(explanation)
    )
    return (
        f'<div class="explanation"><p>{escape(summarize_explanation(explanation))}</p>'
        f"{render_table(('value', 'part'), rows)}</div>"
    )


def draw_explanation(image: Image.Image, parts: Sequence[Record], stretch: float) -> Image.Image:
    """A copy of the picture with the parts of an explanation and their values.

    Orange boxes speak for the answer, blue ones against it.

    Args:
        image: The picture, RGB.
        parts: The explanation's parts.
        stretch: Pixels of `image` per pixel of the boxes.
    """
    drawn = image.copy()
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(_TEXT_PX)
    for part in parts:
        box = [round(side * stretch) for side in part["box"].values()]
        color = _FOR_RGB if part["value"] >= 0 else _AGAINST_RGB
        pen.rectangle(frame(box), outline=color, width=3)
        tag = f"{part['value']:+.2f}"
        pen.rectangle(pen.textbbox((box[0], box[1]), tag, font=font), fill=color)
        pen.text((box[0], box[1]), tag, fill="white", font=font)
    return drawn


def name_part(part: Record) -> str:
    """A part in words: what a span says, or where a patch is."""
    if "box" not in part:
        return str(part["text"])
    return f"({', '.join(f'{side:d}' for side in part['box'].values())})"


def _rank_parts(explanation: Record) -> list[Record]:
    return sorted(explanation["parts"], key=lambda part: -abs(part["value"]))
