"""Requests that wait at the same time are read together, in one thread beside the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SPREAD = 2.0
"""In one forward pass the largest input is at most so many times the smallest.

Inputs are padded to the largest. On reviews in batches of 32 the time an input is .57 of that
without this rule; 1.5 and 3 are slower than 2.
"""

ReadInputs = Callable[[list[Any], dict[str, Any]], list[Any]]
"""From inputs and options, the same for all, to an answer for each."""


@dataclass(eq=False)
class Waiting:
    """One request.

    Attributes:
        item: Its input.
        size: How large that is: characters, pixels.
        options: Names and values; only requests with the same ones are read together.
        answer: Where its answer goes; cancelled if nobody waits for it any more.
        since: When it came, in seconds of the event loop's clock.
    """

    item: Any
    size: int
    options: tuple[tuple[str, Hashable], ...]
    answer: "asyncio.Future[Any]"
    since: float


class Batcher:
    """Gathers requests until there are enough or the first has waited long enough.

    While one batch is read the next one gathers, so under load batches form without any wait.
    There is no limit on how many wait: that is for who asks (see `Limits`).

    Args:
        read: What answers; it runs in `thread`.
        thread: An executor of one thread, which several batchers may share.
        max_batch_size: The most requests in one forward pass.
        max_wait_ms: Milliseconds that a request waits for others, even if nothing is read.
        max_size: The most that one forward pass may hold, padding included, in the unit of
            `Waiting.size`; a single larger input is read alone.
    """

    def __init__(
        self,
        read: ReadInputs,
        thread: Executor,
        max_batch_size: int,
        max_wait_ms: float,
        max_size: int,
    ) -> None:
        self._read = read
        self._thread = thread
        self._max_batch_size = max_batch_size
        self._max_wait_s = max_wait_ms / 1000
        self._max_size = max_size
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self.answered = 0
        """Requests answered so far."""
        self.calls = 0
        """Times that the model was called for them."""

    async def ask(self, item: Any, size: int, **options: Any) -> Any:
        """The answer to one input; if the caller is cancelled first, it is not read.

        Args:
            item: The input.
            size: How large it is.
            options: Of the pipeline; a list of values may be one of them.

        Raises:
            TypeError: if the pipeline cannot take the input or an option.
            ValueError: as above.
        """
        kept = tuple((name, _freeze(value)) for name, value in sorted(options.items()))
        loop = asyncio.get_running_loop()
        request = Waiting(item, size, kept, loop.create_future(), loop.time())
        self._waiting.append(request)
        self._arrived.set()
        if len(self._waiting) >= self._max_batch_size:
            self._full.set()
        try:
            return await request.answer
        finally:
            with suppress(ValueError):  # taken already, unless the caller left
                self._waiting.remove(request)

    async def work(self) -> None:
        """Answer requests until cancelled."""
        while True:
            await self._arrived.wait()
            if self._waiting:
                await self._gather(self._waiting[0].since + self._max_wait_s)
            for group in split_batch(self._take(), self._max_size):
                await self._answer(group)

    async def _gather(self, end: float) -> None:
        """Wait until there are enough requests, at most until `end` by the event loop's clock."""
        left = end - asyncio.get_running_loop().time()
        if left > 0:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._full.wait(), left)

    def _take(self) -> list[Waiting]:
        """The requests that have waited longest, but for those that nobody waits for."""
        taken: list[Waiting] = []
        while self._waiting and len(taken) < self._max_batch_size:
            request = self._waiting.popleft()
            if not request.answer.done():
                taken.append(request)
        if not self._waiting:
            self._arrived.clear()
        if len(self._waiting) < self._max_batch_size:
            self._full.clear()
        return taken

    async def _answer(self, group: Sequence[Waiting]) -> None:
        """Read a group; if it fails, read each request alone, so that a bad one fails alone."""
        group = [request for request in group if not request.answer.done()]
        if not group:
            return
        items, options = [request.item for request in group], dict(group[0].options)
        self.calls += 1
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._read, items, options)
        except Exception as error:  # told to who asked: this loop serves others, too
            if len(group) > 1:
                for request in group:
                    await self._answer([request])
            elif not group[0].answer.done():
                group[0].answer.set_exception(error)
            return
        for request, answer in zip(group, answers, strict=True):
            if not request.answer.done():
                request.answer.set_result(answer)
                self.answered += 1


def split_batch(batch: Iterable[Waiting], max_size: int) -> list[list[Waiting]]:
    """Groups of requests that one forward pass can read: the same options, alike in size.

    Args:
        batch: Requests that are read at the same time.
        max_size: See `Batcher`.
    """
    groups: list[list[Waiting]] = []
    for request in sorted(batch, key=lambda request: request.size):
        for group in reversed(groups):
            if (
                group[0].options == request.options
                and request.size <= SPREAD * group[0].size
                and request.size * (len(group) + 1) <= max_size
            ):
                group.append(request)
                break
        else:
            groups.append([request])
    return groups


def _freeze(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value
