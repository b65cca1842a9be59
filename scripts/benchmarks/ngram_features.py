"""Counts of word n-grams as features of a linear model, and where each n-gram stands in a text."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline

from hf_anchornet.model.text_words import LocatedText, Span

LONGEST = 3
"""Words of the longest n-grams."""

MIN_TEXTS = 3
"""Training texts in which an n-gram must occur."""

WORD = r"(?u)\w+(?:'\w+)*|[^\w\s]"
"""A word with its inner apostrophes, or a sign: "!" and "?" are evidence, too."""


class NgramFeatures:
    """N-grams of 1 to 3 words, weighed by a transformer of scikit-learn.

    Args:
        weigh: Maps counts to features, both sparse, (texts, n-grams). What a text does not hold
            stays 0, and what it holds does not become 0.
    """

    def __init__(self, weigh: Any) -> None:
        self.counter = CountVectorizer(
            ngram_range=(1, LONGEST), min_df=MIN_TEXTS, token_pattern=WORD, dtype=np.float32
        )
        self.pipeline = Pipeline([("count", self.counter), ("weigh", weigh)])

    def learn(self, texts: Sequence[str]) -> Any:
        """Find the n-grams of training texts; returns the features of these texts."""
        return self.pipeline.fit_transform(texts)

    def __call__(self, texts: Sequence[str]) -> Any:
        """Features of texts: sparse, (texts, n-grams)."""
        return self.pipeline.transform(texts)

    @property
    def size(self) -> int:
        """Bytes of the n-grams: UTF-8, each with a byte that ends it and its weight, if any."""
        ngrams = sum(len(ngram.encode("utf-8")) + 1 for ngram in self.counter.vocabulary_)
        return ngrams + getattr(self.pipeline["weigh"], "idf_", np.empty(0)).nbytes

    def locate(self, text: str, weights: NDArray[np.floating[Any]]) -> LocatedText:
        """What each word of a text adds to the decision values of a linear model.

        What an n-gram adds is shared out evenly over its occurrences, and the part of each evenly
        over its words.

        Args:
            text: Any text.
            weights: Of the linear model: (n-grams, labels).
        """
        features = self([text])
        added = features.data[:, None] * weights[features.indices].astype(np.float64)
        row = {column: row for row, column in enumerate(features.indices.tolist())}
        words, offsets = split_words(text)
        places: list[list[Span]] = [[] for _ in row]
        for size in range(1, LONGEST + 1):
            for first in range(len(words) - size + 1):
                column = self.counter.vocabulary_.get(" ".join(words[first : first + size]))
                if column is not None:
                    places[row[column]].append((first, first + size))
        by_word = np.zeros((len(words), weights.shape[1]))
        for share, found in zip(added, places, strict=True):
            for first, last in found:
                by_word[first:last] += share / (len(found) * (last - first))
        return LocatedText.build(text, offsets, by_word)


def split_words(text: str) -> tuple[list[str], list[Span]]:
    """The words of which n-grams consist, in lower case, and their characters `[start, end)`."""
    owner = np.repeat(np.arange(len(text)), [len(character.lower()) for character in text])
    found = list(re.finditer(WORD, text.lower()))
    offsets = [(int(owner[each.start()]), int(owner[each.end() - 1]) + 1) for each in found]
    return [each.group() for each in found], offsets
