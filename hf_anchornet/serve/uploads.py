"""Bodies that are being received: how slow each may be, and how many each client may have."""

from collections.abc import Iterator
from contextlib import contextmanager

from .libraries import anyio

GRACE_S = 5.0
"""Seconds before the least rate counts."""


class Upload:
    """One body that is being received.

    Args:
        min_rate: Least number of bytes a second, on average, after `GRACE_S`.
    """

    def __init__(self, min_rate: int) -> None:
        self._min_rate = min_rate
        self._started = anyio.current_time()
        self.scope = anyio.CancelScope(deadline=self._started + GRACE_S)

    def note(self, num_bytes: int) -> None:
        """Give a body more time, by the number of its bytes so far."""
        self.scope.deadline = self._started + GRACE_S + num_bytes / self._min_rate


class Uploads:
    """The bodies that are being received, by client.

    A new body is always admitted. If there are too many, the oldest of the client with the most
    makes way, so clients that send their bodies at once are answered beside slow ones, even from
    the same address.

    Args:
        min_rate: See `Upload`.
        max_client: Most bodies of one client.
        max_all: Most bodies of all clients.
    """

    def __init__(self, min_rate: int, max_client: int, max_all: int) -> None:
        self._min_rate, self._max_client, self._max_all = min_rate, max_client, max_all
        self._open: dict[str, list[Upload]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    @contextmanager
    def receive(self, client: str) -> Iterator[Upload]:
        """Make room for a body; its `scope` is cancelled if it is too slow or makes way."""
        if len(self._open.get(client, ())) >= self._max_client:
            self._drop_oldest(client)
        elif len(self) >= self._max_all:
            self._drop_oldest(max(self._open, key=lambda one: len(self._open[one])))
        upload = Upload(self._min_rate)
        self._open.setdefault(client, []).append(upload)
        try:
            with upload.scope:
                yield upload
        finally:
            self._forget(client, upload)

    def _drop_oldest(self, client: str) -> None:
        upload = self._open[client][0]
        upload.scope.cancel()
        self._forget(client, upload)

    def _forget(self, client: str, upload: Upload) -> None:
        uploads = self._open.get(client, [])
        if upload in uploads:
            uploads.remove(upload)
        if not uploads:
            self._open.pop(client, None)
