"""`anchornet serve` under load on loopback: requests a second, latencies, memory."""

import asyncio
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow.parquet as pq

from hf_anchornet.files import write_json
from hf_anchornet.registration import SAMPLE_REVIEW
from scripts.benchmarks.machine import describe_hardware, find_free_port
from scripts.options import parse_options

START_SECONDS = 180
"""Time limit for a server to load its models."""

MODES = {"batched": [], "one_by_one": ["--max-batch-size", "1", "--max-wait-ms", "0"]}
"""Options of the server by their name in the report."""


@dataclass
class ServingBenchmark:
    """Options of the benchmark.

    Attributes:
        dataset: Parquet file with a column `text`; default: sentences of the shipped review, in
            texts as long as reviews.
        localizer: Folder or Hub id of the text localizer; "default": the shipped one.
        clients: Numbers of clients that each send one request after the other.
        seconds: Sending time of each number of clients, with batches and the same without.
        turns: Parts of this time, in which both servers alternate: other work slows both.
        warm_up_seconds: Use of each server before anything is measured.
        long_seconds: Length of the last run, in which memory is watched; 0: no such run.
        long_clients: Clients of the last run.
        threads: Threads of torch.
        output: JSON file to write.
        note: A remark for the report, for example on other work of the machine.
    """

    dataset: str | None = None
    localizer: str = "default"
    clients: list[int] = field(default_factory=lambda: [1, 8, 32])
    seconds: float = 30.0
    turns: int = 6
    warm_up_seconds: float = 15.0
    long_seconds: float = 600.0
    long_clients: int = 8
    threads: int = 1
    output: str = "results/serving.json"
    note: str = ""


@dataclass
class Load:
    """Measurements of the clients.

    Attributes:
        seconds: Time during which they sent.
        latencies: Seconds of each answered request.
        errors: Counts of failed requests by status or name of the exception.
    """

    seconds: float
    latencies: list[float]
    errors: Counter[str]

    def add(self, other: "Load") -> None:
        """Add the measurements of another time."""
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.errors += other.errors

    def describe(self) -> dict[str, Any]:
        """Numbers for the report; latencies in milliseconds.

        Raises:
            RuntimeError: If no request was answered.
        """
        if not self.latencies:
            raise RuntimeError(
                f"the server must answer some requests, got {dict(self.errors)}; see its output."
            )
        waits = 1000 * np.array(self.latencies)
        return {
            "requests": len(self.latencies),
            "requests_per_second": len(self.latencies) / self.seconds,
            "p50_ms": float(np.percentile(waits, 50)),
            "p99_ms": float(np.percentile(waits, 99)),
            "max_ms": float(waits.max()),
            "errors": dict(self.errors),
        }


def read_texts(dataset: str | None, number: int = 2000) -> list[str]:
    """At most `number` texts to send; see `ServingBenchmark.dataset`."""
    if dataset is not None:
        texts: list[str] = pq.read_table(dataset, columns=["text"])["text"].to_pylist()
        return random.Random(0).sample(texts, min(number, len(texts)))
    sentences = re.split(r"(?<=[.!?])\s+", SAMPLE_REVIEW.read_text("utf-8").strip())
    draw = random.Random(0)
    made = []
    for _ in range(number):
        # Characters of IMDb's reviews: median 980, one in twenty above 3,400.
        length = int(draw.lognormvariate(np.log(980), 0.7))
        drawn = draw.choices(sentences, k=1 + length // min(map(len, sentences)))
        made.append(" ".join(drawn)[:length])
    return made


@contextmanager
def running_server(command: Sequence[str]) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of a server that is ready, until the context ends.

    Args:
        command: Command line of the server, without its port.

    Raises:
        RuntimeError: If the server exits or is not ready in time.
    """
    port = find_free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([*command, "--port", str(port)])
    try:
        _wait_until_ready(address, process)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.TransportError):  # it does not listen yet
            if httpx.get(f"{address}/ready").status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(
        f"the server must be ready within {START_SECONDS} seconds, got exit code "
        f"{process.poll()}; see what it wrote above."
    )


async def send_load(address: str, texts: Sequence[str], clients: int, seconds: float) -> Load:
    """Measurements of clients that each send the next text once the last is answered.

    Args:
        address: Address of the server.
        texts: Texts to send in turn, over and over.
        clients: Number of clients.
        seconds: Time after which no request is started.
    """
    load = Load(seconds, [], Counter())
    numbers = count()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=120) as session:
        started = time.perf_counter()

        async def send() -> None:
            while time.perf_counter() < started + seconds:
                text = texts[next(numbers) % len(texts)]
                sent = time.perf_counter()
                try:
                    reply = await session.post("/spans", json={"text": text})
                except httpx.HTTPError as error:
                    load.errors[type(error).__name__] += 1
                    continue
                if reply.status_code == 200:
                    load.latencies.append(time.perf_counter() - sent)
                else:
                    load.errors[str(reply.status_code)] += 1

        await asyncio.gather(*(send() for _ in range(clients)))
        load.seconds = time.perf_counter() - started
    return load


def benchmark_serving(
    options: ServingBenchmark, show: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Requests a second, latencies and memory of a server, ready for JSON.

    Two servers run, one with batches and one without; one of them is under load at a time.

    Args:
        options: Options of the benchmark.
        show: Called with the numbers of each finished run.
    """
    texts = read_texts(options.dataset)
    lengths = np.percentile([len(text) for text in texts], [5, 50, 95])
    report: dict[str, Any] = {"characters_5_50_95": lengths.tolist(), "runs": []}
    command = [sys.executable, "-m", "hf_anchornet", "serve", "--image-localizer", "none"]
    command += ["--text-localizer", options.localizer, "--threads", str(options.threads)]
    with (
        running_server([*command, *MODES["batched"]]) as (batched, process),
        running_server([*command, *MODES["one_by_one"]]) as (one_by_one, _),
    ):
        for address in (batched, one_by_one):
            asyncio.run(send_load(address, texts, max(options.clients), options.warm_up_seconds))
        addresses = dict(zip(MODES, (batched, one_by_one), strict=True))
        for clients in options.clients:
            for run in _compare(addresses, texts, clients, options):
                report["runs"].append(run)
                show(run)
        if options.long_seconds:
            report["long_run"] = asyncio.run(_watch(batched, process, texts, options))
            show(report["long_run"])
    return report


def _compare(
    addresses: Mapping[str, str], texts: Sequence[str], clients: int, options: ServingBenchmark
) -> list[dict[str, Any]]:
    """The numbers of each server under the same load, in turns."""
    before = {mode: _count(address) for mode, address in addresses.items()}
    loads = {mode: Load(0.0, [], Counter()) for mode in addresses}
    for _ in range(options.turns):
        for mode, address in addresses.items():
            seconds = options.seconds / options.turns
            loads[mode].add(asyncio.run(send_load(address, texts, clients, seconds)))
    runs = []
    for mode, address in addresses.items():
        answered, calls = (np.array(_count(address)) - before[mode]).tolist()
        run = {"mode": mode, "clients": clients, "texts_per_call": answered / calls}
        runs.append(run | loads[mode].describe())
    return runs


def _count(address: str) -> tuple[int, int]:
    """Texts answered so far, and calls of the model for them."""
    state = httpx.get(f"{address}/ready").json()["spans"]
    return state["answered"], state["calls"]


async def _watch(
    address: str, process: psutil.Process, texts: Sequence[str], options: ServingBenchmark
) -> dict[str, Any]:
    """The numbers of a long run, with the server's resident memory sampled every second."""
    samples: list[tuple[float, float]] = []

    async def sample() -> None:
        started = time.perf_counter()
        while True:
            passed = time.perf_counter() - started
            samples.append((passed, process.memory_info().rss / 2**20))
            await asyncio.sleep(1)

    sampling = asyncio.create_task(sample())
    load = await send_load(address, texts, options.long_clients, options.long_seconds)
    sampling.cancel()
    with suppress(asyncio.CancelledError):
        await sampling  # which raises if the server is gone
    run = {"clients": options.long_clients, "seconds": load.seconds, **load.describe()}
    return run | {"memory": describe_memory(samples)}


def describe_memory(samples: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Memory over time in MiB, and its slope by least squares after it has settled.

    Args:
        samples: Seconds since the start and MiB, at least three; memory counts as settled after
            a minute, or after a quarter of a shorter run.
    """
    seconds, mib = np.array(samples).T
    settled = min(60.0, seconds[-1] / 4)
    late = seconds >= settled
    slope = np.polyfit(seconds[late] / 3600, mib[late], 1)[0]
    return {
        "start_mib": float(mib[0]),
        "settled_after_seconds": float(settled),
        "settled_mib": float(mib[late][0]),
        "end_mib": float(mib[-1]),
        "peak_mib": float(mib.max()),
        "slope_mib_per_hour": float(slope),
    }


def main() -> None:
    """Parse the options, measure, write; each run is printed once it is done."""
    (options,) = parse_options(ServingBenchmark, description=__doc__)
    settings = asdict(options)
    report = {"hardware": describe_hardware(), "note": settings.pop("note"), "settings": settings}
    write_json(Path(options.output), report | benchmark_serving(options, print))


if __name__ == "__main__":
    main()
