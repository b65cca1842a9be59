"""Shared parts of the views: hues, the summary of an answer, and sanitizing of text.

Texts and labels are untrusted: views must remove markup and control characters from them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Record = Mapping[str, Any]
"""An answer of a localization pipeline, or a part of it."""


class Hue(NamedTuple):
    """A hue for pages, and its weak, medium and strong background in a terminal's 256 colours."""

    rgb: tuple[int, int, int]
    ansi: tuple[int, int, int]


HUES = (
    Hue((0, 158, 115), (22, 35, 48)),
    Hue((0, 114, 178), (24, 31, 39)),
    Hue((230, 159, 0), (94, 172, 214)),
    Hue((204, 121, 167), (53, 133, 213)),
    Hue((213, 94, 0), (88, 166, 202)),
    Hue((240, 228, 66), (58, 142, 226)),
)
"""The colour-blind-safe palette of Okabe and Ito (2008)."""

# One character replaces one character, so that offsets stay valid.
REPLACEMENTS: dict[int, int] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000)], 0xFFFD),
}
# In HTML a direction override ends with its element; in a terminal it does not end.
TERMINAL_REPLACEMENTS = REPLACEMENTS | dict.fromkeys(
    [*range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD
)


def clean(text: str, replacements: Mapping[int, int]) -> str:
    """`text` at the same length, without control characters other than tab and line feed."""
    return text.replace("\r\n", " \n").replace("\r", "\n").translate(replacements)


def clean_line(text: str, width: int | None = None) -> str:
    """`text` as one line that is safe in a terminal, cut to at most `width` characters."""
    line = " ".join(clean(text, TERMINAL_REPLACEMENTS).split())
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def wrap(text: str, width: int | None) -> str:
    """`text` at the same length, with spaces turned into line breaks to fit `width` columns."""
    if width is None:
        return text
    line = rf"(\S{{{width + 1},}}|[^\n]{{1,{width}}}(?=[ \n]|\Z))( (?!\n))?"
    return re.sub(line, lambda match: f"{match[1]}\n" if match[2] else match[0], text)


def check_answer(result: Any, parts: str, task: str) -> None:
    """Refuse what is not one answer of a pipeline.

    Args:
        result: What is to be shown.
        parts: "spans" or "patches", which such an answer has.
        task: The task of the pipeline, for errors.

    Raises:
        TypeError: naming the remedy.
    """
    if not isinstance(result, Mapping) or parts not in result:
        found = f"one with {', '.join(result)}" if isinstance(result, Mapping) else type(result)
        raise TypeError(
            f"`result` must be one answer of the {task} pipeline, got "
            f"{getattr(found, '__name__', found)}; pass the answer to this input alone."
        )


def check_suffix(path: str | Path, *known: str) -> None:
    """Refuse a file name whose end promises another format.

    Raises:
        ValueError: naming the endings that are known.
    """
    if Path(path).suffix.lower() not in known:
        raise ValueError(
            f"`path` must end with {' or '.join(known)}, got {str(path)!r}; choose another name."
        )


def summarize_answer(result: Record) -> str:
    """One sentence: the answer, the share of the input that is shown, the classifier's answer."""
    parts, part, whole = ("spans", "span", "text")
    if "patches" in result:
        parts, part, whole = ("patches", "patch", "image")
    count = len(result[parts])
    sentence = (
        f"{result['label']} ({result['score']:.1%}), shown by {count} "
        f"{part if count == 1 else parts}, {result['coverage']:.1%} of the {whole}"
    )
    if count and "evidence_share" in result:
        carries = "which carries" if count == 1 else "which carry"
        sentence += f", {carries} {result['evidence_share']:.0%} of the evidence"
    sentence += "."
    if (classifier := result.get("classifier")) is not None:
        told = f"{classifier['label']} ({classifier['score']:.1%})"
        if was_asked(result):
            sentence += f" The classifier says {told}."
        elif "glance_multiply_adds" in result.get("cost", {}) and classifier.get("stage") == 0:
            sentence += f" The glance at the whole image says {told}."
        else:
            sentence += f" The classifier was not asked: {told}."
    return clean_line(sentence)


def was_asked(result: Record) -> bool:
    """Whether a classifier read something for an answer that has one."""
    costs = [cost for name, cost in result.get("cost", {}).items() if name.startswith("classifier")]
    return any(costs) or not costs
