"""`anchornet build` on small draws of several sets, beside a linear model that gets the same rows.

The build sees the drawn rows alone and holds out its own splits; what it ends with, and whether its
verdict was right, is then judged on the set's test split.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

import hf_anchornet
from hf_anchornet.building.controls import answer_linearly
from hf_anchornet.building.verdict import AS_GOOD
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split
from hf_anchornet.files import write_json
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_file import CASCADE_FILE
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.localizer import load_localizer
from scripts.benchmarks.machine import describe_hardware
from scripts.options import parse_options

BATCH_SIZE = 32
SEED = 1000
"""Seed of the test rows, apart from those of the draws."""


@dataclass
class BuildsOptions:
    """Options of the comparison.

    Attributes:
        sets: Sources and the training rows to draw of each, as path=rows.
        draws: Draws of each.
        test_rows: Most rows of a test split, always the same.
        classifier: Folder or Hub id of an encoder or classifier for `anchornet build`; by default
            a localizer alone is built.
        output: JSON file to write; sets of an earlier run stay in it.
    """

    sets: list[str]
    draws: int = 3
    test_rows: int = 2000
    classifier: str | None = None
    output: str = "results/builds.json"

    def __post_init__(self) -> None:
        """Check the numbers of rows."""
        self.counts: dict[str, int] = {}
        for item in self.sets:
            path, _, count = item.rpartition("=")
            if not path or not count.isdigit() or int(count) < 1:
                raise ValueError(f"`sets` must be given as path=rows, got {item!r}.")
            self.counts[path] = int(count)


@dataclass(frozen=True)
class Task:
    """Rows to learn from and rows to judge by.

    Attributes:
        data: Names of the columns, and the source.
        rows: The drawn rows.
        test: Rows of the test split.
        options: Options of the comparison.
    """

    data: DataOptions
    rows: Dataset
    test: Dataset
    options: BuildsOptions

    @property
    def column(self) -> str:
        """Column of the texts or images."""
        texts = detect_modality(self.data) == "text"
        return self.data.text_column if texts else self.data.image_column

    def open_inputs(self, rows: Dataset) -> list[Any]:
        """Texts, or decoded pictures."""
        if self.column == self.data.text_column:
            return list(rows[self.column])
        pictures = open_pictures(rows, self.data)
        return [pictures[row]["pixel_values"] for row in range(len(rows))]


def judge_build(task: Task, seed: int) -> dict[str, Any]:
    """One build and the linear model, on the test rows.

    Returns:
        `accuracy` of what was built and of the linear model as `linear`, `seconds` of the build,
        `answer`: "localizer" or "cascade", its `verdict` and whether it said `worth_it`, and
        whether it was `right`: that what was built is better, or is not, than the linear model.
    """
    names = [str(label) for label in task.rows[task.data.label_column]]
    right = np.array([str(label) for label in task.test[task.data.label_column]])
    known = sorted(set(names))
    asked = task.open_inputs(task.test)
    numbers = [known.index(name) for name in names]
    linear = answer_linearly(task.open_inputs(task.rows), numbers, asked, seed).labels
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "data", Path(folder) / "built"
        source.mkdir()
        task.rows.to_parquet(source / "train.parquet")
        started = time.perf_counter()
        report = hf_anchornet.build(
            source,
            target,
            seed=seed,
            text_column=task.data.text_column,
            image_column=task.data.image_column,
            label_column=task.data.label_column,
            **({} if task.options.classifier is None else {"classifier": task.options.classifier}),
        )
        seconds = time.perf_counter() - started
        found = answer_all(target, asked)
    ours, theirs = float((found == right).mean()), float((np.array(known)[linear] == right).mean())
    worth_it = bool(report["verdict"]["worth_it"])
    return {
        "accuracy": ours,
        "linear": theirs,
        "seconds": seconds,
        "answer": report["measured"]["answer"],
        "verdict": report["verdict"]["text"],
        "worth_it": worth_it,
        "right": worth_it == (ours > theirs + AS_GOOD),
    }


def answer_all(folder: Path, inputs: Sequence[Any]) -> Any:
    """The labels, by name, that a built folder gives: (inputs,)."""
    if (folder / CASCADE_FILE).exists():
        answers = Cascade.from_pretrained(folder)(list(inputs))
        return np.array([answer["label"] for answer in answers])
    localizer = load_localizer(folder)
    names, found = np.array(label_names(localizer.model)), list[int]()
    for start in range(0, len(inputs), BATCH_SIZE):
        batch = [
            localizer.check_input(item, "an input") for item in inputs[start : start + BATCH_SIZE]
        ]
        found += localizer.read(batch).logits.argmax(dim=-1).tolist()
    return names[found]


def compare_builds(
    options: BuildsOptions, progress: Callable[[dict[str, Any]], None] = lambda report: None
) -> dict[str, Any]:
    """Builds and linear models on every draw of every set.

    Args:
        options: The sets.
        progress: Called with the report so far after each draw.

    Returns:
        `settings`, `hardware`, and in `sets` by name `num_rows`, `num_test_rows` and for each of
        the `draws` what `judge_build` returns.
    """
    report: dict[str, Any] = {
        "settings": asdict(options),
        "hardware": describe_hardware(),
        "sets": {},
    }
    for path, count in options.counts.items():
        data = DataOptions(path)
        train, test = (load_split(data, split) for split in (data.train_split, "test"))
        if len(test) > options.test_rows:
            test = test.shuffle(seed=SEED).select(range(options.test_rows))
        num_rows = min(count, len(train))
        draws: list[dict[str, Any]] = []
        report["sets"][Path(path).name] = {
            "num_rows": num_rows,
            "num_test_rows": len(test),
            "draws": draws,
        }
        for seed in range(options.draws):
            rows = train.shuffle(seed=seed).select(range(num_rows))
            draws.append(judge_build(Task(data, rows, test, options), seed))
            progress(report)
    return report


def main() -> None:
    """Parse the options, compare, write, print."""
    (options,) = parse_options(BuildsOptions, description=__doc__)
    output = Path(options.output)
    before = json.loads(output.read_text("utf-8"))["sets"] if output.exists() else {}

    def save(report: dict[str, Any]) -> None:
        write_json(output, report | {"sets": before | report["sets"]})
        name, entry = list(report["sets"].items())[-1]
        print(name, json.dumps(entry["draws"][-1]), flush=True)

    compare_builds(options, save)


if __name__ == "__main__":
    main()
