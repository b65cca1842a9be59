"""HTML for every view: escaped text, pictures that need no request, and the page around them.

All text of users and models is untrusted.
"""

import html
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

from PIL import Image

from .base import REPLACEMENTS, clean

_HEAD = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 45rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.7 sans-serif; }}
</style>
<main>
<h1 style="font-size:1.3rem">{title}</h1>
"""


def render_page(fragments: Iterable[str], title: str) -> Iterator[str]:
    """The parts of an HTML page around `fragments`, streamed as the fragments arrive."""
    yield _HEAD.format(title=escape(title))
    yield from fragments
    yield "</main>\n</html>\n"


def escape(text: str) -> str:
    """`text` as HTML, without control characters."""
    return html.escape(clean(text, REPLACEMENTS))


def render_table(names: Sequence[str], rows: str) -> str:
    """A table with these columns; without rows it is empty.

    Args:
        names: The heads of the columns.
        rows: HTML of the rows.
    """
    head = "".join(f'<th scope="col" style="text-align:start">{name}</th>' for name in names)
    parts = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>" if rows else ""
    return f'<table style="border-spacing:1em 0">{parts}</table>'


def encode_picture(image: Image.Image) -> str:
    """The picture as a data URI, so that the page needs no further request."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"
