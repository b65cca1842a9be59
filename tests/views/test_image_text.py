"""Text on pictures is readable, and tells labels apart."""

import pytest
from PIL import ImageFont

from hf_anchornet.views.base import clean_line
from hf_anchornet.views.image_text import fit_lines, write

FONT = ImageFont.load_default(15)


def test_letters_that_a_font_lacks_are_written_as_codes():
    assert write("good caf\u00e9 \u6b63", FONT) == "good caf\\xe9 \\u6b63"
    assert write("a" * 30, FONT, 5) == clean_line("a" * 30, 5)


@pytest.mark.parametrize("text", ["", "one two three four five", "x" * 90, f"a {'b' * 60} c"])
def test_lines_fit_and_lose_nothing(text):
    lines = fit_lines(text, FONT, 120)
    assert all(FONT.getlength(line) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
