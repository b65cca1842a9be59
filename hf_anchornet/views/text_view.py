"""Views of localized spans: HTML for notebooks and files, shading for terminals.

`result` is always the dict that the `span-localization` pipeline returns for `text`. A span's shade
is its share relative to the largest one shown; its hue stands for its label.
"""

import html
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from .base import (
    HUES,
    REPLACEMENTS,
    TERMINAL_REPLACEMENTS,
    Hue,
    Record,
    check_answer,
    check_suffix,
    clean,
    clean_line,
    summarize_answer,
    wrap,
)
from .explanation_view import render_explanation, render_explanation_html
from .page import escape, render_page, render_table

TITLE = "Localized spans"
"""Title of a page that has no other."""

_INKS = (15, 16, 16)  # white on the weak backgrounds, black on the others
# Translucent shades keep the text readable on light and dark pages.
_LEAST_OPACITY, _MOST_OPACITY = 0.1, 0.4


@dataclass(frozen=True)
class SpanView:
    """A text and its spans, shown as HTML in a notebook and with markers when printed."""

    text: str
    result: Record

    def __post_init__(self) -> None:
        check_answer(self.result, "spans", "span-localization")

    def _repr_html_(self) -> str:
        return render_html(self.text, self.result)

    def __str__(self) -> str:
        shown = render_terminal(self.text, self.result, color=False)
        return "\n\n".join(part for part in (shown, render_explanation(self.result)) if part)

    def save(self, path: str | Path) -> None:
        """Write the view to `path`, an .html file, as a self-contained page."""
        check_suffix(path, ".html", ".htm")
        Path(path).write_text(render_html(self.text, self.result, standalone=True), "utf-8")


def render_html(
    text: str,
    result: Record,
    *,
    title: str | None = None,
    standalone: bool = False,
    shares: bool = False,
) -> str:
    """The text as HTML with a `<mark>` per span: a fragment, or a whole page if `standalone`.

    Args:
        text: The text.
        result: The pipeline's answer.
        title: Heading of a fragment, or title of the page.
        standalone: Whether to make a whole page.
        shares: Whether to print each span's share after it, besides the shade and the tooltip.

    Raises:
        ValueError: if `result` does not belong to `text`.
    """
    pieces, key = _cut_pieces(text, result), _make_key(result)
    safe = clean(text, REPLACEMENTS)
    body = "".join(_mark_html(safe, piece, key, shares) for piece in pieces)
    heading = f"<strong>{escape(title)}</strong><br>" if title and not standalone else ""
    fragment = (
        '<figure style="margin:1em 0">'
        f'<figcaption style="margin-bottom:.5em">{heading}{escape(summarize_answer(result))}'
        f"{_legend_html(key) if key.hues else ''}</figcaption>"
        f'<div dir="auto" lang="" style="white-space:pre-wrap;overflow-wrap:anywhere;'
        f'line-height:1.8">{body}</div>{_table_html(result["spans"])}'
        f"{render_explanation_html(result)}</figure>\n"
    )
    return "".join(render_page([fragment], title or TITLE)) if standalone else fragment


def render_terminal(
    text: str, result: Record, *, color: bool = True, width: int | None = None
) -> str:
    """The text with shaded spans and a legend or, without colour, `[[span|+31%]]` markers.

    Lines are wrapped at spaces to fit `width` columns; `None` leaves them unchanged.

    Raises:
        ValueError: if `result` does not belong to `text`.
    """
    pieces = _cut_pieces(text, result)
    safe = clean(text, TERMINAL_REPLACEMENTS)
    if not color:
        return wrap("".join(_mark_plain(safe, piece, result) for piece in pieces), width)
    safe, key = wrap(safe, width), _make_key(result)
    legend = _legend_ansi(key) if key.hues else ""
    return "".join(_mark_ansi(safe, piece, key) for piece in pieces) + legend


class _Piece(NamedTuple):
    """Characters `[start, end)` and the strongest span over them, if any."""

    start: int
    end: int
    span: Record | None


def _cut_pieces(text: str, result: Record) -> list[_Piece]:
    """Pieces that cover the text; overlaps are cut where the strongest span changes."""
    opening, closing = defaultdict(list), defaultdict(list)
    sizes = [abs(span["share"]) for span in result["spans"]]
    for span_idx, span in enumerate(result["spans"]):
        _check_span(text, span, span_idx)
        opening[span["start"]].append(span_idx)
        closing[span["end"]].append(span_idx)

    pieces: list[_Piece] = []
    covering: set[int] = set()
    for start, end in pairwise(sorted({0, len(text), *opening, *closing})):
        covering.difference_update(closing[start])
        covering.update(opening[start])
        span = result["spans"][max(covering, key=sizes.__getitem__)] if covering else None
        if pieces and pieces[-1].span is span:
            start = pieces.pop().start
        pieces.append(_Piece(start, end, span))
    return pieces


def _check_span(text: str, span: Record, span_idx: int) -> None:
    start, end = span["start"], span["end"]
    if not 0 <= start < end <= len(text) or text[start:end] != span["text"]:
        raise ValueError(
            f"`result` must belong to `text`, got a span {span_idx} at [{start}, {end}) that is "
            f"not in this text of {len(text)} characters; pass the text that the pipeline read."
        )


class _Key(NamedTuple):
    """The key to the shades: each label's hue and the share of the fullest shade."""

    hues: Mapping[str, Hue]
    largest: float
    against: bool  # whether any shown span is evidence against its label


def _make_key(result: Record) -> _Key:
    shares = [span["share"] for span in result["spans"]]
    hues: dict[str, Hue] = {}
    for label in sorted({span["label"] for span in result["spans"]}):
        # The hash gives a label the same hue in all texts.
        first = crc32(label.encode("utf-8", "replace"))
        wheel = [HUES[(first + turn) % len(HUES)] for turn in range(len(HUES))]
        hues[label] = next((hue for hue in wheel if hue not in hues.values()), wheel[0])
    return _Key(hues, max(map(abs, shares), default=0.0), any(share < 0 for share in shares))


def _measure(span: Record, key: _Key) -> float:
    """The strength of a span's shade, from 0 to 1."""
    return float(abs(span["share"]) / key.largest) if key.largest else 0.0


def _shade(hue: Hue, strength: float) -> str:
    opacity = _LEAST_OPACITY + strength * (_MOST_OPACITY - _LEAST_OPACITY)
    return f"rgba{(*hue.rgb, round(opacity, 2))}"


def _mark_html(text: str, piece: _Piece, key: _Key, shares: bool) -> str:
    shown, span = html.escape(text[piece.start : piece.end]), piece.span
    if span is None:
        return shown
    hue = key.hues[span["label"]]
    line = "dashed" if span["share"] < 0 else "solid"
    words = [escape(span["label"])] * (len(key.hues) > 1) + [f"{span['share']:+.0%}"] * shares
    label = f"<sup> {' '.join(words)}</sup>" if words else ""
    numbers = f"share {span['share']:+.1%}, evidence {span['evidence']:+.3f}"
    tooltip = f"{span['label']}: {numbers}, scale {span['scale']} tokens"
    shade = f"background:{_shade(hue, _measure(span, key))}"
    style = f"color:inherit;{shade};border-bottom:2px {line} rgb{hue.rgb}"
    return f'<mark title="{escape(tooltip)}" style="{style}">{shown}{label}</mark>'


def _legend_html(key: _Key) -> str:
    entries = "".join(
        f'<span aria-hidden="true" style="display:inline-block;width:4em;height:.8em;'
        f"border-bottom:2px solid rgb{hue.rgb};"
        f'background:linear-gradient(to right,{_shade(hue, 0)},{_shade(hue, 1)})"></span> '
        f"{escape(label)}; "
        for label, hue in key.hues.items()
    )
    against = "; dashed line: evidence against the label" if key.against else ""
    return f"<br><small>{entries}fullest shade: {key.largest:.1%} of the evidence{against}</small>"


def _table_html(spans: Iterable[Record]) -> str:
    """The spans as a table, for readers without colour vision or a mouse."""
    rows = "".join(
        f"<tr><td>{span['share']:+.1%}</td><td>{span['evidence']:+.3f}</td>"
        f"<td>{span['scale']}</td><td>{escape(span['label'])}</td>"
        f'<td dir="auto" lang="" style="text-align:start">{escape(span["text"])}</td></tr>'
        for span in sorted(spans, key=lambda span: -abs(span["share"]))
    )
    table = render_table(("share", "evidence", "tokens", "label", "span"), rows)
    return f"<details><summary>The spans as a table</summary>{table}</details>" if rows else ""


def _mark_plain(text: str, piece: _Piece, result: Record) -> str:
    shown, span = text[piece.start : piece.end], piece.span
    if span is None:
        return shown
    label = "" if span["label"] == result["label"] else f"{clean_line(span['label'])} "
    return f"[[{shown}|{label}{span['share']:+.0%}]]"


def _mark_ansi(text: str, piece: _Piece, key: _Key) -> str:
    shown, span = text[piece.start : piece.end], piece.span
    if span is None:
        return shown
    hue = key.hues[span["label"]]
    level = min(2, int(3 * _measure(span, key)))
    # A line break inside a painted part would paint the rest of the line in the terminal.
    lines = shown.split("\n")
    return "\n".join(line and _paint(line, hue, level, span["share"] < 0) for line in lines)


def _paint(line: str, hue: Hue, level: int, underline: bool = False) -> str:
    return f"\x1b[{'4;' * underline}38;5;{_INKS[level]};48;5;{hue.ansi[level]}m{line}\x1b[0m"


def _legend_ansi(key: _Key) -> str:
    entries = []
    for label, hue in key.hues.items():
        levels = enumerate(("weak", "medium", "strong"))
        ramp = [_paint(f" {name} ", hue, level) for level, name in levels]
        entries.append(f"{clean_line(label)}: {''.join(ramp)}")
    against = "; underlined: against the label" if key.against else ""
    return "\n\n" + "\n".join(entries) + against
