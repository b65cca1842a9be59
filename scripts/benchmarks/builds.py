"""`anchornet build` on small draws of several sets, beside a linear model of the same rows.

The build sees the drawn rows alone and holds out its own splits; what it ends with, and whether its
verdict was right, is then judged on the set's test split.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from datasets import Dataset

import hf_anchornet
from hf_anchornet.building.controls import answer_linearly
from hf_anchornet.building.measurement import measure_models, read_inputs
from hf_anchornet.building.verdict import AS_GOOD
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split, number_labels
from hf_anchornet.files import write_json
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.localizer import Localizer, load_localizer
from scripts.benchmarks.machine import describe_hardware
from scripts.options import parse_options

LINEAR, MAJORITY = "linear model", "majority"
AVERAGED = ("accuracy", "linear", "linear_all", "majority", "seconds")
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


def judge_build(
    data: DataOptions, rows: Dataset, test: Dataset, seed: int, classifier: str | None = None
) -> dict[str, Any]:
    """One build from some rows and the linear model, on the test rows.

    Args:
        data: Names of the columns.
        rows: The drawn rows, all that the build sees.
        test: Rows of the test split.
        seed: Seed of the build.
        classifier: See `BuildsOptions`.

    Returns:
        `accuracy` of what was built, of the linear model of the rows that it learned from as
        `linear`, and of one that learned from those that it held out too as `linear_all`;
        `majority`, always the most frequent label; `seconds` of the build; `answer`: "localizer"
        or "cascade", its `verdict` and whether it said `worth_it`, and whether it was `right`: that
        what was built is better, or is not, than `linear` and `majority`.
    """
    columns = {
        name: getattr(data, name) for name in ("text_column", "image_column", "label_column")
    }
    given = {} if classifier is None else {"classifier": classifier}
    with tempfile.TemporaryDirectory() as folder:
        source, target = (Path(folder) / name for name in ("rows", "built"))
        source.mkdir()
        rows.to_parquet(source / "train.parquet")
        started = time.perf_counter()
        report = hf_anchornet.build(source, target, seed=seed, **columns, **given)
        seconds = time.perf_counter() - started
        learned = target / "data" / source.name  # without the rows that the build held out
        test.to_parquet(learned / "test.parquet")
        measured = measure_models(
            DataOptions(str(learned), **columns), "test", len(test), target, None
        )
        linear_all = score_linearly(data, rows, test, load_localizer(target))
    answer, worth_it = measured["answer"], bool(report["verdict"]["worth_it"])
    scores = {name: row["accuracy"] for name, row in measured["compared"].items()}
    simplest = max(scores[LINEAR], scores[MAJORITY])
    return {
        "accuracy": scores[answer],
        "linear": scores[LINEAR],
        "linear_all": linear_all,
        "majority": scores[MAJORITY],
        "seconds": seconds,
        "answer": answer,
        "verdict": report["verdict"]["text"],
        "worth_it": worth_it,
        "right": worth_it == (scores[answer] > simplest + AS_GOOD),
    }


def score_linearly(data: DataOptions, rows: Dataset, test: Dataset, localizer: Localizer) -> float:
    """Accuracy on some rows of a linear model of others.

    Args:
        data: Names of the columns.
        rows: Rows to learn from.
        test: Rows to answer.
        localizer: What reads inputs and names labels.
    """
    learned, wanted = (read_inputs(localizer, part, data) for part in (rows, test))
    labels = label_names(localizer.model)
    targets, right = (number_labels(part, data.label_column, labels) for part in (rows, test))
    found, _ = answer_linearly(learned, targets, wanted)
    return float((found == np.asarray(right)).mean())


def average_draws(draws: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over draws of the accuracies and of the seconds."""
    return {name: mean(draw[name] for draw in draws) for name in AVERAGED}


def compare_builds(
    options: BuildsOptions, progress: Callable[[dict[str, Any]], None] = lambda report: None
) -> dict[str, Any]:
    """Builds and linear models on every draw of every set.

    Args:
        options: The sets.
        progress: Called with the report so far after each draw.

    Returns:
        `settings`, `hardware`, and in `sets` by name `num_rows`, `num_test_rows`, for each of the
        `draws` what `judge_build` returns, and their `mean`.
    """
    report: dict[str, Any] = {
        "settings": {name: value for name, value in asdict(options).items() if name != "sets"},
        "hardware": describe_hardware(),
        "sets": {},
    }
    for path, count in options.counts.items():
        data = DataOptions(path)
        inputs = data.input_column(detect_modality(data))
        train, test = (load_split(data, split, inputs) for split in (data.train_split, "test"))
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
            draws.append(judge_build(data, rows, test, seed, options.classifier))
            report["sets"][Path(path).name]["mean"] = average_draws(draws)
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
