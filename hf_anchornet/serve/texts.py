"""The size of a text, and limits on what it may cost."""

import asyncio
from typing import Any

from tokenizers import Tokenizer

from hf_anchornet.model.text_growth import bound_growth, check_growth

from .limits import ServingOptions

TOKEN_CHARACTERS = 4
"""Characters that a token counts as, about as many as it has in English."""


class TextGauge:
    """Measures texts before they wait for their batch.

    Args:
        tokenizer: The fast tokenizer of the localizer.
        options: The limits.

    Raises:
        ValueError: if the tokenizer could make a text so long that memory runs out.
    """

    def __init__(self, tokenizer: Any, options: ServingOptions) -> None:
        check_growth(tokenizer)
        self._growth = bound_growth(tokenizer)
        # Its own copy: a tokenizer must not be changed by one thread while another uses it.
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._options = options

    async def measure(self, text: str) -> int:
        """The number of characters that a text counts as: more than it has if its tokens are short.

        Raises:
            ValueError: if the text is too long, has too many tokens or too long a run without
                blanks, or is not valid Unicode.
        """
        most = self._options.max_text_tokens
        num_bytes = len(check_text(text, self._options))
        # A token stands for a byte at least, so that few texts are tokenized twice.
        if num_bytes * self._growth <= most:
            return len(text)
        count = await asyncio.to_thread(self._count, text)
        if count > most:
            raise ValueError(
                f"`text` must have at most `max_text_tokens` ({most}) tokens, got {count}; send it "
                "in parts."
            )
        return max(len(text), TOKEN_CHARACTERS * count)

    def _count(self, text: str) -> int:
        # Of a batch, because only that lets other threads run meanwhile.
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return len(encoding)


def check_text(text: str, options: ServingOptions) -> bytes:
    """The text in UTF-8.

    Raises:
        ValueError: if it is too long, has too long a run without blanks or is not valid Unicode.
    """
    if len(text) > options.max_characters:
        raise ValueError(
            f"`text` must have at most `max_characters` ({options.max_characters}) characters, got "
            f"{len(text)}; send it in parts."
        )
    run = max(map(len, text.split()), default=0)
    if run > options.max_run:
        raise ValueError(
            f"`text` must have at most `max_run` ({options.max_run}) characters without a blank, "
            f"got {run}; send it in parts."
        )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"`text` must be valid Unicode, got a lone surrogate, {text[error.start]!r}, at "
            f"character {error.start}; remove it."
        ) from error
