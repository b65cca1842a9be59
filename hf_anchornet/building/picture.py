"""A picture of the scores of all models, as SVG."""

from collections.abc import Mapping
from html import escape

WIDTH, ROW, NAMES, BARS = 640, 30, 130, 300
COLOURS = {"localizer": "#0072b2", "cascade": "#009e73", "classifier": "#cc79a7"}
"""Of the palette of Okabe and Ito; other models are grey."""


def draw_scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Bars of the accuracy of each model, with its time for an input beside them."""
    rows = []
    for number, (name, row) in enumerate(scores.items()):
        top = number * ROW + 34
        colour = COLOURS.get(name, "#999999")
        text = f"{row['accuracy']:.3f}, {row['milliseconds']:.2f} ms"
        rows.append(
            f'<text x="{NAMES - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{NAMES}" y="{top}" width="{BARS * row["accuracy"]:.1f}" height="20" '
            f'fill="{colour}"/>'
            f'<text x="{NAMES + BARS + 8}" y="{top + 15}">{text}</text>'
        )
    height = len(rows) * ROW + 44
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="13" role="img">'
        "<title>Accuracy and time of each model on the test split</title>"
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        f'<text x="{NAMES}" y="20">accuracy, and milliseconds for an input</text>'
        f"{''.join(rows)}</svg>\n"
    )
