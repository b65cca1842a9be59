"""Options of a build."""

import pytest

from hf_anchornet.building.options import BuildOptions, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("20min", 1200), ("90 s", 90), ("1.5h", 5400), ("2M", 120), ("", None)]
)
def test_a_budget_is_read_with_its_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["20", "min", "0min", "-1min", "2 days", "1e3s"])
def test_a_budget_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="`budget` must be a number with s, sec, m, min, h, got"):
        BuildOptions("unused", budget=text)


def test_an_impossible_loss_is_refused():
    with pytest.raises(ValueError, match=r"`max_loss` must be in \[0, 1\], got 2"):
        BuildOptions("unused", max_loss=2)
