"""Explainers of text classifiers by name: from a text and a label to a score per word."""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .attention_rollout import roll_out_tokens
from .black_box import draw_by_count, fit_lime, occlude, sample_shapley
from .cascade_subject import explain_words_of_answer
from .part_explainers import PART_EXPLAINERS
from .refined_evidence import refine_evidence
from .subject import check_request
from .text_gradients import integrate_tokens
from .text_subject import TextSubject

Scores = NDArray[np.float64]
"""(words,), float64: higher speaks for the label; 0 for words that the model does not read."""


def explain_text(
    subject: TextSubject, text: str, label: int, method: str = "evidence", **options: Any
) -> Scores:
    """Score of each word of a text for a label: (words,), float64, words of `Words.split`.

    Words beyond the maximum length of the model score 0, and no explainer shows them to the model
    in place of others, but for those that read parts alone: they find parts anywhere in a text. The
    result is deterministic.

    Args:
        subject: The model to explain.
        text: Any text; one without words has no scores.
        label: Number of the label, in the order of `subject.labels`.
        method: Name of an explainer, see `TEXT_EXPLAINERS`.
        options: Of that explainer: `num_samples`, `num_steps`, `num_permutations`, `batch_size`,
            `max_parts`, `max_tokens`, `seed`.

    Raises:
        ImportError: if the explainer needs the extra `explain` and that is not installed.
        TypeError: if `text` is not a string or the explainer has no such option.
        ValueError: if there is no such label or explainer, if an option is out of range, or if the
            explainer cannot explain this kind of model.
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a string, got {type(text).__name__}; convert it.")
    counts = {name: value for name, value in options.items() if name != "seed"}
    check_request(subject, label, method, TEXT_EXPLAINERS, counts)
    return TEXT_EXPLAINERS[method](subject, text, label, **options)


def show_evidence_of_words(subject: TextSubject, text: str, label: int) -> Scores:
    """Attribution by an AnchorNet itself, exact, in one pass; see `LocatedText`."""
    scores: Scores = subject.locate(text).attribution[:, label].copy()
    return scores


def refine_evidence_of_words(subject: TextSubject, text: str, label: int) -> Scores:
    """The same, with each window's evidence shared by importance; see `refine_evidence`."""
    return refine_evidence(subject.localizer, text, label)


def integrate_words(
    subject: TextSubject, text: str, label: int, *, num_steps: int = 50, batch_size: int = 10
) -> Scores:
    """Integrated gradients of the label's logit, summed over words; see `integrate_tokens`."""
    read = subject.read(text)
    if read.num_read == 0:
        return np.zeros(len(read.words))
    return read.score_words(
        integrate_tokens(subject, read, label, num_steps=num_steps, batch_size=batch_size)
    )


def roll_out_words(subject: TextSubject, text: str, label: int) -> Scores:
    """Attention rollout, summed over words, the same for every label; see `roll_out_tokens`."""
    read = subject.read(text)
    return read.score_words(roll_out_tokens(subject, read))


def draw_words(subject: TextSubject, text: str, label: int, *, seed: int = 0) -> Scores:
    """Control: random scores in [0, 1), different for each text, label and seed."""
    read = subject.read(text)
    seeds = [seed, label, zlib.crc32(text.encode("utf-8", "surrogatepass"))]
    scores = np.zeros(len(read.words))
    scores[: read.num_read] = np.random.default_rng(seeds).random(read.num_read)
    return scores


def query_words(
    explain: Callable[..., Scores],
    subject: TextSubject,
    text: str,
    label: int,
    *,
    batch_size: int = 32,
    **options: Any,
) -> Scores:
    """Scores by a black-box explainer whose parts are the words that the model reads: (words,)."""
    read = subject.read(text)

    def predict(kept: NDArray[np.bool_]) -> Scores:
        texts = [read.words.join(row) for row in kept]
        probs: Scores = subject.predict(texts, batch_size)[:, label]
        return probs

    scores = np.zeros(len(read.words))
    scores[: read.num_read] = explain(predict, read.num_read, **options)
    return scores


TEXT_EXPLAINERS: dict[str, Callable[..., Scores]] = {
    "evidence": show_evidence_of_words,
    "refined_evidence": refine_evidence_of_words,
    "integrated_gradients": integrate_words,
    "occlusion": partial(query_words, occlude),
    # Unlike in the package `lime`, a word that occurs twice is two parts.
    "lime": partial(query_words, partial(fit_lime, sampler=draw_by_count)),
    "shapley": partial(query_words, sample_shapley),
    "attention_rollout": roll_out_words,
    **PART_EXPLAINERS,
    "answer": explain_words_of_answer,
    "random": draw_words,
}
"""Explainers by name, each called as `(subject, text, label, **options)`; see `explain_text`."""
