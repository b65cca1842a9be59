"""Spans marked in HTML and terminals, with untrusted texts and labels made safe."""

import re
from html.parser import HTMLParser

import pytest

from hf_anchornet.views.base import HUES, clean_line, summarize_answer, wrap
from hf_anchornet.views.text_view import (
    _INKS,
    _MOST_OPACITY,
    SpanView,
    render_html,
    render_page,
    render_terminal,
)

ANSI = re.compile(r"\x1b\[[\d;]*m")
HOSTILE = "ok \x1b[2J\x9b2J\x07\x00\x7f \ud800 <script>alert(1)</script> \"'& end"


def make_span(text, shown, *, share=0.31, label="positive", evidence=1.42, scale=9):
    start = text.index(shown)
    return {
        "start": start,
        "end": start + len(shown),
        "text": shown,
        "label": label,
        "evidence": evidence,
        "share": share,
        "scale": scale,
    }


def make_result(*spans, label="positive"):
    return {"label": label, "score": 0.97, "spans": list(spans), "coverage": 0.06}


class MarkReader(HTMLParser):
    """Collects the text that a browser shows, the marks in it, and their tooltips."""

    def __init__(self):
        super().__init__()
        self.text, self.marks, self.tooltips, self.tags = "", [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "mark":
            self.marks.append("")
            self.tooltips.append(dict(attrs)["title"])

    def handle_endtag(self, tag):
        while self.tags and self.tags.pop() != tag:
            pass

    def handle_data(self, data):
        if "div" in self.tags and "sup" not in self.tags:
            self.text += data
            if "mark" in self.tags:
                self.marks[-1] += data


def read_html(fragment):
    reader = MarkReader()
    reader.feed(fragment)
    return reader


def contrast(one, other):
    def luminance(rgb):
        parts = [part / 255 for part in rgb]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A good film", "good"),
        ("👩‍👩‍👧 loved 🎬 it", "loved 🎬"),
        ("un café très réussi", "très"),
        ("cafe\u0301 fine", "cafe\u0301"),
        ("הסרט היה נהדר מאוד", "נהדר"),
        ("whole", "whole"),
        ("a  \t b", "\t b"),
    ],
)
def test_marked_characters_are_exactly_the_span(text, shown):
    result = make_result(make_span(text, shown))
    reader = read_html(render_html(text, result))
    assert reader.marks == [shown]
    assert reader.text == text
    plain = render_terminal(text, result, color=False)
    assert plain == text.replace(shown, f"[[{shown}|+31%]]", 1)


def test_windows_line_ends_keep_offsets_and_lines():
    text = "one\r\ntwo good\r\nthree\rfour"
    result = make_result(make_span(text, "good"))
    assert read_html(render_html(text, result)).marks == ["good"]
    plain = render_terminal(text, result, color=False)
    assert [line.rstrip() for line in plain.split("\n")] == [
        "one",
        "two [[good|+31%]]",
        "three",
        "four",
    ]


def test_html_contains_no_markup_or_control_character_of_the_text():
    result = make_result(make_span(HOSTILE, "<script>", label='"><img src=x>'), label="<b>&")
    page = render_html(HOSTILE, result, title="</title><script>", standalone=True)
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", page)
    assert read_html(page).marks == ["<script>"]
    page.encode("utf-8")


@pytest.mark.parametrize("color", [True, False])
def test_a_terminal_gets_no_control_character_of_the_text(color):
    text = HOSTILE + "\u202eevil"
    label = "bad\x1b]0;title\x07"
    result = make_result(make_span(text, "end\u202e", label=label))
    shown = ANSI.sub("", render_terminal(text, result, color=color))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202e]", shown)
    shown.encode("utf-8")


def test_each_piece_of_an_overlap_shows_the_strongest_span():
    text = "abcdefgh"
    weak = make_span(text, "abcde", share=0.1)
    strong = make_span(text, "defgh", share=-0.4)
    plain = render_terminal(text, make_result(weak, strong), color=False)
    assert plain == "[[abc|+10%]][[defgh|-40%]]"
    assert read_html(render_html(text, make_result(weak, strong))).marks == ["abc", "defgh"]


def test_a_weak_span_inside_a_strong_one_does_not_cut_it():
    text = "abcdefgh"
    result = make_result(make_span(text, "cd", share=0.1), make_span(text, "bcdef", share=0.4))
    assert render_terminal(text, result, color=False) == "a[[bcdef|+40%]]gh"


def test_a_strong_span_inside_a_weak_one_splits_it():
    text = "abcdefgh"
    result = make_result(make_span(text, "cd", share=0.4), make_span(text, "bcdef", share=0.1))
    plain = render_terminal(text, result, color=False)
    assert plain == "a[[b|+10%]][[cd|+40%]][[ef|+10%]]gh"


def test_touching_spans_stay_separate():
    text = "abcd"
    result = make_result(make_span(text, "ab"), make_span(text, "cd"))
    assert render_terminal(text, result, color=False) == "[[ab|+31%]][[cd|+31%]]"


@pytest.mark.parametrize("text", ["", "   ", "plain text"])
def test_a_text_without_spans_is_shown_unchanged(text):
    result = make_result()
    assert render_terminal(text, result, color=False) == text
    assert render_terminal(text, result, color=True) == text
    reader = read_html(render_html(text, result))
    assert (reader.text, reader.marks) == (text, [])


def test_the_tooltip_gives_label_share_evidence_and_scale():
    text = "a good film"
    tooltips = read_html(render_html(text, make_result(make_span(text, "good")))).tooltips
    assert tooltips == ["positive: share +31.0%, evidence +1.420, scale 9 tokens"]


def test_the_largest_share_has_the_fullest_shade_and_others_are_relative_to_it():
    text = "good bad"
    spans = make_span(text, "good", share=0.2), make_span(text, "bad", share=-0.1)
    html = render_html(text, make_result(*spans))
    opacities = re.findall(r"<mark[^>]*rgba\([^)]*, ([\d.]+)\)", html)
    assert [float(opacity) for opacity in opacities] == pytest.approx([0.4, 0.25], abs=0.01)


def test_evidence_against_is_marked_by_more_than_colour():
    text = "good bad"
    spans = make_span(text, "good"), make_span(text, "bad", share=-0.1)
    html = render_html(text, make_result(*spans))
    assert "2px dashed" in html
    assert "evidence against the label" in html
    assert "\x1b[4;" in render_terminal(text, make_result(*spans))


def test_several_labels_are_named_next_to_their_spans():
    text = "good bad"
    spans = make_span(text, "good"), make_span(text, "bad", label="negative")
    html = render_html(text, make_result(*spans))
    assert "<sup> negative</sup>" in html
    plain = render_terminal(text, make_result(*spans), color=False)
    assert plain == "[[good|+31%]] [[bad|negative +31%]]"


def test_spans_without_any_share_are_rendered():
    text = "good"
    result = make_result(make_span(text, "good", share=0.0))
    assert "0.1)" in render_html(text, result)
    assert ANSI.sub("", render_terminal(text, result)).startswith("good")


def test_each_terminal_line_closes_its_own_shade():
    text = "so very\ngood indeed"
    shown = render_terminal(text, make_result(make_span(text, "very\ngood")))
    assert ANSI.sub("", shown).startswith(text)
    for line in shown.split("\n"):
        assert line.count("\x1b[") == 2 * line.count("\x1b[0m")


def test_wrapping_keeps_the_length_and_fits_the_width():
    text = "the quick brown fox  jumps over\n\nthe lazy dog " + 30 * "x" + " end"
    wrapped = wrap(text, 12)
    assert len(wrapped) == len(text)
    assert wrapped.split() == text.split()
    assert max(len(line) for line in wrapped.split("\n") if "xxx" not in line) <= 12


def test_wrapping_does_not_change_a_full_line_that_ends_with_a_break():
    assert wrap("12345 \nabc", 5) == "12345 \nabc"


def test_a_result_of_another_text_is_refused():
    text = "a good film"
    with pytest.raises(ValueError, match=r"`result` must belong to `text`.*span 0 at"):
        render_html("something else", make_result(make_span(text, "good")))


def test_a_page_loads_nothing_from_other_sites():
    text = "a good film"
    page = render_html(text, make_result(make_span(text, "good")), standalone=True)
    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|src=|href=", page)


def test_a_page_streams_its_fragments():
    parts = render_page(iter(["<p>1</p>"]), title="T & T")
    assert "<title>T &amp; T</title>" in next(parts)
    assert next(parts) == "<p>1</p>"


def test_the_table_lists_the_strongest_span_first():
    text = "good great"
    spans = make_span(text, "good", share=0.1), make_span(text, "great", share=0.3)
    html = render_html(text, make_result(*spans))
    cells = re.findall(r"<tr><td>([^<]*)</td>", html)
    assert cells == ["+30.0%", "+10.0%"]


def test_the_summary_names_the_answer_the_spans_and_the_classifier():
    text = "a good film"
    result = make_result(make_span(text, "good"))
    result["classifier"] = {"label": "negative", "score": 0.5}
    assert summarize_answer(result) == (
        "positive (97.0%), shown by 1 span, 6.0% of the text. The classifier says negative (50.0%)."
    )
    result["cost"] = {"localizer_multiply_adds": 3, "classifier_multiply_adds": 0}
    assert summarize_answer(result).endswith(" The classifier was not asked: negative (50.0%).")
    result["cost"]["classifier_multiply_adds"] = 9
    assert summarize_answer(result).endswith(" The classifier says negative (50.0%).")


def test_a_line_is_cut_to_its_width():
    assert clean_line("one\n two\tthree", 9) == "one two …"


def test_a_view_shows_itself_and_saves_itself(tmp_path):
    text = "a good film"
    view = SpanView(text, make_result(make_span(text, "good")))
    assert str(view) == "a [[good|+31%]] film"
    assert view._repr_html_() == render_html(text, view.result)
    view.save(tmp_path / "view.html")
    assert (tmp_path / "view.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("hue", HUES)
def test_text_on_the_fullest_shade_is_readable_in_light_and_dark(hue):
    for page, ink in (((255,) * 3, (0,) * 3), ((18,) * 3, (255,) * 3), ((17,) * 3, (225,) * 3)):
        mixed = [
            _MOST_OPACITY * part + (1 - _MOST_OPACITY) * back
            for part, back in zip(hue.rgb, page, strict=True)
        ]
        assert contrast(mixed, ink) >= 4.5


@pytest.mark.parametrize("hue", HUES)
def test_terminal_text_is_readable_on_each_shade(hue):
    steps = (0, 95, 135, 175, 215, 255)
    for background, foreground in zip(hue.ansi, _INKS, strict=True):
        code = background - 16
        rgb = steps[code // 36], steps[code // 6 % 6], steps[code % 6]
        assert contrast(rgb, (255,) * 3 if foreground == 15 else (0,) * 3) >= 4.5


@pytest.mark.parametrize(("share", "shown"), [(0.314, "+31%"), (-0.25, "-25%")])
def test_shares_can_be_printed_after_their_spans(share, shown):
    text = "a fine film"
    result = make_result(make_span(text, "fine", share=share))
    assert f"fine<sup> {shown}</sup></mark>" in render_html(text, result, shares=True)
    assert "<sup>" not in render_html(text, result)
