"""What a text may cost, and the size that it counts as."""

import asyncio
import time
from contextlib import suppress

import pytest
from tokenizers import normalizers

from hf_anchornet.serve.limits import ServingOptions
from hf_anchornet.serve.texts import TextGauge


def measure(tokenizer, text, **limits):
    return asyncio.run(TextGauge(tokenizer, ServingOptions(**limits)).measure(text))


def test_a_text_counts_as_its_characters(tokenizer):
    assert measure(tokenizer, "caf\u00e9 \U0001f600", max_characters=6) == 6


def test_a_text_of_short_tokens_counts_as_one_of_common_ones(tokenizer):
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "a b c ")
    assert measure(tokenizer, "a" * 100, max_text_tokens=300) == 1200


@pytest.mark.parametrize(
    ("text", "limits", "message"),
    [
        (
            "good " * 3,
            {"max_characters": 14},
            r"at most `max_characters` \(14\) characters, got 15",
        ),
        ("good " + "x" * 11, {"max_run": 10}, r"at most `max_run` \(10\) characters without a b"),
        ("! " * 50, {"max_text_tokens": 49}, r"at most `max_text_tokens` \(49\) tokens, got 50"),
        ("\u4e2d" * 50, {"max_text_tokens": 49}, r"`max_text_tokens` \(49\) tokens, got 50"),
        ("a\ud800", {}, "must be valid Unicode, got a lone surrogate"),
    ],
)
def test_a_text_beyond_a_limit_is_refused(tokenizer, text, limits, message):
    with pytest.raises(ValueError, match=message):
        measure(tokenizer, text, **limits)


def test_texts_at_the_limits_are_measured(tokenizer):
    assert measure(tokenizer, "x" * 10 + " good", max_run=10) == 15
    assert measure(tokenizer, "! " * 50, max_text_tokens=50) == 200


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "! " * 50_000, "\u200d" * 100_000, "\u4e2d" * 10_000]
)
def test_the_longest_text_is_measured_at_once(tokenizer, text):
    started = time.process_time()
    with suppress(ValueError):
        measure(tokenizer, text)
    assert time.process_time() - started < 1


def test_a_tokenizer_that_makes_texts_very_long_is_refused_at_the_start(tokenizer):
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "a" * 10**6)
    with pytest.raises(
        ValueError, match="a tokenizer must make a text at most 1,000 times as long"
    ):
        TextGauge(tokenizer, ServingOptions())
