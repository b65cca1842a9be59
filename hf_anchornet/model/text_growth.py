"""Bound on how much longer a tokenizer may make a text: a crafted one may do so 10^8 times."""

import base64
import json
from collections.abc import Mapping
from typing import Any

GROWTH_LIMIT = 1_000
"""Most characters that a tokenizer may make of one character; real ones make less than 100."""

_UNICODE_GROWTH = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 3, "BertNormalizer": 9}
"""Most characters that a normalizer makes of one (Unicode Standard Annex 15, section 9)."""


def check_growth(tokenizer: Any) -> None:
    """Refuse a tokenizer that may make a text more than `GROWTH_LIMIT` times as long.

    Raises:
        ValueError: if it may.
    """
    growth = bound_growth(tokenizer)
    if growth > GROWTH_LIMIT:
        raise ValueError(
            f"a tokenizer must make a text at most {GROWTH_LIMIT:,} times as long, got one that "
            f"may make it {growth:.3g} times as long; use another tokenizer."
        )


def bound_growth(tokenizer: Any) -> float:
    """An upper bound on how many characters a fast tokenizer makes of one; 1 for slow ones."""
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    return 1.0 if normalizer is None else _bound(json.loads(normalizer.__getstate__()))


def _bound(normalizer: Mapping[str, Any]) -> float:
    kind = normalizer.get("type")
    if kind == "Sequence":
        growth = 1.0
        for step in normalizer["normalizers"]:
            growth *= _bound(step)
        return growth
    if kind == "Replace":
        pattern = normalizer["pattern"].get("String", "")
        if pattern:
            return max(1.0, len(normalizer["content"]) / len(pattern))
        return 1.0 + len(normalizer["content"])  # a regular expression may match nothing
    if kind == "Prepend":
        return 1.0 + len(normalizer["prepend"])
    if kind == "Precompiled":
        return _bound_charsmap(base64.b64decode(normalizer["precompiled_charsmap"] or b""))
    return float(_UNICODE_GROWTH.get(str(kind), 4))


def _bound_charsmap(charsmap: bytes) -> float:
    """The longest replacement of a SentencePiece map: a sized trie, then strings ended by NUL."""
    size = int.from_bytes(charsmap[:4], "little")
    return max(1.0, *map(len, charsmap[4 + size :].split(b"\0")))
