"""A linear model of n-grams: naive-Bayes log ratios, weighed by a convex regression.

Each n-gram's frequency in a text is scaled by its log ratio, one label against the rest, then a
logistic regression of all labels weighs it (Wang and Manning, ACL 2012). The ratios compare the
shares of texts that have the n-gram. They are smoothed by a constant, and towards the share of all
texts as language models are (Zhai and Lafferty, SIGIR 2001): otherwise each of many labels has a
strong ratio against whatever its few texts lack.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from torch import Tensor

from .text_vocabulary import encode_ngrams

PRIOR = 1.0
"""Texts by which the number of texts with an n-gram is smoothed, on average over all n-grams."""
MOST_STEPS = 40
"""Steps of L-BFGS; more change no prediction."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledNgrams:
    """Texts to fit a linear model to, or to judge one on.

    Attributes:
        frequencies: (texts, ngrams), from `count_frequencies`.
        length: Mean number of tokens of a text.
        shares: (texts, labels), float32: the probability of each label, or 1 where the text has it,
            times the text's weight.
        multi_label: Whether labels do not exclude each other.
    """

    frequencies: sparse.csr_matrix
    length: float
    shares: NDArray[np.float32]
    multi_label: bool

    @classmethod
    def count(
        cls,
        rows: Dataset,
        codes: Mapping[int, Tensor],
        vocab_size: int,
        num_labels: int,
        *,
        multi_label: bool = False,
        balanced: bool = False,
    ) -> "LabelledNgrams":
        """The n-grams and labels of tokenized texts.

        Args:
            rows: Columns `input_ids` and `labels`, a number or a probability for each label.
            codes: Codes of the known n-grams by size, each (count,), sorted.
            vocab_size: Base of the codes, see `NgramScores`.
            num_labels: Number of labels.
            multi_label: Whether labels do not exclude each other.
            balanced: Whether every label weighs the same, however many texts have it.
        """
        ids, targets = rows["input_ids"], np.asarray(list(rows["labels"]))
        if targets.ndim == 2:
            shares = targets.astype(np.float32)
        else:
            shares = np.eye(num_labels, dtype=np.float32)[targets]
        if balanced and not multi_label:
            present = np.count_nonzero(shares.any(axis=0))
            shares *= len(shares) / (present * shares.sum(axis=0).clip(1))
        length = max(1.0, float(np.mean([len(row) for row in ids])))
        return cls(count_frequencies(ids, codes, vocab_size), length, shares, multi_label)

    def measure_loss(self, logits: Floats) -> float:
        """Total log loss of logits, (texts, labels)."""
        if self.multi_label:
            return float((np.logaddexp(0, logits) - self.shares * logits).sum())
        return float(-(self.shares * log_softmax(logits, axis=1)).sum())


@dataclass(frozen=True)
class LinearModel:
    """Weights of n-gram frequencies and a bias: logits are `frequencies @ weights + bias`.

    Attributes:
        weights: (ngrams, labels).
        bias: (labels,).
    """

    weights: Floats
    bias: Floats

    def predict(self, frequencies: sparse.csr_matrix) -> Floats:
        """Logits: (texts, labels)."""
        return np.asarray(frequencies @ self.weights + self.bias)


def fit_linear_model(
    texts: LabelledNgrams,
    strength: float,
    offset: Floats | float = 0.0,
    *,
    scaled: bool = True,
    prior: float = PRIOR,
) -> LinearModel:
    """The regression of all labels at once, with features of its own for each label.

    Args:
        texts: The texts.
        strength: Weight of the log loss against the penalty, half the squared weights, for
            frequencies in a text of average length.
        offset: Logits, (texts, labels), that are added to those of the model.
        scaled: Whether frequencies are scaled by log ratios. Without, weights are small and spread
            over many n-grams.
        prior: See `PRIOR`; 0: a constant alone smooths.
    """
    frequencies = (texts.frequencies * texts.length).astype(np.float32)
    shares, multi_label = texts.shares, texts.multi_label
    num_ngrams, num_labels = frequencies.shape[1], shares.shape[1]
    transposed = frequencies.T.tocsr()
    weights_of_texts = 1 if multi_label else shares.sum(axis=1, keepdims=True)
    ratios = (
        _compare_labels(transposed, shares, weights_of_texts, prior)
        if scaled
        else np.ones((num_ngrams, num_labels), dtype=np.float32)
    )

    def measure(flat: Floats) -> tuple[float, Floats]:
        """Regularised log loss and its gradient."""
        weights = flat[:-num_labels].reshape(num_ngrams, num_labels).astype(np.float32)
        logits = frequencies @ (ratios * weights) + flat[-num_labels:].astype(np.float32) + offset
        probs = expit(logits) if multi_label else softmax(logits, axis=1)
        excess = weights_of_texts * probs - shares
        slope = strength * ratios * (transposed @ excess) + weights
        gradient = np.concatenate([slope.ravel(), strength * excess.sum(axis=0)])
        loss = strength * texts.measure_loss(logits) + float((weights**2).sum()) / 2
        return loss, gradient.astype(np.float64)

    start = np.zeros((num_ngrams + 1) * num_labels)
    options = {"maxiter": MOST_STEPS, "maxcor": 5, "ftol": 1e-5}
    found = minimize(measure, start, jac=True, method="L-BFGS-B", options=options).x
    weights = ratios * found[:-num_labels].reshape(num_ngrams, num_labels)
    return LinearModel(weights * texts.length, found[-num_labels:])


def _compare_labels(
    transposed: sparse.csr_matrix, shares: NDArray[np.float32], weights: Any, prior: float
) -> NDArray[np.float32]:
    """Naive-Bayes log ratio of each n-gram in each label against the rest: (ngrams, labels).

    Numbers of texts with an n-gram are smoothed by a constant, two shared out between the label
    and the rest as their texts are, and by `prior` in proportion to the n-gram's number in all.
    """
    present = (transposed > 0).astype(np.float32)
    inside = present @ shares
    whole = present @ np.broadcast_to(weights, (len(shares), 1)).astype(np.float32)  # (ngrams, 1)
    total = max(1e-9, float(whole.sum(dtype=float)))
    usual = prior * whole * (len(whole) / total)

    def log_shares(found: NDArray[np.float32]) -> NDArray[np.float32]:
        constant = np.maximum(2 * found.sum(axis=0, dtype=float) / total, 1e-6)
        smoothed = found + (usual + constant).astype(np.float32)
        logs: NDArray[np.float32] = np.log(smoothed) - np.log(smoothed.sum(axis=0, dtype=float))
        return logs.astype(np.float32)

    return log_shares(inside) - log_shares((whole - inside).clip(0))


def count_frequencies(
    ids: Sequence[Sequence[int]], ngrams: Mapping[int, Tensor], vocab_size: int
) -> sparse.csr_matrix:
    """How often each known n-gram is in a text, over the text's windows of its size.

    Args:
        ids: Token ids of each text.
        ngrams: Codes of the known n-grams by size, each (count,), sorted.
        vocab_size: Number of tokens of the tokenizer.

    Returns:
        (texts, ngrams of all sizes), float64.
    """
    blocks = []
    for size, codes in ngrams.items():
        known, columns, ends = codes.numpy(), [], [0]
        for row in ids:
            found = encode_ngrams(row, size, vocab_size)
            places = np.searchsorted(known, found).clip(max=len(known) - 1)
            columns.append(places[known[places] == found])
            ends.append(ends[-1] + len(columns[-1]))
        windows = np.array([max(1, len(row) - size + 1) for row in ids])
        values = np.repeat(1 / windows, np.diff(ends))
        shape = (len(ids), len(known))
        block = sparse.csr_matrix((values, np.concatenate([[], *columns]), ends), shape=shape)
        block.sum_duplicates()
        blocks.append(block)
    return sparse.hstack(blocks, format="csr")
