"""All models of a build on the same rows of the test split, in the same run."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor

from hf_anchornet.calibration.calibrate import compare_answers
from hf_anchornet.data.inputs import open_inputs
from hf_anchornet.data.splits import DataOptions, load_split, number_labels, sample_rows
from hf_anchornet.evaluation.accuracy import score_labels
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_file import CASCADE_FILE
from hf_anchornet.model.cascade_rule import FULL, ExitRule
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.localizer import MODALITIES, Localizer, load_localizer

from .controls import Answers, answer_by_majority, answer_linearly

BATCH_SIZE = 32
WARM_UP = 4
"""Inputs that each model answers before its time is taken."""


class Comparison:
    """Scores, times and right answers of models on the same rows.

    Args:
        targets: (rows,), int64.
        num_labels: Number of labels.
    """

    def __init__(self, targets: Sequence[int], num_labels: int) -> None:
        self.targets, self.num_labels = torch.tensor(targets), num_labels
        self.scores: dict[str, dict[str, float]] = {}
        self.right: dict[str, NDArray[np.bool_]] = {}

    def add(self, name: str, labels: Any, milliseconds: float) -> None:
        """A model's predicted labels, by number, and its mean time for an input."""
        found = torch.as_tensor(labels)
        one_hot = torch.nn.functional.one_hot(found, self.num_labels)
        scores = score_labels(one_hot.float(), self.targets)
        self.scores[name] = scores | {"milliseconds": milliseconds}
        self.right[name] = (found == self.targets).numpy()

    def compare(self, one: str) -> dict[str, dict[str, float]]:
        """Accuracy of a model minus that of each other one, with its interval."""
        return {
            name: compare_answers(
                self.right[one].astype(int) - right.astype(int), np.random.default_rng(0)
            )
            for name, right in self.right.items()
            if name != one
        }


def measure_models(
    data: DataOptions, test_split: str, most_rows: int, folder: Path, classifier: str | None
) -> dict[str, Any]:
    """Report on the test split, ready for JSON.

    Args:
        data: The source.
        test_split: Split to compare on.
        most_rows: Most rows to compare on; a fixed sample of more.
        folder: The localizer or cascade that was built.
        classifier: The classifier to compare with, on the full input; `None` without one.

    Returns:
        `split`, `num_rows`, `num_train_rows`; `answer`, "localizer" or "cascade", what the folder
        answers with; `compared`, by model `accuracy`, `macro_f1` and `milliseconds` per input;
        `differences` of the answer's accuracy to the others; of a cascade `asked`, the share of
        inputs that reached its classifier. The scores of localizer and cascade stand also where
        `evaluate_models` has them.
    """
    localizer = load_localizer(folder)
    labels = label_names(localizer.model)
    column = data.input_column(localizer.modality)
    rows = sample_rows(load_split(data, test_split, column), most_rows)
    sources = read_inputs(localizer, rows, data)
    order = sorted(range(len(sources)), key=lambda row: localizer.measure(sources[row]))
    sources = [sources[row] for row in order]  # from short to long, as every model reads them
    targets = number_labels(rows.select(order), data.label_column, labels)
    compared, asked = Comparison(targets, len(labels)), None
    compared.add("localizer", *_time(lambda part: localizer.read(part).logits, sources))
    if classifier is not None:
        compared.add("classifier", *_time_classifier(localizer, classifier, sources))
    if (folder / CASCADE_FILE).exists():
        labels_found, milliseconds, asked = _time_cascade(folder, sources)
        compared.add("cascade", labels_found, milliseconds)
    train = load_split(data, data.train_split, column)
    learned = number_labels(train, data.label_column, labels)
    inputs = read_inputs(localizer, train, data)
    compared.add("linear model", *answer_linearly(inputs, learned, sources))
    compared.add("majority", *answer_by_majority(learned, len(sources)))
    answer = "localizer" if asked is None else "cascade"
    report: dict[str, Any] = {"split": test_split, "num_rows": len(rows)}
    report |= {"num_train_rows": len(train), "localizer": compared.scores["localizer"]}
    if asked is not None:
        report |= {"classifier": compared.scores["cascade"], "asked": asked}
    differences = compared.compare(answer)
    return report | {"answer": answer, "compared": compared.scores, "differences": differences}


def read_inputs(localizer: Localizer, rows: Dataset, data: DataOptions) -> list[Any]:
    """The texts or pictures of a split, checked."""
    found = open_inputs(rows, data, localizer.modality)
    return [localizer.check_input(item, f"row {row}") for row, item in enumerate(found)]


def _time(answer: Callable[[list[Any]], Tensor], sources: list[Any]) -> Answers:
    """The labels of all inputs, in their order, and the mean time of one."""
    answer(sources[:WARM_UP])
    start = time.perf_counter()
    found = [
        answer(sources[first : first + BATCH_SIZE]).argmax(dim=-1).cpu()
        for first in range(0, len(sources), BATCH_SIZE)
    ]
    milliseconds = 1000 * (time.perf_counter() - start) / len(sources)
    return Answers(torch.cat(found).numpy(), milliseconds)


def _time_classifier(localizer: Localizer, classifier: str, sources: list[Any]) -> Answers:
    """The answers of a classifier on full inputs; of the localizer where there is nothing."""
    reader = MODALITIES[localizer.model.config.model_type].reader.load(classifier)
    cascade = Cascade(localizer, reader, ExitRule.make([FULL], 1.0))
    cascade.follow(sources[:WARM_UP], BATCH_SIZE)
    traces = cascade.follow(sources, BATCH_SIZE)
    logits = [
        trace.average(trace.last_reading) if trace.last_reading else trace.logits
        for trace in traces
    ]
    milliseconds = float(np.mean([trace.classifier_milliseconds for trace in traces]))
    return Answers(torch.stack(logits).argmax(dim=-1).numpy(), milliseconds)


def _time_cascade(folder: Path, sources: list[Any]) -> tuple[NDArray[np.int64], float, float]:
    """Labels, mean time and the share of inputs that reached the classifier."""
    cascade = Cascade.from_pretrained(folder)
    cascade.follow(sources[:WARM_UP], BATCH_SIZE)
    traces = cascade.follow(sources, BATCH_SIZE)
    # The clock of the traces leaves out that multiply-adds are counted, once for each length.
    milliseconds = float(np.mean([trace.milliseconds for trace in traces]))
    labels = torch.stack([trace.probs for trace in traces]).argmax(dim=-1).numpy()
    return labels, milliseconds, float(np.mean([bool(trace.pieces) for trace in traces]))
