"""What is no answer to show, and names of files that promise another format."""

import pytest
from PIL import Image

from hf_anchornet import PatchView, SpanView
from hf_anchornet.views.base import summarize_answer

SPANS = {"label": "a", "score": 1.0, "spans": [], "coverage": 0.0}
PATCHES = {"label": "a", "score": 1.0, "patches": [], "shares": {}, "coverage": 0.0}


@pytest.mark.parametrize(
    ("view", "result", "found"),
    [
        (SpanView, [SPANS], "span-localization pipeline, got list"),
        (SpanView, PATCHES, "span-localization pipeline, got one with label, score, patches"),
        (PatchView, SPANS, "patch-localization pipeline, got one with label, score, spans"),
        (PatchView, None, "patch-localization pipeline, got NoneType"),
    ],
)
def test_what_is_no_answer_of_its_pipeline_is_refused(view, result, found):
    with pytest.raises(TypeError, match=f"`result` must be one answer of the {found}"):
        view("good", result)


def test_a_view_is_saved_under_a_name_of_its_format_only(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end with \.html or \.htm, got .*a\.png"):
        SpanView("good", SPANS).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"`path` must end with \.png, got .*a\.jpg"):
        PatchView(Image.new("RGB", (8, 8)), PATCHES).save(tmp_path / "a.jpg")
    SpanView("good", SPANS).save(tmp_path / "a.HTML")
    assert (tmp_path / "a.HTML").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_the_answer_of_a_glance_is_told_as_its_own():
    result = {"label": "nut", "score": 0.9, "coverage": 0.2, "patches": []}
    result |= {"classifier": {"label": "bolt", "score": 0.8, "stage": 0}}
    result["cost"] = {"glance_multiply_adds": 7, "classifier_multiply_adds": 0}
    assert summarize_answer(result).endswith(" The glance at the whole image says bolt (80.0%).")
