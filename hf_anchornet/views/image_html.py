"""Localized patches as HTML: the pictures of `image_view`, a key to their colours, and a table."""

import html
from collections.abc import Sequence
from typing import Any

from .base import Record
from .explanation_view import render_explanation_html
from .image_view import (
    RESIZED,
    describe_answer,
    describe_box,
    draw_panels,
    is_resized,
    list_keys,
    rank_patches,
)
from .page import encode_picture, escape

TITLE = "Localized patches"
"""Title of a page."""

LONGEST_SIDE_PX = 640
"""Longer side of a drawn picture, at most."""

CAPTIONS = {
    "boxes": "Boxes with their shares, one colour a window size",
    "heat": "Evidence for the label (orange) or against it (blue) per window over each pixel",
    "explanation": "What each part adds to the answer: orange for it, blue against it",
}
"""What each panel of `draw_panels` shows, in words."""


def render_patches_html(image: Any, result: Record, title: str = "") -> str:
    """The picture with its patches as a fragment of a page; see `render_patches`.

    Args:
        image: The picture, in any form that the pipeline accepts.
        result: The pipeline's answer.
        title: Heading; default: none.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    keys = "<br>".join(
        f'<span aria-hidden="true" style="display:inline-block;width:1em;height:.8em;'
        f'background:rgb{color}"></span> {escape(meaning)}'
        for meaning, color in list_keys(result)
    )
    heading = f"<strong>{escape(title)}</strong><br>" if title else ""
    note = f"<p><small>{RESIZED}</small></p>" if is_resized(result["patches"]) else ""
    return (
        '<figure style="margin:1em 0 2em">'
        f"<figcaption>{heading}{escape(describe_answer(result))}<br>"
        f"<small>{keys}</small></figcaption>"
        f'<div style="display:flex;flex-wrap:wrap;gap:.75rem">{render_panels(image, result)}</div>'
        f"{render_patch_table(result['patches'])}{note}{render_explanation_html(result)}"
        "</figure>\n"
    )


def render_panels(image: Any, result: Record) -> str:
    """The panels of `draw_panels` as figures with captions.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    boxes = ", ".join(
        f"{patch['share']:+.0%} at {describe_box([*patch['box'].values()])}"
        for patch in rank_patches(result["patches"])
    )
    texts = {
        "boxes": f"The picture with boxes: {boxes or 'no box'}",
        "heat": "The picture in grey under a map of the evidence",
        "explanation": "The picture with the parts that explain the answer",
    }
    style = "max-width:100%;height:auto;border-radius:.5rem"
    return "".join(
        '<figure style="margin:0;flex:1 1 14rem;min-width:0">'
        f'<img src="{encode_picture(panel)}" alt="{html.escape(texts[name])}" style="{style}">'
        f"<figcaption><small>{CAPTIONS[name]}</small></figcaption></figure>"
        for name, panel in draw_panels(image, result, LONGEST_SIDE_PX).items()
    )


def render_patch_table(patches: Sequence[Record]) -> str:
    """The patches as a table, by share."""
    names = ("share", "evidence", "window", "box (x0, y0, x1, y1)", "label")
    head = "".join(f'<th scope="col" style="text-align:start">{name}</th>' for name in names)
    rows = "".join(
        f"<tr><td>{patch['share']:+.1%}</td><td>{patch['evidence']:+.3f}</td>"
        f"<td>{patch['scale']} px</td><td>{', '.join(map(str, patch['box'].values()))}</td>"
        f"<td>{escape(patch['label'])}</td></tr>"
        for patch in rank_patches(patches)
    )
    if not rows:
        return "<p>No patch has any evidence.</p>"
    table = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return (
        '<div class="scroll" style="overflow-x:auto">'
        f'<table style="border-spacing:1em 0">{table}</table></div>'
    )
