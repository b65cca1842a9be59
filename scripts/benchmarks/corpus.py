"""`anchornet localize --input` against a loop of one text a call: seconds, answers, growth."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf_anchornet.files import write_json
from scripts.benchmarks.machine import describe_hardware
from scripts.benchmarks.timing import time_process
from scripts.options import parse_options

TOLERANCE = 1e-4  # relative; texts read together are padded, which changes the last bits
NUM_SHARDS = 4

LOOP = """
import json, sys
import pyarrow.parquet as pq
from transformers import pipeline
import hf_anchornet
source, target, model = sys.argv[1:]
localize = pipeline("span-localization", model=model, device="cpu")
answers = [localize(text) for text in pq.read_table(source)["text"].to_pylist()]
with open(target, "w") as stream:
    json.dump(answers, stream)
"""
"""The program of a user who does not know about batches."""


@dataclass
class CorpusBenchmark:
    """Options of the benchmark.

    Attributes:
        dataset: Parquet file with a column `text`, repeated if it is too short.
        localizer: Folder or Hub id.
        num_rows: Rows of the corpora; answers to the last one are compared with the loop's.
        lengths: Characters a text, of the corpora that show growth with length.
        length_rows: Rows of these corpora.
        workers: Numbers of processes.
        batch_size: Texts in one forward pass.
        rounds: Runs of each job, in turn with the others.
        output: JSON file to write; the picture gets the same name and ends in .png.
    """

    dataset: str
    localizer: str = "hf_anchornet/default/text_localizer"
    num_rows: list[int] = field(default_factory=lambda: [500, 1000, 2000, 4000])
    lengths: list[int] = field(default_factory=lambda: [500, 2000, 8000, 32000])
    length_rows: int = 400
    workers: list[int] = field(default_factory=lambda: [1, 2])
    batch_size: int = 32
    rounds: int = 3
    output: str = "results/corpus.json"


def write_rows(options: CorpusBenchmark, folder: Path) -> dict[str, Path]:
    """Write the corpora below `folder`; the folders of their shards by name."""
    held: list[str] = pq.read_table(options.dataset, columns=["text"])["text"].to_pylist()

    def write(name: str, texts: Sequence[str]) -> Path:
        place = folder / name
        place.mkdir()
        for number in range(NUM_SHARDS):
            part = texts[number::NUM_SHARDS]
            pq.write_table(pa.table({"text": part}), place / f"{number}.parquet")
        return place

    def take(count: int) -> list[str]:
        return [held[i % len(held)] for i in range(count)]

    long = "\n".join(held)
    made = {f"rows_{count}": write(f"rows_{count}", take(count)) for count in options.num_rows}
    for length in options.lengths:
        starts = [i * length % (len(long) - length) for i in range(options.length_rows)]
        texts = [long[start : start + length] for start in starts]
        made[f"length_{length}"] = write(f"length_{length}", texts)
    return made


def benchmark_corpus(
    options: CorpusBenchmark, corpora: Mapping[str, Path], folder: Path
) -> dict[str, Any]:
    """Clock seconds of whole processes, loading included, with one thread of torch in each.

    Args:
        options: Options of the benchmark.
        corpora: From `write_rows`.
        folder: Folder for the answers.

    Returns:
        `rows`: for each number of rows and of workers, 0 for the loop, the `seconds` of every
        round; `lengths`: the same for one worker and each number of characters; `times_faster`:
        see `compare_with_loop`; `differing_rows`: number of answers to the largest corpus that
        differ from those of the loop.
    """
    seconds: dict[tuple[str, int], list[float]] = {}
    answers, loop = folder / "answers", folder / "loop.json"
    for _ in range(options.rounds):
        for count in options.num_rows:
            corpus = corpora[f"rows_{count}"]
            program = ["-c", LOOP, str(corpus), str(loop), options.localizer]
            seconds.setdefault((f"rows_{count}", 0), []).append(_time(program))
            for workers in options.workers:
                found = _time_job(options, corpus, answers, workers)
                seconds.setdefault((f"rows_{count}", workers), []).append(found)
        # The loop and the last job have just read the largest corpus.
        expected = json.loads(loop.read_text("utf-8"))
        differing = count_differing(expected, pq.read_table(answers).to_pylist())
        for length in options.lengths:
            name = f"length_{length}"
            found = _time_job(options, corpora[name], answers, 1)
            seconds.setdefault((name, 1), []).append(found)
    runs: dict[str, list[dict[str, Any]]] = {"rows": [], "length": []}
    for (name, workers), rounds in seconds.items():
        kind, _, size = name.partition("_")
        runs[kind].append({kind: int(size), "workers": workers, "seconds": rounds})
    return {
        "rows": runs["rows"],
        "lengths": runs["length"],
        "times_faster": compare_with_loop(runs["rows"]),
        "differing_rows": differing,
    }


def _time(argv: Sequence[str]) -> float:
    """Clock seconds of a Python process with one thread."""
    return time_process(argv, OMP_NUM_THREADS="1")[1]


def _time_job(options: CorpusBenchmark, corpus: Path, answers: Path, workers: int) -> float:
    """Seconds of one job, whose answers replace those of the job before."""
    shutil.rmtree(answers, ignore_errors=True)
    argv = ["-m", "hf_anchornet", "localize", "--input", f"{corpus}/*.parquet"]
    argv += ["--output", str(answers), "--model", options.localizer, "--device", "cpu"]
    argv += ["--num-workers", str(workers), "--batch-size", str(options.batch_size)]
    return _time(argv)


def compare_with_loop(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """How many times faster than the loop each number of workers is.

    Args:
        runs: With `rows`, `workers`, 0 for the loop, and `seconds`.

    Returns:
        For each number of `workers`, from medians: `whole`, the ratio for the largest corpus with
        loading; and, if there are several sizes, `without_loading`, the ratio of the time that the
        largest takes beyond the smallest.
    """
    least, most = (pick(run["rows"] for run in runs) for pick in (min, max))
    took = {(run["rows"], run["workers"]): median(run["seconds"]) for run in runs}
    compared = []
    for workers in sorted({run["workers"] for run in runs} - {0}):
        ratios = {"workers": workers, "whole": took[most, 0] / took[most, workers]}
        if most > least:
            loop, job = (took[most, who] - took[least, who] for who in (0, workers))
            ratios["without_loading"] = loop / job
        compared.append(ratios)
    return compared


def count_differing(
    expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> int:
    """Rows whose answers differ by more than rounding; `cost` is not compared."""

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float):
            return isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-6)
        if isinstance(one, list):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict):
            return all(same(one[key], other[key]) for key in one if key != "cost")
        return bool(one == other)

    return sum(not same(*pair) for pair in zip(expected, found, strict=True))


def plot_growth(report: Mapping[str, Any], path: str | Path) -> None:
    """Draw seconds against rows, for the loop and the workers, and against characters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    by_rows, by_length = figure.subplots(1, 2)
    for workers in sorted({run["workers"] for run in report["rows"]}):
        runs = [run for run in report["rows"] if run["workers"] == workers]
        label = f"{workers} workers" if workers else "loop, a text a call"
        places = [[run["rows"] for run in runs], [median(run["seconds"]) for run in runs]]
        by_rows.plot(*places, marker="o", label="1 worker" if workers == 1 else label)
    by_rows.set(xlabel="rows", ylabel="seconds, loading included", ylim=(0, None))
    by_rows.legend()
    lengths = [run["length"] for run in report["lengths"]]
    by_length.plot(lengths, [median(run["seconds"]) for run in report["lengths"]], marker="o")
    by_length.set(xlabel="characters a text", ylabel="seconds, 1 worker", ylim=(0, None))
    for axes in (by_rows, by_length):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Parse the options, measure, write, print."""
    (options,) = parse_options(CorpusBenchmark, description=__doc__)
    with tempfile.TemporaryDirectory(prefix="corpus_") as folder:
        corpora = write_rows(options, Path(folder))
        report = benchmark_corpus(options, corpora, Path(folder))
    report |= {"hardware": describe_hardware(), "options": asdict(options)}
    output = Path(options.output)
    write_json(output, report)
    plot_growth(report, output.with_suffix(".png"))
    for run in report["rows"]:
        print(run)
    print({name: report[name] for name in ("times_faster", "differing_rows")})


if __name__ == "__main__":
    main()
