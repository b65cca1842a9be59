"""`anchornet serve` beside hostile clients: waits, memory, honest answers, time to stop."""

import asyncio
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from hf_anchornet.files import write_json
from hf_anchornet.registration import SAMPLE_IMAGE, SAMPLE_REVIEW
from scripts.benchmarks.hostile_pictures import MAKERS
from scripts.benchmarks.machine import describe_hardware
from scripts.benchmarks.serving import running_server
from scripts.options import parse_options

IMAGE = {"Content-Type": "image/jpeg"}
SLOW_HEAD = (
    b"POST /spans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
TEXTS = {
    "no_blanks": "a" * 100_000,
    "many_tokens": "! " * 50_000,
    "many_tokens_just_allowed": "! " * 29_000,
}


@dataclass
class HostileBenchmark:
    """Options of the benchmark.

    Attributes:
        seconds: Time for which each kind of hostile input is sent.
        attackers: Clients that send it, each one request after the other.
        slow_bodies: Connections with a body that never ends.
        honest_requests: Honest requests beside them.
        output: JSON file to write.
        note: A remark for the report, for example on other work of the machine.
    """

    seconds: float = 4.0
    attackers: int = 2
    slow_bodies: int = 140
    honest_requests: int = 100
    output: str = "results/hostile.json"
    note: str = ""


def measure_memory(process: psutil.Process) -> float:
    """Memory of a server and its decoders in MiB; shared pages count once for each."""
    total = 0
    for one in [process, *process.children()]:
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total / 2**20


class Honest:
    """A client that sends a short text and a photo in turn, and notes what it gets."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.waits: list[float] = []
        self.statuses: Counter[str] = Counter()
        self._photo = SAMPLE_IMAGE.read_bytes()
        self._text = SAMPLE_REVIEW.read_text("utf-8")[:1000]

    async def ask(self) -> None:
        """Send the next request."""
        sent = time.perf_counter()
        try:
            if len(self.waits) % 2:
                reply = await self.client.post("/patches", content=self._photo, headers=IMAGE)
            else:
                reply = await self.client.post("/spans", json={"text": self._text})
            self.statuses[str(reply.status_code)] += 1
        except httpx.HTTPError as error:
            self.statuses[type(error).__name__] += 1
        self.waits.append(time.perf_counter() - sent)

    def describe(self) -> dict[str, Any]:
        """Numbers for the report."""
        return {"honest_answers": dict(self.statuses), "longest_wait_s": max(self.waits)}


async def attack(
    address: str, process: psutil.Process, request: dict[str, Any], options: HostileBenchmark
) -> dict[str, Any]:
    """Waits of an honest client and the memory of the server while a request is repeated."""
    answers: Counter[str] = Counter()
    idle = peak = measure_memory(process)
    end = time.perf_counter() + options.seconds
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:

        async def send() -> None:
            while time.perf_counter() < end:
                reply = await client.post(**request)
                answers[str(reply.status_code)] += 1

        attacking = [asyncio.create_task(send()) for _ in range(options.attackers)]
        honest = Honest(client)

        async def ask() -> None:
            while time.perf_counter() < end:
                await honest.ask()
                await asyncio.sleep(0.05)

        asking = asyncio.create_task(ask())
        while not asking.done():
            peak = max(peak, measure_memory(process))
            await asyncio.sleep(0.02)
        await asyncio.gather(*attacking)
    grown = {"hostile_answers": dict(answers), "memory_above_idle_mib": peak - idle}
    return honest.describe() | grown


async def drip(port: int, end: float) -> None:
    """Send bodies of a byte now and then, on a new connection whenever the server closes one."""
    while time.perf_counter() < end:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(SLOW_HEAD)
            while time.perf_counter() < end and not reader.at_eof():
                writer.write(b"1\r\n \r\n")
                await writer.drain()
                await asyncio.sleep(2)
            writer.close()
        await asyncio.sleep(0.1)


async def ask_beside_slow_bodies(address: str, options: HostileBenchmark) -> dict[str, Any]:
    """What an honest client gets from the address of the slow ones."""
    port = httpx.URL(address).port or 0
    slow = [
        asyncio.create_task(drip(port, time.perf_counter() + 600))
        for _ in range(options.slow_bodies)
    ]
    await asyncio.sleep(2)
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        honest = Honest(client)
        for _ in range(options.honest_requests):
            await honest.ask()
            await asyncio.sleep(0.1)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    return honest.describe()


async def stop(
    address: str, process: psutil.Process, pictures: dict[str, bytes]
) -> dict[str, float]:
    """Seconds from SIGTERM to the end of the process while it is given everything at once."""
    port = httpx.URL(address).port or 0
    end = time.perf_counter() + 60
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(drip(port, end)) for _ in range(20)]
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        for content in pictures.values():
            post = client.post("/patches", content=content, headers=IMAGE)
            tasks.append(asyncio.create_task(post))
        await asyncio.sleep(1)
        sent = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)
        seconds = time.perf_counter() - sent
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {"seconds_to_exit": seconds}


def benchmark_hostile(options: HostileBenchmark) -> dict[str, Any]:
    """The numbers of each attack, and the largest of all, ready for JSON."""
    pictures = {name: make() for name, make in MAKERS.items()}
    requests: dict[str, dict[str, Any]] = {
        name: {"url": "/patches", "content": content, "headers": IMAGE}
        for name, content in pictures.items()
    }
    requests |= {name: {"url": "/spans", "json": {"text": text}} for name, text in TEXTS.items()}
    command = [sys.executable, "-m", "hf_anchornet", "serve", "--threads", "1"]
    attacks: dict[str, dict[str, Any]] = {}
    with running_server(command) as (address, process):
        warm_up = {"url": "/spans", "json": {"text": "a superb film"}}
        asyncio.run(attack(address, process, warm_up, options))
        idle = measure_memory(process)
        for name, request in requests.items():
            attacks[name] = asyncio.run(attack(address, process, request, options))
            print(name, attacks[name], flush=True)
        slow = asyncio.run(ask_beside_slow_bodies(address, options))
        print(slow, flush=True)
        stopped = asyncio.run(stop(address, process, pictures))
    return {
        "idle_mib": idle,
        "longest_wait_s": max(found["longest_wait_s"] for found in attacks.values()),
        "memory_above_idle_mib": max(found["memory_above_idle_mib"] for found in attacks.values()),
        "attacks": attacks,
        "slow_bodies": slow,
        **stopped,
    }


def main() -> None:
    """Parse the options, measure, write; each attack is printed once it is done."""
    (options,) = parse_options(HostileBenchmark, description=__doc__)
    settings = asdict(options)
    report = {"hardware": describe_hardware(), "note": settings.pop("note"), "settings": settings}
    write_json(Path(options.output), report | benchmark_hostile(options))


if __name__ == "__main__":
    main()
