"""Decoding of images in processes that are ended when their time or memory is up."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from math import ceil
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from PIL import Image

from hf_anchornet.model.image_arrays import BAND_PIXELS

from .decoder_process import DECODE, DONE, MEASURE, NO_MEMORY, READY, REFUSED, REPLY, REQUEST
from .limits import ServingOptions

Found = TypeVar("Found")

PROGRAM = Path(__file__).with_name("decoder_process.py")
START_S = 60
"""Seconds in which a process must have started."""

STUCK_S = 5
"""Seconds beyond its time limit after which a process that was ended counts as stuck."""


class Decoder:
    """A process that decodes one image at a time; a new one replaces it after a failure.

    Args:
        seconds: Time limit for an image.
        memory_bytes: Memory limit for an image.
    """

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self.seconds, self.memory_bytes = seconds, memory_bytes
        self._due: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = self._is_closed = False

    def start(self) -> None:
        """Start the process, without waiting for it."""
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.memory_bytes), str(ceil(self.seconds))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._is_ready = False

    def measure(self, content: bytes) -> tuple[int, int]:
        """Width and height by the headers of a file; raises as `decode`."""
        width, height, _ = self._ask(MEASURE, content)
        return width, height

    def decode(self, content: bytes) -> Image.Image:
        """The image of a file; see `open_image`.

        Raises:
            ValueError: if the file is no image, or takes longer or more memory than allowed.
        """
        _, _, image = self._ask(DECODE, content)
        assert image is not None
        return image

    @property
    def is_stuck(self) -> bool:
        """Whether a process could not be ended although its time is up."""
        return self._due is not None and time.monotonic() > self._due + STUCK_S

    def end(self) -> None:
        """End the process for good."""
        self._is_closed = True
        self._kill()

    def _ask(self, kind: bytes, content: bytes) -> tuple[int, int, Image.Image | None]:
        try:
            process = self._wait_until_ready()
            with self._limiting(process, self.seconds):
                assert process.stdin is not None
                process.stdin.write(REQUEST.pack(kind, len(content)) + content)
                process.stdin.flush()
                return self._read_answer(process, kind)
        except (EOFError, OSError) as error:  # the process has ended
            self._kill()
            if not self._is_closed:
                self.start()
            raise ValueError(
                f"an image must be decoded within `decode_s` ({self.seconds:g}) seconds, got one "
                "that takes longer or breaks the decoder; save it again in another format."
            ) from error
        finally:
            self._due = None

    def _wait_until_ready(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self.start()
        assert self._process is not None
        if not self._is_ready:
            with self._limiting(self._process, START_S):
                self._is_ready = _read(self._process, REPLY.size).startswith(READY)
        return self._process

    @contextmanager
    def _limiting(self, process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[None]:
        """End the process after so many seconds; whoever reads from it then sees its end."""
        self._due = time.monotonic() + seconds
        timer = threading.Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _read_answer(
        self, process: "subprocess.Popen[bytes]", kind: bytes
    ) -> tuple[int, int, Image.Image | None]:
        status, width, height = REPLY.unpack(_read(process, REPLY.size))
        if status == REFUSED:
            raise ValueError(_read(process, width).decode())
        if status == NO_MEMORY:
            raise ValueError(
                f"an image must be decoded within `decode_mib` ({self.memory_bytes >> 20}) MiB "
                "of memory, got one that needs more; send a smaller one."
            )
        assert status == DONE
        if kind == MEASURE:
            return width, height, None
        image = Image.new("RGB", (width, height))
        rows = max(1, BAND_PIXELS // width)
        for top in range(0, height, rows):
            size = width, min(rows, height - top)
            band = Image.frombuffer("RGB", size, _read(process, 3 * size[0] * size[1]))
            image.paste(band, (0, top))
        return width, height, image

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # unsent bytes
                assert stream is not None
                stream.close()


def _read(process: "subprocess.Popen[bytes]", num_bytes: int) -> bytes:
    """So many bytes of a process; raises `EOFError` if it ends before."""
    assert process.stdout is not None
    content = process.stdout.read(num_bytes)
    if len(content) < num_bytes:
        raise EOFError
    return content


class Decoders:
    """Several decoders for the requests of an event loop, with a limit on the pixels in memory.

    Args:
        options: The limits of the server.
    """

    def __init__(self, options: ServingOptions) -> None:
        memory = options.decode_mib << 20
        self._decoders = [Decoder(options.decode_s, memory) for _ in range(options.decoders)]
        self._idle: SimpleQueue[Decoder] = SimpleQueue()
        self._threads = ThreadPoolExecutor(options.decoders, "decoder")
        self._most = options.max_pixels + options.max_pixels // 4
        self._held = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    @property
    def are_stuck(self) -> bool:
        """Whether a decoder could not be ended in time."""
        return any(decoder.is_stuck for decoder in self._decoders)

    def start(self) -> None:
        """Start the processes, without waiting for them."""
        for decoder in self._decoders:
            decoder.start()
            self._idle.put(decoder)

    def end(self) -> None:
        """End the processes, whatever they do."""
        for decoder in self._decoders:
            decoder.end()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def measure(self, content: bytes) -> tuple[int, int]:
        """Width and height of the image of a file; raises as `Decoder.decode`."""
        return await self._run(Decoder.measure, content)

    async def decode(self, content: bytes) -> Image.Image:
        """The image of a file; raises as `Decoder.decode`."""
        return await self._run(Decoder.decode, content)

    async def _run(self, task: Callable[[Decoder, bytes], Found], content: bytes) -> Found:
        def work() -> Found:
            decoder = self._idle.get()  # there are as many threads as decoders
            try:
                return task(decoder, content)
            finally:
                self._idle.put(decoder)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """Wait until an image of so many pixels may be in memory, until the context ends.

        Small images go first, so that they do not wait for large ones that are slow.
        """
        turn = asyncio.Event()
        place = min(pixels, self._most), turn
        self._waiting.append(place)
        self._admit()
        try:
            await turn.wait()
            yield
        finally:
            if turn.is_set():
                self._held -= place[0]
            else:
                self._waiting.remove(place)
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            pixels, turn = place = min(self._waiting, key=lambda place: place[0])
            if self._held + pixels > self._most:
                return
            self._waiting.remove(place)
            self._held += pixels
            turn.set()
