"""The scores of a localizer's n-grams, from a linear model that is solved before the first epoch.

Each n-gram's frequency in a text is scaled by its naive-Bayes log ratio, then a logistic regression
weighs it (Wang and Manning, ACL 2012; one label against the rest). The solution is convex, takes
seconds, and has exactly the form of the n-gram branches: a sum over windows, divided by their
number.

What such a model says about the texts that it was fitted on is too good to learn from. So the trunk
learns what the n-grams leave over on texts that they have not seen: from the scores of models that
were fitted without the text (cross-fitting, as in stacked generalisation: Wolpert 1992).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.model_selection import KFold, StratifiedKFold
from torch import Tensor

from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification

from .text_vocabulary import encode_ngrams

NUM_FOLDS = 4
STRENGTHS = (0.003, 0.03, 0.3)
"""Candidates for the weight of the loss against the penalty, half the squared weights."""
FEW_ROWS = 5000
"""Up to so many rows the strength is chosen by cross-validation; above it hardly matters."""
MANY_ROWS_STRENGTH = 0.3
MOST_STEPS = 40
"""Steps of L-BFGS; more change no prediction."""

Floats = NDArray[np.float64]


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


@dataclass(frozen=True)
class NgramStart:
    """The linear model, and models of parts of the texts.

    Attributes:
        model: Fitted on all texts.
        parts: Each fitted without the texts of its fold.
        folds: The fold of each text, (texts,), int64.
        ngrams: Codes of the known n-grams by size, as `NgramScores.set_codes` takes them.
        vocab_size: Number of tokens of the tokenizer.
    """

    model: LinearModel
    parts: Sequence[LinearModel]
    folds: NDArray[np.int64]
    ngrams: Mapping[int, Tensor]
    vocab_size: int

    def predict_held_out(
        self, ids: Sequence[Sequence[int]], texts: Sequence[int]
    ) -> NDArray[np.float32]:
        """Logits of texts, or of pieces of them, from models fitted without them: (rows, labels).

        Args:
            ids: Token ids of each row.
            texts: Number of the text that each row is, or is a piece of.
        """
        frequencies = count_frequencies(ids, self.ngrams, self.vocab_size)
        fold_of_row = self.folds[np.asarray(texts)]
        logits = np.zeros((len(ids), len(self.model.bias)), dtype=np.float32)
        for fold, part in enumerate(self.parts):
            rows = np.flatnonzero(fold_of_row == fold)
            logits[rows] = part.predict(frequencies[rows])
        return logits

    @torch.no_grad()
    def initialize(self, model: AnchorNetTextForSequenceClassification) -> None:
        """Give a localizer with these n-grams the scores and the bias, and keep its tables fixed.

        Args:
            model: A new localizer, whose trunk starts near zero.
        """
        first, num_branches = 0, len(model.windows)
        for weight, codes in zip(model.ngrams.parameters(), self.ngrams.values(), strict=True):
            scores = self.model.weights[first : first + len(codes)] * num_branches
            weight[1:] = torch.from_numpy(scores)
            weight.requires_grad_(False)
            first += len(codes)
        model.aggregation.bias[:] = torch.from_numpy(self.model.bias)


def fit_ngrams(
    rows: Dataset,
    ngrams: Mapping[int, Tensor],
    vocab_size: int,
    num_labels: int,
    balanced: bool = False,
    seed: int = 0,
) -> NgramStart:
    """The linear model of the n-grams of tokenized texts, with cross-fitted parts.

    Its logits are on the scale on which the parts predict their held-out texts best, so that the
    probabilities are calibrated.

    Args:
        rows: Tokenized texts with columns `input_ids` and `labels`.
        ngrams: Codes of the known n-grams by size, each (count,), sorted.
        vocab_size: Number of tokens of the tokenizer.
        num_labels: Number of labels.
        balanced: Whether every label weighs the same, however many texts have it.
        seed: Seed of the folds.
    """
    ids = rows["input_ids"]
    length = max(1.0, float(np.mean([len(row) for row in ids])))
    # In a text of average length: about counts.
    frequencies = count_frequencies(ids, ngrams, vocab_size) * length
    targets = np.asarray(list(rows["labels"]))
    problem = _Problem(frequencies.astype(np.float32), *_weigh(targets, num_labels, balanced))
    folds = split_folds(targets, seed)
    strengths = STRENGTHS if len(rows) <= FEW_ROWS else (MANY_ROWS_STRENGTH,)
    tried = [_cross_fit(problem, folds, strength) for strength in strengths]
    best = min(range(len(tried)), key=lambda index: tried[index][0])
    _, factor, parts = tried[best]
    whole, *parts = [
        LinearModel(each.weights * factor * length, each.bias * factor)
        for each in (_fit(problem, strengths[best]), *parts)
    ]
    return NgramStart(whole, parts, folds, ngrams, vocab_size)


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


def split_folds(targets: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """The fold of each text, (texts,): `NUM_FOLDS` of them, each with every label if possible."""
    num_folds = min(NUM_FOLDS, len(targets))
    several = targets.ndim == 2 or np.unique(targets, return_counts=True)[1].min() < num_folds
    splitter = (KFold if several else StratifiedKFold)(num_folds, shuffle=True, random_state=seed)
    folds = np.zeros(len(targets), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(targets)), targets)):
        folds[held_out] = fold
    return folds


class _Problem(NamedTuple):
    """Texts to fit a linear model to.

    Attributes:
        frequencies: (texts, ngrams), float32, in a text of average length.
        shares: (texts, labels), float32, 1 or the text's weight where it has the label, else 0.
        multi_label: Whether labels do not exclude each other.
    """

    frequencies: sparse.csr_matrix
    shares: NDArray[np.float32]
    multi_label: bool

    def take(self, rows: NDArray[np.bool_]) -> "_Problem":
        """The problem of some of the texts."""
        return _Problem(self.frequencies[rows], self.shares[rows], self.multi_label)

    def measure_loss(self, logits: Floats) -> float:
        """Total log loss of logits, (texts, labels)."""
        if self.multi_label:
            return float((np.logaddexp(0, logits) - self.shares * logits).sum())
        return float(-(self.shares * log_softmax(logits, axis=1)).sum())


def _weigh(
    targets: NDArray[Any], num_labels: int, balanced: bool
) -> tuple[NDArray[np.float32], bool]:
    """Shares as in `_Problem`, and whether there may be several labels to a text."""
    if targets.ndim == 2:
        return targets.astype(np.float32), True
    shares = np.eye(num_labels, dtype=np.float32)[targets]
    if balanced:
        shares *= len(shares) / (np.count_nonzero(shares.any(axis=0)) * shares.sum(axis=0).clip(1))
    return shares, False


def _cross_fit(
    problem: _Problem, folds: NDArray[np.int64], strength: float
) -> tuple[float, float, list[LinearModel]]:
    """Loss on held-out texts, the factor of the logits at which it is least, and the models."""
    parts, held_out = [], np.zeros(problem.shares.shape)
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        parts.append(_fit(problem.take(~inside), strength))
        held_out[inside] = parts[-1].predict(problem.frequencies[inside])
    found = minimize_scalar(
        lambda exponent: problem.measure_loss(held_out * np.exp(exponent)),
        bounds=(-5, 5),
        method="bounded",
    )
    return float(found.fun), float(np.exp(found.x)), parts


def _fit(problem: _Problem, strength: float) -> LinearModel:
    """The regression of all labels at once, with features of its own for each label.

    Args:
        problem: The texts.
        strength: The inverse of the regularisation.
    """
    frequencies, shares, multi_label = problem
    num_ngrams, num_labels = frequencies.shape[1], shares.shape[1]
    transposed = frequencies.T.tocsr()
    weights_of_texts = 1 if multi_label else shares.sum(axis=1, keepdims=True)
    ratios = _compare_labels(transposed, shares, weights_of_texts)

    def measure(flat: Floats) -> tuple[float, Floats]:
        """Regularised log loss and its gradient."""
        weights = flat[:-num_labels].reshape(num_ngrams, num_labels).astype(np.float32)
        logits = frequencies @ (ratios * weights) + flat[-num_labels:].astype(np.float32)
        probs = expit(logits) if multi_label else softmax(logits, axis=1)
        excess = weights_of_texts * probs - shares
        slope = strength * ratios * (transposed @ excess) + weights
        gradient = np.concatenate([slope.ravel(), strength * excess.sum(axis=0)])
        loss = strength * problem.measure_loss(logits) + float((weights**2).sum()) / 2
        return loss, gradient.astype(np.float64)

    start = np.zeros((num_ngrams + 1) * num_labels)
    options = {"maxiter": MOST_STEPS, "maxcor": 5, "ftol": 1e-5}
    found = minimize(measure, start, jac=True, method="L-BFGS-B", options=options).x
    weights = ratios * found[:-num_labels].reshape(num_ngrams, num_labels)
    return LinearModel(weights, found[-num_labels:])


def _compare_labels(
    transposed: sparse.csr_matrix, shares: NDArray[np.float32], weights: Any
) -> NDArray[np.float32]:
    """Naive-Bayes log ratio of each n-gram in each label against the rest: (ngrams, labels)."""
    inside, outside = (1 + np.asarray(transposed @ side) for side in (shares, weights - shares))
    ratios = np.log(inside / inside.sum(axis=0)) - np.log(outside / outside.sum(axis=0))
    return np.asarray(ratios, dtype=np.float32)
