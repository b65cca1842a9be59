"""Answers of cascades compared: without times, and up to rounding."""

import pytest


def without_time(answers):
    for answer in answers:
        answer["cost"].pop("milliseconds")
    return answers


def assert_alike(answers, expected):
    """The same but for rounding in other batches."""
    for answer, other in zip(answers, expected, strict=True):
        assert answer.pop("score") == pytest.approx(other.pop("score"), rel=1e-5)
        assert answer == other
