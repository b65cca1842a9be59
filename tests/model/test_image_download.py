"""A download ends at its deadline and its size, however the server behaves."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from hf_anchornet.model import image_download
from hf_anchornet.model.image_download import download_image

OK = b"HTTP/1.1 200 OK\r\n\r\n"


def send(client, pieces, pause, stopped):
    with client, suppress(OSError):
        client.recv(2**16)
        for piece in pieces:
            if stopped.wait(pause):
                return
            client.sendall(piece)


@contextmanager
def answering(*parts, pause=0.0, repeat=1):
    """The URL of a server that sends these parts to each client, with pauses between bytes."""
    stopped = threading.Event()

    def accept():
        with suppress(OSError):
            while True:
                client, _ = place.accept()
                given = (client, pieces * repeat, pause, stopped)
                threads.append(threading.Thread(target=send, args=given))
                threads[-1].start()

    pieces = [bytes([byte]) for byte in b"".join(parts)] if pause else list(parts)
    threads = []
    with socket.create_server(("127.0.0.1", 0)) as place:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}/a.png"
        finally:
            stopped.set()
            place.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def assert_late(url):
    started = time.monotonic()
    with pytest.raises(OSError, match=r"must answer, got http.*(at most 0.5 sec|timed out)"):
        download_image(url)
    assert time.monotonic() - started < 5


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(image_download, "URL_TIMEOUT_S", 0.5)


def test_the_whole_content_is_returned():
    with answering(OK, b"abc" * 50_000) as url:
        assert download_image(url) == b"abc" * 50_000


@pytest.mark.usefixtures("short")
def test_a_body_that_drips_ends_at_the_deadline():
    with answering(OK + b"x" * 1000, pause=0.1) as url:
        assert_late(url)


@pytest.mark.usefixtures("short")
def test_headers_that_drip_end_at_the_deadline():
    with answering(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100, pause=0.1) as url:
        assert_late(url)


@pytest.mark.usefixtures("short")
def test_a_server_that_says_nothing_ends_at_the_deadline():
    with answering(b"x", pause=60) as url:
        assert_late(url)


def test_a_body_above_the_limit_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(image_download, "URL_BYTES_LIMIT", 10**6)
    with (
        answering(OK, b"x" * 10**6, repeat=100) as url,
        pytest.raises(OSError, match="must have at most 1,000,000 bytes"),
    ):
        download_image(url)


def test_the_body_of_a_redirect_counts_too(monkeypatch):
    monkeypatch.setattr(image_download, "URL_BYTES_LIMIT", 10**6)
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"
    with (
        answering(head, b"x" * 10**6, repeat=100) as url,
        pytest.raises(OSError, match="must have at most 1,000,000 bytes"),
    ):
        download_image(url)


@pytest.mark.parametrize("target", [b"file:///etc/passwd", b"ftp://127.0.0.1/a", b"data:,x"])
def test_a_redirect_leads_to_no_other_protocol(target):
    head = b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: " + target + b"\r\n\r\n"
    with answering(head) as url, pytest.raises(OSError, match="an image URL must answer"):
        download_image(url)
