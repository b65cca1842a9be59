"""Refusals and their status: too many requests, bodies too large, answers too late."""

import asyncio
import json
import re
import sys
from ast import literal_eval
from dataclasses import fields
from pathlib import Path

import pytest

from hf_anchornet.serve.limits import Limits, ServingOptions

OK = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"fine"},
]


class App:
    """An ASGI app that reads its body, then waits for the event `go`."""

    def __init__(self):
        self.go = asyncio.Event()
        self.go.set()
        self.bodies = []
        self.cancelled = 0

    async def __call__(self, scope, receive, send):
        self.bodies.append((await receive())["body"])
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for message in OK:
            await send(message)


class Client:
    """One request: the messages that the app receives and sends."""

    def __init__(self, *parts, method="POST", headers=()):
        self.scope = {"type": "http", "method": method, "headers": list(headers)}
        self.messages = [
            {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
            for index, part in enumerate(parts)
        ]
        self.left = asyncio.Event()
        self.sent = []

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    def ask(self, limits):
        return asyncio.create_task(limits(self.scope, self.receive, self.send))

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def detail(self):
        return json.loads(self.sent[1]["body"])["detail"]


def run(scenario, **options):
    async def live():
        app = App()
        await asyncio.wait_for(scenario(app, Limits(app, ServingOptions(**options))), 10)

    asyncio.run(live())


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_app_receives_the_whole_body():
    async def scenario(app, limits):
        client = Client(b"one ", b"two")
        await client.ask(limits)
        assert client.sent == OK
        assert app.bodies == [b"one two"]
        assert limits.held == 0

    run(scenario, max_body_bytes=7)


def test_a_body_that_is_too_large_is_refused_before_its_end():
    async def scenario(app, limits):
        client = Client(b"one ", b"two!", b"not read")
        await client.ask(limits)
        assert client.status == 413
        assert client.detail == (
            "the body must have at most `max_body_bytes` (7) bytes, got 8 or more; send less."
        )
        assert len(client.messages) == 1
        assert (app.bodies, limits.held) == ([], 0)

    run(scenario, max_body_bytes=7)


def test_a_body_with_too_large_a_content_length_is_not_read():
    async def scenario(app, limits):
        client = Client(b"x", headers=[(b"content-length", b"8")])
        await client.ask(limits)
        assert client.status == 413
        assert len(client.messages) == 1

    run(scenario, max_body_bytes=7)


def test_a_request_above_max_held_gets_503_with_retry_after():
    async def scenario(app, limits):
        app.go.clear()
        clients = [Client(b"x") for _ in range(3)]
        asked = [client.ask(limits) for client in clients]
        await settle()
        assert limits.is_full
        assert clients[2].status == 503
        assert (b"retry-after", b"1") in clients[2].sent[0]["headers"]
        assert "`max_held` (2) requests" in clients[2].detail
        app.go.set()
        await asyncio.gather(*asked)
        assert [client.status for client in clients] == [200, 200, 503]
        again = Client(b"x")
        await again.ask(limits)
        assert again.status == 200

    run(scenario, max_held=2)


def test_a_full_server_still_answers_get_requests():
    async def scenario(app, limits):
        limits.held = 1
        client = Client(b"", method="GET")
        await client.ask(limits)
        assert client.status == 200

    run(scenario, max_held=1)


def test_a_request_past_its_deadline_is_cancelled():
    async def scenario(app, limits):
        app.go.clear()
        client = Client(b"x")
        await client.ask(limits)
        assert client.status == 504
        assert "at most `deadline_s` (1) seconds" in client.detail
        assert (app.cancelled, limits.held) == (1, 0)

    run(scenario, deadline_s=1)


def test_slow_bodies_take_no_place():
    async def scenario(app, limits):
        slow = [Client(b"x", b"") for _ in range(3)]
        for client in slow:
            client.messages.pop()
        asked = [client.ask(limits) for client in slow]
        await settle()
        assert (limits.held, len(limits.uploads)) == (0, 1)
        assert [client.status for client in slow[:2]] == [408, 408]
        assert (b"connection", b"close") in slow[0].sent[0]["headers"]
        honest = Client(b"x")
        await honest.ask(limits)
        assert honest.status == 200
        await asyncio.gather(*asked)
        assert slow[2].status == 408

    run(scenario, max_held=1)


def test_the_oldest_body_of_the_client_with_the_most_makes_way():
    async def scenario(app, limits):
        slow = [Client(b"x", b"") for _ in range(4)]
        for client, address in zip(slow, "ABBA", strict=True):
            client.messages.pop()
            client.scope["client"] = (address, 1)
            asked = client.ask(limits)
            await settle()
        assert [bool(client.sent) for client in slow] == [False, True, False, False]
        slow[3].left.set()
        await asked

    run(scenario, max_held=3, max_uploads=2)


def test_a_body_below_the_least_rate_is_refused_and_one_above_it_is_read(monkeypatch):
    monkeypatch.setattr("hf_anchornet.serve.uploads.GRACE_S", 0.3)

    class Dripping(Client):
        async def receive(self):
            await asyncio.sleep(0.1)
            return await super().receive()

    async def scenario(app, limits):
        slow, fast = Dripping(*[b"x"] * 10), Dripping(*[b"x" * 1000] * 10)
        await asyncio.gather(slow.ask(limits), fast.ask(limits))
        assert (slow.status, fast.status) == (408, 200)
        assert "at least `min_rate` (1000) bytes a second" in slow.detail
        assert app.bodies == [b"x" * 10_000]

    run(scenario)


def test_the_deadline_includes_the_time_to_receive_the_body():
    async def scenario(app, limits):
        client = Client(b"x", b"")
        client.messages.pop()
        await client.ask(limits)
        assert client.status == 504
        assert (app.bodies, limits.held) == ([], 0)

    run(scenario, deadline_s=1)


def test_the_work_for_a_client_that_left_is_cancelled():
    async def scenario(app, limits):
        app.go.clear()
        client = Client(b"x")
        asked = client.ask(limits)
        await settle()
        client.left.set()
        await asked
        assert client.sent == []
        assert (app.cancelled, limits.held) == (1, 0)

    run(scenario)


def test_a_client_that_leaves_before_its_body_is_complete_causes_no_work():
    async def scenario(app, limits):
        client = Client(b"x", b"")
        client.messages.pop()
        client.left.set()
        await client.ask(limits)
        assert (client.sent, app.bodies, limits.held) == ([], [], 0)

    run(scenario)


def test_a_failure_of_the_app_is_raised_as_it_is():
    async def fail(scope, receive, send):
        raise RuntimeError("broken")

    async def scenario(app, limits):
        limits.app = fail
        with pytest.raises(RuntimeError, match="broken"):
            await Client(b"x").ask(limits)
        assert limits.held == 0

    run(scenario)


@pytest.mark.parametrize(
    ("name", "value"), [("max_batch_size", 0), ("max_wait_ms", -1.0), ("deadline_s", float("nan"))]
)
def test_limits_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be at least [01], got {value}; leave"):
        ServingOptions(**{name: value})


@pytest.mark.parametrize(
    ("library", "module"),
    [("fastapi", "app"), ("fastapi", "requests"), ("anyio", "limits")],
)
def test_a_missing_library_is_named_with_its_extra(library, module, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    for loaded in ("libraries", module):
        monkeypatch.delitem(sys.modules, f"hf_anchornet.serve.{loaded}", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[serve\]'"):
        __import__(f"hf_anchornet.serve.{module}")


def test_the_documentation_lists_each_limit_and_its_default():
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `--([\w-]+)` \| (\d+|False) \|", page, flags=re.MULTILINE))
    assert {name.replace("-", "_"): literal_eval(value) for name, value in told.items()} == {
        field.name: field.default for field in fields(ServingOptions)
    }
