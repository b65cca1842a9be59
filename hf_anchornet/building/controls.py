"""The simplest models that could work, as controls: the majority, and a linear model."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

SIDE = 32
"""Side in pixels to which pictures are resized for the linear model."""
MOST_FEATURES = 200_000
FEW_ROWS = 5_000
"""Below so many texts, n-grams that occur once are features too."""


class Answers(NamedTuple):
    """Predicted labels, by number, and the mean time of one.

    Attributes:
        labels: (rows,), int64.
        milliseconds: Per input.
    """

    labels: NDArray[np.int64]
    milliseconds: float


def answer_by_majority(targets: Sequence[int], count: int) -> Answers:
    """The most frequent label of the training rows, for every one of `count` inputs."""
    return Answers(np.full(count, np.bincount(targets).argmax()), 0.0)


def answer_linearly(
    inputs: Sequence[Any], targets: Sequence[int], asked: Sequence[Any], seed: int = 0
) -> Answers:
    """Answers of a logistic regression on n-grams of texts, or on resized pictures.

    Args:
        inputs: Training texts, or pictures.
        targets: Their labels, by number.
        asked: Inputs to answer.
        seed: Of the solver.
    """
    solver = LogisticRegression(C=10.0, max_iter=200, random_state=seed)
    if isinstance(asked[0], str):
        features = TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            min_df=1 if len(inputs) < FEW_ROWS else 2,
            max_features=MOST_FEATURES,
            token_pattern=r"(?u)\b\w+\b",
        )
        model = make_pipeline(features, solver)
    else:
        solver.set_params(C=0.01)
        model = make_pipeline(FunctionTransformer(shrink_pictures), StandardScaler(), solver)
    model.fit(inputs, targets)
    start = time.perf_counter()
    found = model.predict(asked)
    return Answers(np.asarray(found), 1000 * (time.perf_counter() - start) / len(asked))


def shrink_pictures(pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
    """Pixels of resized RGB pictures: (pictures, SIDE * SIDE * 3), in [0, 1]."""
    small = [np.asarray(picture.resize((SIDE, SIDE)), dtype=np.float32) for picture in pictures]
    pixels: NDArray[np.float32] = np.stack(small).reshape(len(small), -1) / np.float32(255)
    return pixels
