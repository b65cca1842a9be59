"""Methods of the speed benchmark: steps or cascades that map inputs to probabilities."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_anchornet.model.backend import EAGER
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_file import GLANCE_FOLDER
from hf_anchornet.model.classifier import label_names

Probs = NDArray[np.floating[Any]]
"""Probabilities of the labels: (inputs, labels)."""

FULL_READING = "full"
"""The reading of full inputs, which each set of classifiers must hold."""

RESIZED = "small"
"""The reading of whole images made small; further sizes have names such as "small_64"."""


@dataclass
class Models:
    """The models that are compared.

    Attributes:
        localizer: Folder or Hub id of the localizer.
        classifiers: Classifiers and what they were trained to read, as reading=folder. "full" must
            be among them; a reading without a classifier of its own gets that of "mix" or "full".
            One for "oracle" reads the patch that people marked, an upper bound.
    """

    localizer: str
    classifiers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check the names."""
        self.folders = parse_folders(self.classifiers)

    def find_folder(self, reading: str) -> str:
        """The classifier of a reading: its own, else that of a mix, else that of full inputs."""
        return next(self.folders[x] for x in (reading, "mix", FULL_READING) if x in self.folders)


class Method(Protocol):
    """Anything that gives probabilities for a list of inputs."""

    def predict(self, inputs: Sequence[Any], /) -> Probs:
        """Probabilities of the labels, in the order of the benchmark's labels."""


@dataclass
class Steps:
    """A method of several steps, each of which can be timed.

    Attributes:
        steps: Functions by name; the first takes the inputs, each other takes the result of the
            one before it, and the last returns the probabilities.
        counted_as: A method with the same multiply-adds, where those of the steps cannot be
            counted.
        size: Bytes of its models, if known; see `measure_size`.
    """

    steps: dict[str, Callable[[Any], Any]]
    counted_as: Method | None = None
    size: int | None = None

    def predict(self, inputs: Sequence[Any], /) -> Probs:
        """Run all steps."""
        passed: Any = inputs
        for step in self.steps.values():
            passed = step(passed)
        result: Probs = passed
        return result


class CascadeMethod:
    """A cascade as a method, which counts its own multiply-adds: inputs exit at any stage.

    Args:
        folder: Folder or Hub id of a cascade.
        labels: Names of the labels in the order of the probabilities.
        backend: What computes; see `make_network`.
    """

    def __init__(self, folder: str, labels: Sequence[str], backend: str = EAGER) -> None:
        self.cascade = Cascade.from_pretrained(folder, backend=backend)
        copies = [str(path) for path in Path(folder).glob(GLANCE_FOLDER)]
        self.size = measure_size(folder, self.cascade.reader.model.name_or_path, *copies)
        self.order = order_labels(self.cascade.localizer.model, labels)

    def predict(self, inputs: Sequence[Any], /) -> Probs:
        """The answers of the stages at which the inputs exit."""
        traces = self.cascade.follow(self._open(inputs), len(inputs))
        probs: Probs = torch.stack([trace.probs for trace in traces]).numpy()
        return probs[:, self.order]

    def count_work(self, inputs: Sequence[Any]) -> int:
        """Multiply-adds of all inputs together."""
        traces = self.cascade.follow(self._open(inputs))
        return sum(trace.multiply_adds for trace in traces)

    def share_exits(self, inputs: Sequence[Any]) -> dict[str, float]:
        """The share of the inputs that each stage answers, by the stage's name."""
        stages = [trace.stage for trace in self.cascade.follow(self._open(inputs))]
        names = enumerate(map(str, self.cascade.rule.stages))
        return {name: stages.count(stage) / len(stages) for stage, name in names}

    def _open(self, inputs: Sequence[Any]) -> list[Any]:
        check = self.cascade.localizer.check_input
        return [check(item, f"input {index}") for index, item in enumerate(inputs)]


def combine_steps(
    part: str,
    localize: Callable[[Any], Any],
    rate: Callable[[Any], Probs],
    choose: Callable[[Any], Any],
    classify: Callable[[Any], Probs],
    size: int | None = None,
) -> dict[str, Method]:
    """The two methods of a localizer and a classifier that reads what it selects.

    Args:
        part: What is selected, the name of the method that gives the classifier's answer alone;
            the other method averages the probabilities of both models.
        localize: Maps inputs to the localizer's view of them.
        rate: Maps this view to the localizer's probabilities.
        choose: Maps this view to what the classifier reads.
        classify: Maps this to the classifier's probabilities.
        size: Bytes of both models, if known.
    """
    first: dict[str, Callable[[Any], Any]] = {
        "localize": localize,
        "select": lambda view: (choose(view), rate(view)),
    }
    alone = {**first, "classify": lambda chosen: classify(chosen[0])}
    both = {**first, "classify": lambda chosen: (classify(chosen[0]) + chosen[1]) / 2}
    return {part: Steps(alone, size=size), f"{part}_and_localizer": Steps(both, size=size)}


def measure_size(*folders: str) -> int | None:
    """Bytes of the weights and tokenizers of stored models; `None` if one is not in a folder."""
    if not all(folder and Path(folder).is_dir() for folder in folders):
        return None
    return sum(
        path.stat().st_size
        for folder in folders
        for pattern in ("*.safetensors", "tokenizer.json")
        for path in Path(folder).glob(pattern)
    )


def parse_folders(classifiers: Sequence[str]) -> dict[str, str]:
    """Folders of classifiers by reading, from a list of reading=folder.

    Raises:
        ValueError: If one does not have this form, or no classifier reads full inputs.
    """
    folders = dict(item.split("=", 1) for item in classifiers if "=" in item)
    if len(folders) < len(classifiers) or FULL_READING not in folders:
        raise ValueError(
            "`classifiers` must be given as reading=folder, each reading once, the full one among "
            f"them, got {list(classifiers)}."
        )
    return folders


def find_resized(names: Iterable[str]) -> list[str]:
    """Those names of readings or methods that stand for whole images made small."""
    return [name for name in names if name.split("_")[0] == RESIZED]


def order_labels(model: Any, labels: Sequence[str]) -> list[int]:
    """For each label its index in the model's own order.

    Raises:
        ValueError: If the model has other labels.
    """
    own = label_names(model)
    if set(own) != set(labels):
        raise ValueError(
            f"a model has the labels {sorted(own)}, the set {sorted(labels)}; adapt a classifier "
            "to this set first."
        )
    return [own.index(label) for label in labels]


def to_probs(logits: Tensor, order: Sequence[int]) -> Probs:
    """Probabilities from logits, with the labels in this order."""
    probs: Probs = logits.float().softmax(dim=-1).numpy()[:, list(order)]
    return probs
