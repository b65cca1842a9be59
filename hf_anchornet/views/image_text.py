"""Text on pictures: lines that a font can draw, and that fit a width."""

from bisect import bisect_right
from typing import Any

from .base import clean_line


def write(text: str, font: Any, longest: int | None = None) -> str:
    r"""A line that a font can draw: characters that it lacks are written as in Python, "\u6b63".

    Args:
        text: Any text.
        font: A font of Pillow.
        longest: Most characters of `text` to keep; default: all.
    """
    lacking = _draw("\uffff", font)
    return "".join(
        letter
        if letter.isascii() or _draw(letter, font) != lacking
        else letter.encode("unicode_escape").decode("ascii")
        for letter in clean_line(text, longest or len(text) + 1)
    )


def _draw(letter: str, font: Any) -> bytes:
    return bytes(font.getmask(letter))


def fit_lines(text: str, font: Any, room: float) -> list[str]:
    """A text as lines that fit a width, broken between words or, where one is too long, inside.

    Args:
        text: One line, see `write`.
        font: A font of Pillow.
        room: The width in pixels.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
        while (fits := _count_fitting(lines[-1], font, room)) < len(lines[-1]):
            line = lines.pop()
            lines += [line[:fits], line[fits:]]
    return lines


def _count_fitting(line: str, font: Any, room: float) -> int:
    """How many of the first characters fit, at least one."""
    lengths = range(1, len(line) + 1)
    return max(1, bisect_right(lengths, room, key=lambda count: font.getlength(line[:count])))
