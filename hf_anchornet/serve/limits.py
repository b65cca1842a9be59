"""What a server refuses: too much at once, too large, too late."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any

from .libraries import ASGIApp, JSONResponse, Message, Receive, Scope, Send, anyio

RETRY_AFTER_S = 1


@dataclass(frozen=True)
class ServingOptions:
    """Batching of requests, and limits beyond which they are refused.

    Attributes:
        max_batch_size: Maximum number of requests in one forward pass; 1 disables batching.
        max_wait_ms: Milliseconds that a request waits for others to share its forward pass. Under
            load, batches form during the previous forward pass without this wait.
        max_held: Maximum number of requests held at once, including those in a forward pass; a
            further one is refused (503).
        deadline_s: Seconds from the first byte of a request after which it is abandoned (504).
        max_body_bytes: Maximum size of a request body (413).
        max_characters: Maximum length of a text (422), and maximum number of characters in a
            forward pass, padding included.
        max_pixels: Maximum size of an image (422), and maximum number of pixels in a forward pass.
        max_aspect: Maximum ratio of an image's longer to its shorter side (422). Time and memory
            grow with the square of the longer side.
        max_shown: Maximum `top_k` of a request (422).
    """

    max_batch_size: int = 32
    max_wait_ms: float = 2.0
    max_held: int = 128
    deadline_s: float = 30.0
    max_body_bytes: int = 10 * 2**20
    max_characters: int = 100_000
    max_pixels: int = 25_000_000
    max_aspect: int = 20
    max_shown: int = 100

    def __post_init__(self) -> None:
        for field in fields(ServingOptions):
            value, lowest = getattr(self, field.name), 0 if field.name == "max_wait_ms" else 1
            if not value >= lowest:
                raise ValueError(
                    f"`{field.name}` must be at least {lowest}, got {value}; leave it out for "
                    f"the default, {field.default}."
                )


class BodyTooLargeError(ValueError):
    """A body has more bytes than are taken."""


class Limits:
    """Wraps an ASGI app: each POST has a place, a body of bounded size, and a deadline.

    The app is called once the body is there. It is cancelled when the client leaves or the
    deadline passes; then the client gets 504.

    Args:
        app: What answers.
        options: The limits.
    """

    def __init__(self, app: ASGIApp, options: ServingOptions) -> None:
        self.app = app
        self.options = options
        self.held = 0
        """Requests held now."""

    @property
    def is_full(self) -> bool:
        """Whether the next request is refused."""
        return self.held >= self.options.max_held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif self.is_full:
            refusal = f"the server holds `max_held` ({self.options.max_held}) requests; try again."
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            await _refuse(503, refusal, headers)(scope, receive, send)
        else:
            self.held += 1
            try:
                await self._answer(scope, receive, send)
            finally:
                self.held -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        with anyio.move_on_after(self.options.deadline_s) as deadline:
            try:
                body = await self._read_body(scope, receive)
            except BodyTooLargeError as error:
                await _refuse(413, str(error))(scope, receive, note_start)
                return
            if body is not None:
                await self._run(scope, body, receive, note_start)
        if deadline.cancelled_caught and not started:
            refusal = (
                f"an answer must take at most `deadline_s` ({self.options.deadline_s:g}) seconds; "
                "try again later or send less."
            )
            await _refuse(504, refusal)(scope, receive, send)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; `None` if the client left before its end.

        Raises:
            BodyTooLargeError: as soon as it is known to be.
        """
        told = dict(scope["headers"]).get(b"content-length", b"0")
        self._check_size(int(told) if told.isdigit() else 0)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            self._check_size(len(body))
            more = message.get("more_body", False)
        return bytes(body)

    def _check_size(self, size: int) -> None:
        if size > self.options.max_body_bytes:
            raise BodyTooLargeError(
                f"the body must have at most `max_body_bytes` ({self.options.max_body_bytes}) "
                f"bytes, got {size} or more; send less."
            )

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Call the app with a body that is there, as long as the client stays."""
        unread = [body]
        left = anyio.Event()

        async def give_body() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def watch(stop: Callable[[], Any]) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()
            stop()

        failure = None
        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope.cancel)
            try:
                await self.app(scope, give_body, send)
            except Exception as error:  # raised below, as it is: a task group would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _refuse(
    status: int, detail: str, headers: dict[str, str] | None = None
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    return JSONResponse({"detail": detail}, status, headers)
