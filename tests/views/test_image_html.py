"""Patches as HTML: escaped, complete without colour, and with every panel that there is."""

import re

import pytest
from PIL import Image

from hf_anchornet.views.image_html import render_panels, render_patches_html

IMAGE = Image.new("RGB", (40, 30), "grey")


@pytest.fixture
def result():
    box = {"xmin": 2, "ymin": 1, "xmax": 12, "ymax": 11}
    patch = {"box": box, "label": "<b>nut</b>", "evidence": 1.42, "share": 0.31, "scale": 10}
    other = {**patch, "evidence": -0.1, "share": -0.02, "label": "bolt"}
    return {"label": "<b>nut</b>", "score": 0.97, "patches": [other, patch], "coverage": 0.25}


def list_figures(html):
    return re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)"', html)


def test_the_table_says_what_the_boxes_show_by_share(result):
    html = render_patches_html(IMAGE, result, "a <i>file</i>.jpg")
    assert ">a &lt;i&gt;file&lt;/i&gt;.jpg</h2>" in html
    assert "<b>" not in html
    first, second = re.findall(r"<tr><td>(.*?)</td></tr>", html)
    cells = (
        "+31.0%</td><td>+1.420</td><td>10 px</td><td>2, 1, 12, 11</td><td>&lt;b&gt;nut&lt;/b&gt;"
    )
    assert first == cells
    assert second.endswith("<td>bolt")
    assert "window 10 px: its share of the evidence" in html
    assert list_figures(html) == [
        "The picture with boxes for &lt;b&gt;nut&lt;/b&gt;: +31% at 2 to 12 across, 1 to 11 down",
        "The picture with boxes for bolt: -2% at 2 to 12 across, 1 to 11 down",
    ]


def test_each_label_has_its_own_map_that_of_the_answer_first(result):
    result["maps"] = {"bolt": [[0.5]], "<b>nut</b>": [[1.0]], "nail": [[0.0]]}
    html = render_panels(IMAGE, result)
    shown = [alt.split(" for ")[1].split(":")[0] for alt in list_figures(html)]
    nut = "&lt;b&gt;nut&lt;/b&gt;"
    assert shown == [nut, nut, "bolt", "bolt", "nail", "nail"]
    assert html.count("Evidence for bolt (orange)") == 1


def test_there_is_a_panel_for_the_map_and_one_for_the_explanation(result):
    result["maps"] = {"<b>nut</b>": [[0.5, -0.1], [0.0, 1.0]]}
    assert len(list_figures(render_panels(IMAGE, result))) == 3  # one of the other label
    part = {"box": result["patches"][0]["box"], "value": 0.4}
    told = {"base": 0.1, "total": 0.5, "label": "nut", "model": "classifier", "error": 0.0}
    result["explanation"] = told | {"unit": "logit", "parts": [part]}
    assert len(list_figures(render_panels(IMAGE, result))) == 4
    assert "for nut by the classifier" in render_patches_html(IMAGE, result, "x")


def test_windows_of_a_resized_picture_are_told_from_boxes(result):
    assert "Scales are in pixels" not in render_patches_html(IMAGE, result, "x")
    result["patches"][0]["scale"] = 5
    assert "Scales are in pixels" in render_patches_html(IMAGE, result, "x")


def test_without_patches_there_is_no_table(result):
    html = render_patches_html(IMAGE, result | {"patches": []}, "x")
    assert "No patch is shown." in html
    assert list_figures(html) == ["The picture with boxes for &lt;b&gt;nut&lt;/b&gt;: no box"]


def test_the_answer_of_another_picture_is_refused(result):
    with pytest.raises(ValueError, match="`result` must belong to `image`, got a patch 0 at"):
        render_patches_html(Image.new("RGB", (9, 9)), result, "x")
