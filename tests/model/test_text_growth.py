"""Tokenizers that may make a text very long are refused before they read one."""

import base64

import pytest
from tokenizers import Regex, normalizers

from hf_anchornet import SpanLocalizationPipeline
from hf_anchornet.model.text_growth import bound_growth


def replace(pattern, content):
    return normalizers.Replace(pattern, content)


@pytest.mark.parametrize(
    ("normalizer", "growth"),
    [
        (None, 1),
        (normalizers.Lowercase(), 3),
        (normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()]), 54),
        (replace("a", "b" * 10), 10),
        (replace("ab", "c"), 1),
        (replace(Regex(" {2,}"), "x"), 2),
        (normalizers.Prepend("ab"), 3),
        (normalizers.Sequence([replace("a", "a" * 10)] * 8), 10**8),
    ],
)
def test_the_growth_of_a_normalizer_is_bounded(tokenizer, normalizer, growth):
    tokenizer.backend_tokenizer.normalizer = normalizer
    assert bound_growth(tokenizer) == growth


def test_the_shipped_tokenizers_grow_little(tokenizer):
    assert bound_growth(tokenizer) < 100


def test_a_slow_tokenizer_is_left_alone():
    assert bound_growth(object()) == 1


@pytest.mark.parametrize("times", [1, 8])
def test_a_tokenizer_that_makes_a_text_a_hundred_million_times_as_long_is_refused(
    planted, tokenizer, times
):
    steps = [replace("a", "a" * 10 ** (8 // times))] * times
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(steps)
    with pytest.raises(ValueError, match="1,000 times as long, got one that may make it 1e"):
        SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)


def test_a_character_map_counts_by_its_longest_replacement():
    from hf_anchornet.model.text_growth import _bound

    trie = bytes(16)
    charsmap = len(trie).to_bytes(4, "little") + trie + b"ab\0" + b"c" * 5000 + b"\0"
    encoded = base64.b64encode(charsmap).decode()
    assert _bound({"type": "Precompiled", "precompiled_charsmap": encoded}) == 5000
