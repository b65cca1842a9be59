"""The shipped localizers by each backend: milliseconds, and differences from eager logits."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hf_anchornet.files import write_json
from hf_anchornet.model.backend import BACKENDS, EAGER
from hf_anchornet.model.localizer import load_localizer
from hf_anchornet.registration import (
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_LOCALIZER,
    SAMPLE_IMAGE,
    SAMPLE_REVIEW,
)
from scripts.benchmarks.timing import compare_times, time_interleaved
from scripts.options import parse_options


@dataclass
class BackendBenchmark:
    """Options of the benchmark.

    Attributes:
        text_localizer: Folder or Hub id.
        image_localizer: Folder or Hub id.
        text: File with the text to read.
        image: File with the picture to read.
        tokens: Length of the text, which is repeated or cut.
        batch_sizes: Numbers of equal inputs in one forward pass.
        rounds: Runs of each backend, in turn with the others.
        note: A remark on the machine for the report.
        output: JSON file to write.
    """

    text_localizer: str = str(DEFAULT_TEXT_LOCALIZER)
    image_localizer: str = str(DEFAULT_IMAGE_LOCALIZER)
    text: str = str(SAMPLE_REVIEW)
    image: str = str(SAMPLE_IMAGE)
    tokens: int = 256
    batch_sizes: list[int] = field(default_factory=lambda: [1, 8])
    rounds: int = 20
    note: str = ""
    output: str = "results/backends.json"


def benchmark_backends(options: BackendBenchmark) -> dict[str, Any]:
    """Time of each localizer by each backend, ready for JSON.

    Processor seconds of one thread, of the network alone: without tokenizer, image processor and
    selection.

    Returns:
        For `text` and `image`: the `shape` of an input; for each backend `start_seconds`, by the
        clock, to load, export or compile it for all batch sizes; and under `batches` the batch
        size, milliseconds an input, the ratio to the time of eager (median, minimum, maximum over
        the rounds) and the largest difference from eager logits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            "text": _benchmark(options.text_localizer, _make_text(options), options),
            "image": _benchmark(options.image_localizer, _make_image(options), options),
        }
    finally:
        torch.set_num_threads(before)


def _make_text(options: BackendBenchmark) -> tuple[Tensor, Tensor]:
    """Tokens and mask of one text: (1, tokens)."""
    tokenizer = load_localizer(options.text_localizer).tokenizer  # type: ignore[attr-defined]
    text = Path(options.text).read_text("utf-8")
    (ids,) = tokenizer([text], add_special_tokens=False, verbose=False)["input_ids"]
    row = torch.tensor([ids]).repeat(1, options.tokens // len(ids) + 1)[:, : options.tokens]
    return row, torch.ones_like(row)


def _make_image(options: BackendBenchmark) -> tuple[Tensor, Tensor]:
    """Pixels and mask of one picture: (1, channels, height, width), (1, height, width)."""
    processor = load_localizer(options.image_localizer).processor
    with Image.open(options.image) as picture:
        batch = processor(picture.convert("RGB"), return_tensors="pt")
    return batch["pixel_values"], batch["pixel_mask"]


@torch.no_grad()
def _benchmark(
    source: str, inputs: tuple[Tensor, Tensor], options: BackendBenchmark
) -> dict[str, Any]:
    """The numbers of one localizer; `inputs` are one text or image and its mask."""
    batches = {
        size: tuple(one.repeat(size, *[1] * (one.ndim - 1)) for one in inputs)
        for size in options.batch_sizes
    }
    networks, start_seconds = {}, {}
    for backend in BACKENDS:
        started = time.perf_counter()
        networks[backend] = load_localizer(source, backend=backend).network  # type: ignore[attr-defined]
        for batch in batches.values():
            networks[backend](*batch, output_evidence=True)
        start_seconds[backend] = time.perf_counter() - started
    return {
        "shape": list(inputs[0].shape[1:]),
        "start_seconds": start_seconds,
        "batches": [
            {"batch_size": size, **_time_networks(networks, batch, options.rounds)}
            for size, batch in batches.items()
        ],
    }


def _time_networks(
    networks: Mapping[str, Any], batch: tuple[Tensor, ...], rounds: int
) -> dict[str, Any]:
    """Milliseconds, ratio to eager and difference from eager of each network."""
    functions = {
        name: partial(network, *batch, output_evidence=True) for name, network in networks.items()
    }
    seconds = time_interleaved(functions, rounds)
    logits = {name: function().logits for name, function in functions.items()}
    return {
        name: {
            "milliseconds": 1000 * median(seconds[name]) / len(batch[0]),
            "ratio": compare_times(seconds[name], seconds[EAGER]),
            "largest_difference": float((logits[name] - logits[EAGER]).abs().max()),
        }
        for name in networks
    }


def main() -> None:
    """Parse the options, measure, write."""
    (options,) = parse_options(BackendBenchmark, description=__doc__)
    report = {"note": options.note, "rounds": options.rounds} | benchmark_backends(options)
    write_json(Path(options.output), report)


if __name__ == "__main__":
    main()
