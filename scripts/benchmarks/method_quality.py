"""What a method of the speed benchmark answers, whatever its speed: quality, work and size."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from hf_anchornet.model.costs import count_work
from scripts.benchmarks.methods import Method, Probs


def measure_quality(
    method: Method, inputs: Sequence[Any], targets: Sequence[int]
) -> dict[str, Any]:
    """`accuracy`, `macro_f1`, `size` in bytes, `None` if unknown, and of a rival `fitted`."""
    fitted = {"fitted": method.fitted} if hasattr(method, "fitted") else {}
    size = {"size": getattr(method, "size", None)}
    return {**score(predict_batches(method, inputs, 32), targets), **size, **fitted}


def count_method(method: Method, inputs: Sequence[Any]) -> int | None:
    """Multiply-adds of all inputs together, one at a time; a method may count its own.

    `None` for a method that says that there is nothing to count.
    """
    counted = getattr(method, "counted_as", None) or method
    count = getattr(counted, "count_work", None)
    if count is not None:
        work: int | None = count(inputs)
        return work
    return count_work(partial(predict_batches, counted, inputs, 1))


def predict_batches(method: Method, inputs: Sequence[Any], batch_size: int) -> Probs:
    """Probabilities of all inputs, computed in batches."""
    starts = range(0, len(inputs), batch_size)
    return np.concatenate([method.predict(inputs[i : i + batch_size]) for i in starts])


def score(probs: Probs, targets: Sequence[int]) -> dict[str, float]:
    """Accuracy and macro F1, in [0, 1]."""
    from sklearn.metrics import f1_score

    predicted = probs.argmax(axis=1)
    return {
        "accuracy": float((predicted == np.asarray(targets)).mean()),
        "macro_f1": float(f1_score(targets, predicted, average="macro")),
    }
