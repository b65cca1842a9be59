"""Localized patches as HTML: the pictures of `image_view`, a key to their colours, and a table."""

import html
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from .base import Record, clean_line
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
from .page import encode_picture, escape, render_table

TITLE = "Localized patches"
"""Title of a page."""

LONGEST_SIDE_PX = 640
"""Longer side of a drawn picture, at most."""

ROW = "display:flex;flex-wrap:wrap;gap:.75rem;margin-bottom:.75rem"
"""How the panels of a label stand."""


def render_patches_html(image: Any, result: Record, title: str = "") -> str:
    """The picture with its patches as a fragment of a page, once for each label; see `draw_panels`.

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
    heading = f'<h2 style="font-size:1rem;margin:0">{escape(title)}</h2>' if title else ""
    note = f"<p><small>{RESIZED}</small></p>" if is_resized(result["patches"]) else ""
    return (
        '<figure style="margin:1em 0 2em">'
        f"<figcaption>{heading}{escape(describe_answer(result))}<br>"
        f"<small>{keys}</small></figcaption>{render_panels(image, result)}"
        f"{render_patch_table(result['patches'])}{note}{render_explanation_html(result)}"
        "</figure>\n"
    )


def render_panels(image: Any, result: Record) -> str:
    """The panels of `draw_panels` as figures with captions, a row for each label that is shown.

    Raises:
        ValueError: if `result` does not belong to `image`.
    """
    rows = (
        "".join(
            '<figure style="margin:0;flex:1 1 20rem;min-width:0">'
            f'<img src="{encode_picture(panel)}" alt="{html.escape(alt)}" '
            'style="max-width:100%;height:auto;border-radius:.5rem">'
            f"<figcaption><small>{caption}</small></figcaption></figure>"
            for panel, (alt, caption) in _draw_label(image, own)
        )
        for own in _split_labels(result)
    )
    return "".join(f'<div style="{ROW}">{row}</div>' for row in rows)


def _split_labels(result: Record) -> list[Record]:
    """The answer as one for each label that is shown, that of the answered label first."""
    maps, patches = result.get("maps", {}), result["patches"]
    labels = {**maps, **dict.fromkeys(patch["label"] for patch in patches)} or [result["label"]]
    parts = list[Record]()
    for label in sorted(labels, key=lambda label: label != result["label"]):
        own = [patch for patch in patches if patch["label"] == label]
        drawn = {label: maps[label]} if label in maps else {}
        part = {"label": label, "patches": own, "maps": drawn}
        about = ("grid", "explanation") if label == result["label"] else ("grid",)
        parts.append(part | {name: result[name] for name in about if name in result})
    return parts


def _draw_label(image: Any, result: Record) -> Iterator[tuple[Image.Image, tuple[str, str]]]:
    """The panels of one label, each with its text for who cannot see it and its caption."""
    label = clean_line(result["label"])
    boxes = ", ".join(
        f"{patch['share']:+.0%} at {describe_box([*patch['box'].values()])}"
        for patch in rank_patches(result["patches"])
    )
    name = escape(label)
    texts = {
        "boxes": (
            f"The picture with boxes for {label}: {boxes or 'no box'}",
            f"Boxes with their shares of the evidence for {name}, one colour a window size",
        ),
        "heat": (
            f"The picture in grey under a map of the evidence for {label}",
            f"Evidence for {name} (orange) or against it (blue) per window over each pixel",
        ),
        "explanation": (
            "The picture with the parts that explain the answer, see the table of values",
            "What each part adds to the answer: orange for it, blue against it",
        ),
    }
    for panel, drawn in draw_panels(image, result, LONGEST_SIDE_PX).items():
        yield drawn, texts[panel]


def render_patch_table(patches: Sequence[Record]) -> str:
    """The patches as a table, by share."""
    rows = "".join(
        f"<tr><td>{patch['share']:+.1%}</td><td>{patch['evidence']:+.3f}</td>"
        f"<td>{patch['scale']} px</td><td>{', '.join(map(str, patch['box'].values()))}</td>"
        f"<td>{escape(patch['label'])}</td></tr>"
        for patch in rank_patches(patches)
    )
    if not rows:
        return "<p>No patch is shown.</p>"
    table = render_table(("share", "evidence", "window", "box (x0, y0, x1, y1)", "label"), rows)
    return f'<div style="overflow-x:auto">{table}</div>'
