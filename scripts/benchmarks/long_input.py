"""Memory and time of the two pipelines as texts and pictures grow, each in a fresh process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from transformers import AutoTokenizer

from hf_anchornet.files import write_json
from hf_anchornet.registration import SAMPLE_IMAGE
from scripts.benchmarks.machine import describe_hardware
from scripts.options import parse_options

PROGRAM = """
import json, sys, time
from pathlib import Path
import torch
from PIL import Image
from transformers import pipeline
import hf_anchornet

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

torch.set_num_threads(1)
kind, source, model = sys.argv[1:]
Image.MAX_IMAGE_PIXELS = None  # the picture is our own
if kind == "text":
    localize = pipeline("span-localization", model=model, device="cpu")
    localize("A first short text, so that all is loaded. " * 20)
else:
    localize = pipeline("patch-localization", model=model, device="cpu", full_resolution=True)
    localize(Image.new("RGB", (300, 200)))
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
baseline, started = resident("VmHWM"), time.process_time()
answer = localize(Path(source).read_text("utf-8") if kind == "text" else source)
seconds, peak = time.process_time() - started, resident("VmHWM")
print(json.dumps({
    "baseline_bytes": baseline, "peak_bytes": peak - baseline, "seconds": seconds,
    "units": next(iter(answer["cost"].values())), "label": answer["label"],
    "patches": len(answer.get("spans", answer.get("patches"))),
}))
"""
"""The program of a fresh process; the peak is that of the input and of the work on it."""


@dataclass
class LongInputBenchmark:
    """Options of the benchmark.

    Attributes:
        text_localizer: Folder or Hub id.
        image_localizer: Folder or Hub id.
        text_tokens: Lengths of the texts, rising.
        image_sides: Sides of the square pictures in pixels, rising.
        rounds: Measurements of each size but the largest; medians count.
        output: JSON file to write; the picture gets the same name and ends in .png.
    """

    text_localizer: str = "hf_anchornet/default/text_localizer"
    image_localizer: str = "hf_anchornet/default/image_localizer"
    text_tokens: list[int] = field(
        default_factory=lambda: [10_000, 30_000, 100_000, 300_000, 1_000_000]
    )
    image_sides: list[int] = field(default_factory=lambda: [1_000, 2_000, 5_000, 10_000, 20_000])
    rounds: int = 3
    output: str = "results/long_input.json"

    def validate(self) -> None:
        """Check the options.

        Raises:
            ValueError: if there are fewer than two sizes, they do not rise or `rounds` is below 1.
        """
        for name in ("text_tokens", "image_sides"):
            sizes = getattr(self, name)
            if len(sizes) < 2 or sorted(set(sizes)) != sizes or sizes[0] < 1:
                raise ValueError(
                    f"`{name}` must be two or more rising sizes, got {sizes}; sort them."
                )
        if self.rounds < 1:
            raise ValueError(f"`rounds` must be at least 1, got {self.rounds}; give 1 or more.")


def write_text(path: Path, tokens: int, localizer: str, seed: int = 0) -> None:
    """Write a text of `tokens` words that are one token each, with full stops among them."""
    tokenizer: Any = AutoTokenizer.from_pretrained(localizer)
    words = [word for word in tokenizer.get_vocab() if word.isascii() and word.isalpha()]
    vocabulary = [*sorted(word for word in words if word == word.lower()), "."]
    draws = np.random.default_rng(seed).integers(0, len(vocabulary), tokens)
    path.write_text(" ".join(vocabulary[draw] for draw in draws.tolist()), "utf-8")


def write_picture(path: Path, side: int, seed: int = 0) -> None:
    """Write a square PNG: turned copies of the sample in random order."""
    with Image.open(SAMPLE_IMAGE) as opened:
        sample = opened.convert("RGB").resize((256, 256))
    turns = [np.asarray(sample.rotate(angle)) for angle in range(0, 360, 15)]
    draw = np.random.default_rng(seed)
    across = -(-side // 256)
    bands = [
        np.concatenate([turns[place] for place in draw.integers(0, len(turns), across)], axis=1)
        for _ in range(across)
    ]
    pixels = np.concatenate(bands)[:side, :side]
    # Uncompressed, the largest pictures would be above the limit of a file.
    Image.fromarray(pixels).save(path, "PNG", compress_level=1)


def measure_input(kind: str, source: Path, model: str) -> dict[str, Any]:
    """Memory and time that a fresh process of one thread needs for one input.

    Args:
        kind: "text" or "image".
        source: File of the input.
        model: Folder or Hub id of the localizer.

    Raises:
        RuntimeError: if the process fails.
    """
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, kind, str(source), model]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring {source} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def benchmark_long_input(options: LongInputBenchmark) -> dict[str, Any]:
    """Memory and time for each size of text and picture, and their growth."""
    options.validate()
    report: dict[str, Any] = {"hardware": describe_hardware(), "threads": 1}
    for kind, sizes, model in (
        ("text", options.text_tokens, options.text_localizer),
        ("image", options.image_sides, options.image_localizer),
    ):
        rows = []
        for size in sizes:
            rounds = 1 if size == sizes[-1] else options.rounds
            rows.append(_measure_size(kind, size, model, rounds))
        report[kind] = {"model": model, "sizes": rows, **summarize_growth(rows)}
    return report


def _measure_size(kind: str, size: int, model: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / ("input.txt" if kind == "text" else "input.png")
        if kind == "text":
            write_text(source, size, model)
            input_bytes = source.stat().st_size  # ASCII: as many in memory
        else:
            write_picture(source, size)
            input_bytes = 4 * size * size  # as Pillow holds RGB
        found = [measure_input(kind, source, model) for _ in range(rounds)]
    middle = {
        name: median(row[name] for row in found)
        for name in ("baseline_bytes", "peak_bytes", "seconds")
    }
    return {"size": size, "input_bytes": input_bytes, "rounds": rounds, **found[0], **middle}


def summarize_growth(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Growth of time and memory from the smallest input to the largest.

    Args:
        rows: One a size, rising, with `units`, `input_bytes`, `baseline_bytes`, `peak_bytes` and
            `seconds`.

    Returns:
        `time_slope`: exponent of the time, fitted through all sizes in logarithms (1: linear);
        `work_bytes`: memory for the largest input above the loaded model, without the input
        itself; `memory_ratio`: `work_bytes` over the memory for the smallest input above the
        loaded model, input included; `process_ratio`: the same for whole processes, the loaded
        model included.
    """
    units, seconds = ([float(row[name]) for row in rows] for name in ("units", "seconds"))
    slope = np.polyfit(np.log(units), np.log(seconds), 1)[0]
    work = rows[-1]["peak_bytes"] - rows[-1]["input_bytes"]
    bases = [row["baseline_bytes"] for row in rows]
    return {
        "time_slope": float(slope),
        "work_bytes": float(work),
        "memory_ratio": float(work / rows[0]["peak_bytes"]),
        "process_ratio": float((bases[-1] + work) / (bases[0] + rows[0]["peak_bytes"])),
    }


def plot_long_input(report: Mapping[str, Any], path: str | Path) -> None:
    """Draw memory and time against the size of the input, on logarithmic axes, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    memory, time = figure.subplots(1, 2)
    for kind, marker, unit in (("text", "o", "tokens"), ("image", "s", "pixels")):
        rows = report[kind]["sizes"]
        units = [row["units"] for row in rows]
        peaks, inputs = ([row[f"{n}_bytes"] / 2**20 for row in rows] for n in ("peak", "input"))
        besides = [peak - size for peak, size in zip(peaks, inputs, strict=True)]
        memory.loglog(units, besides, marker=marker, label=f"{kind}: besides the input")
        memory.loglog(units, inputs, ":", color="grey", label=f"{kind}: the input itself")
        slope = report[kind]["time_slope"]
        seconds = [row["seconds"] for row in rows]
        label = f"{kind} ({unit}): slope {slope:.2f}"
        time.loglog(units, seconds, marker=marker, label=label)
    for axes, title in ((memory, "peak memory above the loaded model, MB"), (time, "seconds")):
        axes.set(xlabel="tokens or pixels", title=title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"{report['hardware']}, 1 thread", fontsize=9)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Parse the options, measure, write, print."""
    (options,) = parse_options(LongInputBenchmark, description=__doc__)
    report = benchmark_long_input(options)
    output = Path(options.output)
    write_json(output, report)
    plot_long_input(report, output.with_suffix(".png"))
    for kind in ("text", "image"):
        names = ("time_slope", "memory_ratio", "process_ratio")
        print(kind, {name: report[kind][name] for name in names})


if __name__ == "__main__":
    main()
