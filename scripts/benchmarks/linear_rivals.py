"""The simplest text classifiers: linear maps of n-grams or of static embeddings."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import diags_array
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from hf_anchornet.calibration.temperature import fit_temperature
from hf_anchornet.model.text_words import LocatedText
from scripts.benchmarks.methods import Probs
from scripts.benchmarks.ngram_features import NgramFeatures

Floats = NDArray[np.floating[Any]]
Targets = NDArray[np.int64]
"""(texts,), the number of the right label of each text."""

Labelled = tuple[Sequence[str], Sequence[int]]
"""Texts, and the number of the right label of each."""

Solver = Callable[[Any, Targets, float], tuple[Floats, Floats]]
"""From features, (texts, features), targets and scikit-learn's `C` to weights, (1 or labels,
features), and biases, (1 or labels,), as scikit-learn gives them: one row for two labels, which
speaks for the second."""

MAX_STEPS = 10_000


class Features(Protocol):
    """Numbers that describe a text, learned from training texts."""

    @property
    def size(self) -> int:
        """Bytes of what was learned."""

    def learn(self, texts: Sequence[str], /) -> Any:
        """Learn from training texts; returns their features."""

    def __call__(self, texts: Sequence[str], /) -> Any:
        """Features of texts: (texts, features), an array or a sparse matrix."""


class LinearRival:
    """A linear classifier of texts; a method of the speed benchmark once it is fitted.

    The decision values of a text are its features times the weights, plus the biases, both centred
    over the labels. Probabilities are the softmax of these values at a temperature fitted on the
    validation split: an SVM has none of its own.

    Args:
        features: What the weights are multiplied with.
        solve: Finds the weights.
        strengths: Values of scikit-learn's `C`, of which the validation split chooses.

    Attributes:
        weights: (features, labels), float32.
        bias: (labels,), float32.
        temperature: Divisor of the decision values.
        fitted: What was chosen, and what fitting took, for the report.
    """

    def __init__(self, features: Features, solve: Solver, strengths: Sequence[float]) -> None:
        self.features, self.solve, self.strengths = features, solve, strengths
        self.steps: dict[str, Callable[[Any], Any]] = {"look up": features, "add": self._add}

    def fit(self, train: Labelled, validation: Labelled, num_labels: int) -> "LinearRival":
        """Fit on training texts, with `C` by the accuracy on validation texts; returns itself.

        Of values of `C` that are as good, the smallest is taken.

        Raises:
            ValueError: if a label has no training text or there is no validation text.
        """
        targets = check_targets(train[1], validation[1], num_labels)
        start = time.process_time()
        learned, held_out = self.features.learn(train[0]), self.features(validation[0])
        best = -1.0
        for strength in sorted(self.strengths):
            weights, bias = center(*self.solve(learned, targets, strength))
            values = held_out @ weights + bias
            accuracy = float((values.argmax(axis=1) == np.asarray(validation[1])).mean())
            if accuracy > best:
                best, self.weights, self.bias, chosen = accuracy, weights, bias, values
                self.fitted = {"C": strength, "validation_accuracy": accuracy}
        self.temperature = fit_temperature(
            torch.from_numpy(chosen), torch.tensor(validation[1], dtype=torch.int64)
        )
        self.fitted["temperature"] = self.temperature
        self.fitted["num_features"] = len(self.weights)
        self.fitted["seconds"] = time.process_time() - start
        return self

    def predict(self, texts: Sequence[str], /) -> Probs:
        """Probabilities of the labels: (texts, labels), float32."""
        return self._add(self.features(texts))

    def decide(self, texts: Sequence[str]) -> Floats:
        """Decision values at the temperature, whose softmax `predict` returns: (texts, labels)."""
        return self._decide(self.features(texts))

    def locate(self, text: str) -> LocatedText:
        """A text with what each word adds to what `decide` returns; the bias is left over.

        Raises:
            TypeError: if the features are no n-grams.
        """
        if not isinstance(self.features, NgramFeatures):
            raise TypeError(
                "`features` must be n-grams for exact evidence, got "
                f"{type(self.features).__name__}; explain another rival."
            )
        return self.features.locate(text, self.weights / np.float32(self.temperature))

    def count_work(self, texts: Sequence[str]) -> None:
        """Nothing: what costs time here is looking up words, no multiplication."""

    @property
    def size(self) -> int:
        """Bytes of the features and of the weights; for two labels one column is enough."""
        num_features, num_labels = self.weights.shape
        columns = 1 if num_labels == 2 else num_labels
        return self.features.size + int((num_features + 1) * columns * self.weights.itemsize)

    def _decide(self, features: Any) -> Floats:
        values: Floats = (features @ self.weights + self.bias) / np.float32(self.temperature)
        return values

    def _add(self, features: Any) -> Probs:
        probs: Probs = softmax(self._decide(features), axis=1)
        return probs


def check_targets(train: Sequence[int], validation: Sequence[int], num_labels: int) -> Targets:
    """The targets of training texts as an array.

    Raises:
        ValueError: if a text has several labels, a label has no training text, or there is no
            validation text.
    """
    if not len(validation):
        raise ValueError("`validation_split` must hold texts, got none; name another split.")
    if any(isinstance(target, list) for target in (*train, *validation)):
        raise ValueError(
            '`rivals` must be "" for texts with several labels: these classifiers choose one.'
        )
    targets = np.asarray(train, dtype=np.int64)
    missing = sorted(set(range(num_labels)) - set(targets.tolist()))
    if missing:
        raise ValueError(
            f"`train_split` must hold texts of every label for `rivals`, got none of the labels "
            f"with the numbers {missing}; add some or drop these labels."
        )
    return targets


def center(weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Weights, (features, labels), and biases, (labels,), float32, with a mean of 0 over labels."""
    if len(weights) == 1:
        weights, bias = np.concatenate([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    weights = np.ascontiguousarray((weights - weights.mean(axis=0)).T, dtype=np.float32)
    return weights, (bias - bias.mean()).astype(np.float32)


def solve_logistic(features: Any, targets: Targets, strength: float) -> tuple[Floats, Floats]:
    """Multinomial logistic regression."""
    model = LogisticRegression(C=strength, max_iter=MAX_STEPS).fit(features, targets)
    return model.coef_, model.intercept_


def solve_svm(features: Any, targets: Targets, strength: float) -> tuple[Floats, Floats]:
    """Linear support vector machines, one label against the rest."""
    model = LinearSVC(C=strength, max_iter=MAX_STEPS, random_state=0).fit(features, targets)
    return model.coef_, model.intercept_


def solve_naive_bayes(features: Any, targets: Targets, strength: float) -> tuple[Floats, Floats]:
    """Logistic regression of features scaled by their log ratios, one label against the rest.

    Wang and Manning 2012, "Baselines and Bigrams", section 2.3, with logistic regression in place
    of the SVM and without their interpolation with the mean weight. The ratios are those of the
    texts that hold a feature, whatever its value there.
    """
    present = (features > 0).astype(np.float32)
    labels = np.unique(targets)[1 if len(np.unique(targets)) == 2 else 0 :]
    weights, bias = [], []
    for label in labels:
        ratios = compute_log_ratios(present, targets == label)
        model = LogisticRegression(
            C=strength, solver="liblinear", max_iter=MAX_STEPS, random_state=0
        ).fit(features @ diags_array(ratios), targets == label)
        weights.append(model.coef_[0] * ratios)
        bias.append(model.intercept_[0])
    return np.stack(weights), np.array(bias)


def compute_log_ratios(present: Any, chosen: NDArray[np.bool_]) -> Floats:
    """Log of each feature's share in the chosen texts over that in the others: (features,).

    The log-count ratio of Wang and Manning 2012, with a smoothing of 1.

    Args:
        present: 1 where a text holds a feature, else 0: (texts, features).
        chosen: The chosen texts: (texts,).
    """
    shares = [present[rows].sum(axis=0) + 1.0 for rows in (chosen, ~chosen)]
    ratios: Floats = np.log(shares[0] / shares[0].sum()) - np.log(shares[1] / shares[1].sum())
    return np.asarray(ratios, dtype=np.float32).ravel()
