"""Download of one image with a deadline and a size limit for the whole of it."""

from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from time import monotonic
from typing import Any
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

URL_TIMEOUT_S = 30
"""Seconds for a whole download, redirects included."""

URL_BYTES_LIMIT = 2**28
"""Most bytes of a whole download, headers and redirects included."""


def download_image(url: str) -> bytes:
    """The content behind an http or https URL.

    Raises:
        OSError: if there is no answer, or it takes longer or is larger than the limits.
    """
    budget = _Budget(URL_TIMEOUT_S, URL_BYTES_LIMIT)
    request = Request(url, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with _make_opener(budget).open(request, timeout=budget.seconds_left()) as answer:
            content: bytes = answer.read()
    except (OSError, HTTPException, ValueError) as error:
        raise OSError(f"an image URL must answer, got {url}: {error}; check it.") from error
    return content


class _Budget:
    """Time and bytes that are left to a download."""

    def __init__(self, seconds: float, num_bytes: int) -> None:
        self.seconds, self.num_bytes = seconds, num_bytes
        self._end, self._bytes_left = monotonic() + seconds, num_bytes

    def seconds_left(self) -> float:
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError(f"it must take at most {self.seconds:g} seconds")
        return left

    def spend(self, num_bytes: int) -> None:
        self._bytes_left -= num_bytes
        if self._bytes_left < 0:
            raise OSError(f"it must have at most {self.num_bytes:,} bytes")


class _BoundedReader(RawIOBase):
    """A connection from which no more is read than the budget allows.

    The timeout of a socket holds for one read, so that a byte now and then would keep it open.
    """

    def __init__(self, connection: socket, stream: Any, budget: _Budget) -> None:
        self._connection, self._stream, self._budget = connection, stream, budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._budget.seconds_left())
        count: int = self._stream.readinto1(buffer)
        self._budget.spend(count)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _make_opener(budget: _Budget) -> OpenerDirector:
    """An opener of http and https URLs, and no others after a redirect, within a budget."""

    class Response(HTTPResponse):
        def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp: Any = BufferedReader(_BoundedReader(sock, self.fp, budget))

    class Plain(HTTPConnection):
        response_class = Response

        def connect(self) -> None:
            self.timeout = budget.seconds_left()
            super().connect()

    class Secure(HTTPSConnection):
        response_class = Response

        def connect(self) -> None:
            self.timeout = budget.seconds_left()
            super().connect()

    class PlainHandler(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Secure, req)

    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        PlainHandler(),
        SecureHandler(),
        HTTPDefaultErrorHandler(),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
