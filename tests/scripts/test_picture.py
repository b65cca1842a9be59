"""The page of README's picture holds the answers of the shipped models."""

from scripts.picture import TEXT, make_page


def test_the_page_shows_a_shaded_text_and_a_photo():
    page = make_page()
    assert page.count("<mark") == 4
    assert "data:image/png;base64," in page
    assert TEXT.split(", ")[0] in page
