"""Limits of the server on concurrency, body size and time, and the options that set them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from .access import Access
from .libraries import ASGIApp, JSONResponse, Message, Receive, Scope, Send, anyio
from .uploads import Uploads

RETRY_AFTER_S = 1

MAY_BE_0 = ("max_wait_ms", "allow_explanations")
"""Options that need not be at least 1."""


@dataclass(frozen=True)
class ServingOptions:
    """Options for batching and for the limits on requests.

    Attributes:
        max_batch_size: Largest number of requests in one forward pass; 1 turns batching off.
        max_wait_ms: Longest time, in milliseconds, that a request waits for others; under load,
            batches form while another one is computed.
        max_held: Largest number of requests at once, pending or being computed; one more is
            refused (503). A request counts once its body has arrived.
        max_uploads: Largest number of bodies that one client address sends at once; the oldest
            makes way for one more (408).
        min_rate: Least bytes a second of a body, on average, after its first seconds (408).
        deadline_s: Seconds from the first byte of a request until it is abandoned (504).
        shutdown_s: Seconds after SIGTERM in which the requests held are answered; a second later
            the process has ended.
        max_body_bytes: Largest body (413).
        max_characters: Longest text (422), and the most characters of a forward pass, padding
            included.
        max_run: Longest run of characters without a blank in a text (422).
        max_text_tokens: Most tokens of a text (422).
        max_pixels: Largest image (422), and the most pixels of a forward pass, as `measure_image`
            counts them.
        max_aspect: Largest ratio of an image's longer side to its shorter side (422); time and
            memory grow with the square of the longer side.
        max_shown: Largest `top_k` or `max_patches` of a request (422).
        allow_explanations: Whether requests may set `explain_answer` (422); such a request takes up
            to 1,024 passes of the classifier, and is computed alone.
        decoders: Processes that decode images.
        decode_s: Seconds in which an image must be decoded (422).
        decode_mib: Memory, in MiB, in which an image must be decoded (422).
    """

    max_batch_size: int = 32
    max_wait_ms: float = 2.0
    max_held: int = 128
    max_uploads: int = 32
    min_rate: int = 1000
    deadline_s: float = 30.0
    shutdown_s: float = 8.0
    max_body_bytes: int = 10 * 2**20
    max_characters: int = 100_000
    max_run: int = 10_000
    max_text_tokens: int = 30_000
    max_pixels: int = 25_000_000
    max_aspect: int = 20
    max_shown: int = 100
    allow_explanations: bool = False
    decoders: int = 2
    decode_s: float = 5.0
    decode_mib: int = 512

    def __post_init__(self) -> None:
        for field in fields(ServingOptions):
            value, minimum = getattr(self, field.name), int(field.name not in MAY_BE_0)
            if not value >= minimum:  # NaN is not
                raise ValueError(
                    f"`{field.name}` must be at least {minimum}, got {value}; leave it out for "
                    f"the default, {field.default}."
                )


class RefusedBodyError(ValueError):
    """A body is larger than `max_body_bytes` or too slow; `status` is that of the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Limits:
    """ASGI middleware that bounds the number of POST requests, their body size and their time.

    The app is called once the whole body has arrived. It is cancelled when the client leaves, or
    when the deadline passes and the client gets 504.

    Args:
        app: The app.
        options: The limits.
        access: Checks of all requests by their headers; `None` for no checks.
    """

    def __init__(self, app: ASGIApp, options: ServingOptions, access: Access | None = None) -> None:
        self.app = app
        self.options = options
        self.uploads = Uploads(options.min_rate, options.max_uploads, options.max_held)
        self._access = access
        self.held = 0
        """Number of requests in progress."""

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self.held >= self.options.max_held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = None if self._access is None else self._access.refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif self.is_full:
            await self._refuse_full()(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    def _refuse_full(self) -> JSONResponse:
        detail = f"the server holds `max_held` ({self.options.max_held}) requests; try again."
        return JSONResponse({"detail": detail}, 503, {"Retry-After": str(RETRY_AFTER_S)})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        with anyio.move_on_after(self.options.deadline_s) as deadline:
            try:
                body = await self._read_body(scope, receive)
            except RefusedBodyError as error:
                answer = JSONResponse({"detail": str(error)}, error.status, {"Connection": "close"})
                await answer(scope, receive, note_start)
                return
            if body is not None:
                await self._hold(scope, body, receive, note_start)
        if deadline.cancelled_caught and not started:
            refusal = (
                f"an answer must take at most `deadline_s` ({self.options.deadline_s:g}) seconds; "
                "try again later or send less."
            )
            await JSONResponse({"detail": refusal}, 504)(scope, receive, send)

    async def _hold(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run a request whose body has arrived, if there is room."""
        if self.is_full:
            await self._refuse_full()(scope, receive, send)
            return
        self.held += 1
        try:
            await self._run(scope, body, receive, send)
        finally:
            self.held -= 1

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; `None` if the client left before its end.

        Raises:
            RefusedBodyError: as soon as the header or the bytes so far exceed the limit, or if the
                body is too slow.
        """
        length = dict(scope["headers"]).get(b"content-length", b"0")
        self._check_size(int(length) if length.isdigit() else 0)
        client, _ = scope.get("client") or ("", 0)
        with self.uploads.receive(client) as upload:
            body = bytearray()
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                self._check_size(len(body))
                upload.note(len(body))
                more = message.get("more_body", False)
            return bytes(body)
        raise RefusedBodyError(
            408,
            f"a body must have at least `min_rate` ({self.options.min_rate}) bytes a second, and a "
            f"client must send at most `max_uploads` ({self.options.max_uploads}) at once; "
            "send it again.",
        )

    def _check_size(self, size: int) -> None:
        if size > self.options.max_body_bytes:
            raise RefusedBodyError(
                413,
                f"the body must have at most `max_body_bytes` ({self.options.max_body_bytes}) "
                f"bytes, got {size} or more; send less.",
            )

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Call the app with the whole body; cancel it if the client leaves."""
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
            except Exception as error:  # raised below: the task group would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
