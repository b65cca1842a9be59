"""The server behind uvicorn: stopping, clients that leave, more clients than it holds."""

import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress

import httpx
import pytest
import uvicorn

from hf_anchornet.registration import TEXT_TASK
from hf_anchornet.serve.app import make_app
from hf_anchornet.serve.limits import ServingOptions
from scripts.benchmarks.serving import running_server

JSON = {"content-type": "application/json"}


@contextmanager
def slowed(localize, monkeypatch):
    """Make each call of the model wait for an event; gives the event and the texts per call."""
    go, calls = threading.Event(), []
    forward = localize._forward

    def wait(inputs, **options):
        calls.append(len(inputs["text"]) if isinstance(inputs["text"], list) else 1)
        go.wait(10)
        return forward(inputs, **options)

    with monkeypatch.context() as patch:
        patch.setattr(localize, "_forward", wait)
        yield go, calls
        go.set()


@contextmanager
def listening(app):
    """Run uvicorn in a thread; gives its address and the server object."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=10)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{place.getsockname()[1]}", server
        finally:
            server.should_exit = True
            thread.join(20)
        assert not thread.is_alive()


def wait_until(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def post(address, text, replies, **options):
    """Send a text in a thread, which appends the reply to `replies`."""

    def send():
        replies.append(httpx.post(f"{address}/spans", json={"text": text}, timeout=20, **options))

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_stopping_server_answers_its_pending_requests(localize, monkeypatch):
    app = make_app({TEXT_TASK: localize})
    replies = []
    with listening(app) as (address, server), slowed(localize, monkeypatch) as (go, calls):
        sent = post(address, "good", replies)
        wait_until(lambda: calls)
        server.should_exit = True
        time.sleep(0.3)
        assert not replies
        go.set()
        sent.join(10)
    assert replies[0].json()["label"] == "positive"


def test_requests_of_clients_that_left_are_not_computed(localize, monkeypatch):
    app = make_app({TEXT_TASK: localize})
    replies = []
    with listening(app) as (address, _), slowed(localize, monkeypatch) as (go, calls):
        first = post(address, "good", replies)
        wait_until(lambda: calls)
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{address}/spans", json={"text": "bad"}, timeout=0.2)
        wait_until(lambda: app.held == 1)
        last = post(address, "bad", replies)
        wait_until(lambda: app.held == 2)
        go.set()
        first.join(10)
        last.join(10)
    assert sorted(reply.json()["label"] for reply in replies) == ["negative", "positive"]
    assert calls == [1, 1]


def test_a_full_server_refuses_and_recovers(localize, monkeypatch):
    app = make_app({TEXT_TASK: localize}, ServingOptions(max_held=2))
    replies = []
    with listening(app) as (address, _), slowed(localize, monkeypatch) as (go, calls):
        sent = [post(address, "good", replies) for _ in range(2)]
        wait_until(lambda: app.held == 2 and calls)
        refused = httpx.post(f"{address}/spans", json={"text": "good"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{address}/ready").status_code == 503
        assert httpx.get(f"{address}/health").status_code == 200
        go.set()
        for thread in sent:
            thread.join(10)
        assert [reply.status_code for reply in replies] == [200, 200]
        assert httpx.get(f"{address}/ready").status_code == 200


def test_a_body_over_the_limit_is_refused_over_a_socket(localize):
    app = make_app({TEXT_TASK: localize}, ServingOptions(max_body_bytes=1000))
    with listening(app) as (address, _):
        told = httpx.post(f"{address}/spans", json={"text": "x" * 1000})
        chunks = httpx.post(
            f"{address}/spans", content=(b"x" * 600 for _ in range(2)), headers=JSON
        )
        assert [told.status_code, chunks.status_code] == [413, 413]


@pytest.mark.slow
def test_a_process_that_gets_sigterm_answers_its_pending_requests(localizer_folder):
    command = [sys.executable, "-m", "hf_anchornet", "serve", "--image_localizer", "none"]
    options = ["--text_localizer", localizer_folder, "--max_wait_ms", "1500"]
    replies = []
    with running_server([*command, *options]) as (address, process):
        sent = [post(address, "good", replies) for _ in range(5)]
        wait_until(lambda: httpx.get(f"{address}/ready").json()["held"] == 5)
        os.kill(process.pid, signal.SIGTERM)
        for thread in sent:
            thread.join(20)
        process.wait(20)
    assert [reply.json()["label"] for reply in replies] == ["positive"] * 5


def post_slowly(address, ended):
    """Send a body of a byte now and then, until the server or the test ends."""
    host, port = address.removeprefix("http://").split(":")
    with suppress(OSError), socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /spans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        while not ended.wait(0.5):
            client.sendall(b"1\r\n \r\n")


def test_slow_bodies_of_the_same_address_lock_nobody_out(localize):
    app = make_app({TEXT_TASK: localize}, ServingOptions(max_held=8, max_uploads=4))
    ended = threading.Event()
    with listening(app) as (address, _):
        slow = [threading.Thread(target=post_slowly, args=(address, ended)) for _ in range(20)]
        for thread in slow:
            thread.start()
        wait_until(lambda: len(app.uploads) == 4)
        replies = [httpx.post(f"{address}/spans", json={"text": "good"}) for _ in range(20)]
        ended.set()
        for thread in slow:
            thread.join(10)
    assert [reply.status_code for reply in replies] == [200] * 20


STUCK_SERVER = """
import sys, time
from hf_anchornet.registration import TEXT_TASK, load_pipeline
from hf_anchornet.serve.app import make_app, run_app
from hf_anchornet.serve.limits import ServingOptions

def stall(*inputs, **options):
    calls.append(inputs)
    if len(calls) > 1:  # the first one warms up
        time.sleep(600)
    return forward(*inputs, **options)

localize, calls = load_pipeline(TEXT_TASK, sys.argv[1]), []
forward, localize._forward = localize._forward, stall
app = make_app({TEXT_TASK: localize}, ServingOptions(shutdown_s=2))
run_app(app, "127.0.0.1", int(sys.argv[3]))
"""


@pytest.mark.slow
def test_sigterm_ends_a_process_whose_model_is_stuck_within_its_grace(localizer_folder):
    command = [sys.executable, "-c", STUCK_SERVER, localizer_folder]
    with running_server(command) as (address, process):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/spans", json={"text": "good"}, timeout=0.5)
        started = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        process.wait(20)
        assert time.monotonic() - started < 5
