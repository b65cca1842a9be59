"""Control selections of a text: a crop, its head, head and tail, or top-ranked sentences."""

import re
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hf_anchornet.model.text_budget import merge_spans
from hf_anchornet.model.text_words import Span, Words, encodable

Control = Callable[[Words, NDArray[np.int64], int], list[Span]]
"""From words, their numbers of classifier tokens and a token budget to the spans to read."""


def rank_by_tfidf(words: Words) -> list[Span]:
    """Sentences as ranges of words, those most similar to the whole text first.

    The similarity of a sentence is the cosine of its TF-IDF weights and their mean over the text
    (centroid method, Radev et al., 2004); a word's document frequency is the number of sentences
    that hold it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    spans = words.sentences()
    sentences = [words.text[slice(*words.span(*span))] for span in spans]
    if not any(re.search(r"\w", sentence) for sentence in sentences):
        return spans
    weights = TfidfVectorizer(token_pattern=r"\w+").fit_transform(sentences)
    similarity = (weights @ weights.sum(axis=0).A1).ravel()
    return [spans[index] for index in np.argsort(-similarity, kind="stable")]


def rank_by_textrank(words: Words) -> list[Span]:
    """Sentences as ranges of words, by TextRank (Mihalcea and Tarau, 2004), best first.

    The package summa splits and ranks them; words of sentences that it does not rank come last.
    """
    from summa.summarizer import summarize

    ranked, position = [], 0
    ranks = np.zeros(len(words), dtype=bool)
    for sentence, score in summarize(words.text, ratio=1.0, scores=True) or []:
        start = words.text.find(sentence, position)
        if start >= 0:
            position = start + len(sentence)
            first, last = words.at(np.array(start)), words.before(np.array(position)) + 1
            ranked.append((-score, (int(first), int(last))))
            ranks[first:last] = True
    rest = [(word, word + 1) for word in np.flatnonzero(~ranks).tolist()]
    return [span for _, span in sorted(ranked)] + rest


def select_crop(words: Words, costs: NDArray[np.int64], budget: int) -> list[Span]:
    """Control: a random run of words that fits the budget, seeded by the text and the budget.

    Args:
        words: The words of the text.
        costs: (words,), int64, the classifier's tokens per word.
        budget: The classifier's tokens to spend.
    """
    remaining = costs[::-1].cumsum()[::-1]  # (words,), tokens from each word to the end
    places = max(1, int((remaining >= budget).sum()))
    seed = zlib.crc32(encodable(words.text).encode(), budget)
    first = int(np.random.default_rng(seed).integers(places))
    return [(first + start, first + end) for start, end in select_head(costs[first:], budget)]


CONTROLS: dict[str, Control] = {
    "crop": select_crop,
    "head": lambda words, costs, budget: select_head(costs, budget),
    "head_and_tail": lambda words, costs, budget: select_head_and_tail(costs, budget),
    "textrank": lambda words, costs, budget: select_ranked_spans(
        rank_by_textrank(words), costs, budget
    ),
    "tfidf": lambda words, costs, budget: select_ranked_spans(rank_by_tfidf(words), costs, budget),
}


def select_random_spans(
    spans: Sequence[Span], costs: NDArray[np.int64], budget: int, seed: int
) -> list[Span]:
    """Control: spans drawn at random until no other fits the budget."""
    left, chosen = budget, list[Span]()
    taken = np.zeros(len(costs), dtype=bool)
    for index in np.random.default_rng(seed).permutation(len(spans)):
        first, last = spans[index]
        price = int(costs[first:last].sum())
        if price <= left and not taken[first:last].any():
            taken[first:last] = True
            left -= price
            chosen.append((first, last))
    return merge_spans(chosen)


def select_head(costs: NDArray[np.int64], budget: int) -> list[Span]:
    """Control: the first words that fit the budget."""
    count = int(np.searchsorted(np.cumsum(costs), budget, side="right"))
    return [(0, count)] if count else []


def select_head_and_tail(costs: NDArray[np.int64], budget: int) -> list[Span]:
    """Control: the first words that fit half the budget, and the last words that fit the rest."""
    head = select_head(costs, budget // 2)
    start = head[0][1] if head else 0
    tail = select_head(costs[start:][::-1], budget - int(costs[:start].sum()))
    count = tail[0][1] if tail else 0
    return merge_spans([*head, (len(costs) - count, len(costs))] if count else head)


def select_ranked_spans(spans: Sequence[Span], costs: NDArray[np.int64], budget: int) -> list[Span]:
    """Control: spans in the order given; the first one that exceeds the budget is truncated.

    Args:
        spans: Disjoint ranges of words, best first.
        costs: (words,), int64, tokens per word.
        budget: Tokens to spend.
    """
    left, chosen = budget, list[Span]()
    for first, last in spans:
        chosen.extend((first, first + count) for _, count in select_head(costs[first:last], left))
        left -= int(costs[first:last].sum())
        if left <= 0:
            break
    return merge_spans(chosen)
