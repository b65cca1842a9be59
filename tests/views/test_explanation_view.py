"""Explanations as lines, tables and boxes; parts and labels are untrusted."""

import numpy as np
import pytest
from PIL import Image

from hf_anchornet.views.explanation_view import (
    draw_explanation,
    render_explanation,
    render_explanation_html,
)
from hf_anchornet.views.image_view import PatchView, render_patches
from hf_anchornet.views.text_view import SpanView

TEXT = "a dull start, a superb cast"


def explain(*parts, error=0.0, label="positive"):
    base = 0.6
    return {
        "label": label,
        "model": "cascade",
        "unit": "probability",
        "base": base,
        "total": base + sum(part["value"] for part in parts),
        "parts": list(parts),
        "error": error,
    }


def span(text, value):
    start = TEXT.index(text)
    return {"start": start, "end": start + len(text), "text": text, "value": value}


def box(sides, value):
    return {"box": dict(zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)), "value": value}


@pytest.fixture
def result():
    explanation = explain(span("dull", -0.1), span("superb", 0.3))
    shown = {"label": "positive", "score": 0.8, "spans": [], "coverage": 0.0}
    return shown | {"explanation": explanation}


def test_lines_tell_the_answer_what_is_there_without_parts_and_the_largest_value_first(result):
    assert render_explanation(result).split("\n") == [
        "Of the probability 0.800 for positive by the cascade, 0.600 is there without these "
        "parts; they add:",
        "   +0.300  superb",
        "   -0.100  dull",
    ]


def test_estimates_state_their_error(result):
    result["explanation"]["error"] = 0.0123
    assert "standard error at most 0.012" in render_explanation(result)
    assert "standard error at most 0.012" in render_explanation_html(result)


def test_an_answer_without_explanation_shows_none():
    assert render_explanation({"label": "positive"}) == ""
    assert render_explanation_html({"label": "positive"}) == ""


def test_a_long_part_is_cut_to_the_width_of_the_terminal(result):
    result["explanation"]["parts"][0]["text"] = "word " * 100
    lines = render_explanation(result, width=60).split("\n")
    assert max(map(len, lines)) <= 60


def test_markup_and_control_characters_of_parts_and_labels_are_made_safe(result):
    result["explanation"]["parts"][0]["text"] = "<b>\x1b[2J"
    result["explanation"]["label"] = "<i>"
    html = render_explanation_html(result)
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;" in html
    assert "\x1b" not in html + render_explanation(result)


def test_the_view_of_a_text_has_the_explanation_in_print_and_page(result):
    view = SpanView(TEXT, result)
    assert "+0.300  superb" in str(view)
    assert "<td>+0.300</td>" in view._repr_html_()


def test_boxes_for_the_answer_are_orange_and_those_against_it_blue():
    image = Image.new("RGB", (200, 100), "white")
    parts = [box((10, 10, 40, 40), 0.5), box((60, 10, 90, 40), -0.5)]
    drawn = draw_explanation(image, parts, 2.0)
    assert drawn.getpixel((79, 70)) == (213, 94, 0)
    assert drawn.getpixel((179, 70)) == (0, 114, 178)


def test_the_picture_of_an_explained_answer_has_one_more_panel():
    image = Image.new("RGB", (500, 300), "white")
    plain = {"label": "nut", "score": 0.9, "patches": [], "coverage": 0.0}
    explained = plain | {"explanation": explain(box((10, 10, 90, 90), 0.3))}
    one, two = render_patches(image, plain), render_patches(image, explained)
    assert two.width == 2 * one.width + 8
    assert two.height > one.height  # a line on the explanation
    assert np.asarray(two)[89, 508 + 50].tolist() == [213, 94, 0]
    assert "+0.300  (10, 10, 90, 90)" in str(PatchView(image, explained))
