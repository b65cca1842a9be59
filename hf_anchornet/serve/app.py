"""FastAPI app that serves the two pipelines: `POST /spans` and `POST /patches`."""

import asyncio
import faulthandler
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated, Any

from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import IMAGE_TASK, SAMPLE_IMAGE, TEXT_TASK

from .access import Access
from .batches import Batcher
from .decoders import Decoders
from .libraries import (
    BaseModel,
    FastAPI,
    HTTPException,
    JSONResponse,
    Query,
    Request,
    RequestValidationError,
    uvicorn,
)
from .limits import Limits, ServingOptions
from .memory import trim_memory
from .requests import (
    PatchRequest,
    SpanRequest,
    measure_image,
    refuse_json,
    refuse_request,
    shorten,
)
from .texts import TextGauge

ROUTES = {TEXT_TASK: "spans", IMAGE_TASK: "patches"}
SAMPLES = {TEXT_TASK: "A first text.", IMAGE_TASK: SAMPLE_IMAGE}


def make_app(
    pipelines: Mapping[str, LocalizationPipeline],
    options: ServingOptions | None = None,
    access: Access | None = None,
) -> Limits:
    """The ASGI app for uvicorn, with a route for each task in `pipelines`.

    Args:
        pipelines: The pipelines by their task.
        options: Batching and limits.
        access: Who may ask; default: programs and pages of this machine, see `LOOPBACK`.

    Raises:
        ValueError: if a tokenizer could make a text so long that memory runs out.
    """
    options = options or ServingOptions()
    thread = ThreadPoolExecutor(1, "localizer")
    max_sizes = {TEXT_TASK: options.max_characters, IMAGE_TASK: options.max_pixels}
    batching = (thread, options.max_batch_size, options.max_wait_ms)
    batchers = {
        task: Batcher(partial(_run_pipeline, localize), *batching, max_sizes[task])
        for task, localize in pipelines.items()
    }
    decoders = Decoders(options) if IMAGE_TASK in pipelines else None
    lifespan = _make_lifespan(pipelines, batchers, thread, decoders)
    # FastAPI's documentation pages are off: they make browsers load scripts from other sites.
    app = FastAPI(title="hf_anchornet", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, refuse_request)
    app.add_exception_handler(400, refuse_json)
    if TEXT_TASK in pipelines:
        _add_spans(app, pipelines[TEXT_TASK], batchers[TEXT_TASK], options)
    if decoders is not None:
        _add_patches(app, pipelines[IMAGE_TASK], batchers[IMAGE_TASK], decoders, options)
    limits = Limits(app, options, access or Access())
    app.state.working = []
    _add_probes(app, limits, batchers, decoders)
    return limits


class _Server(uvicorn.Server):
    """A server whose process ends within `shutdown_s` and a second, whatever it computes."""

    def __init__(self, config: uvicorn.Config, shutdown_s: float) -> None:
        super().__init__(config)
        self._shutdown_s = shutdown_s

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop; a thread outside of Python ends the process if that takes too long."""
        faulthandler.dump_traceback_later(self._shutdown_s + 1, exit=True)
        super().handle_exit(sig, frame)


def run_app(app: Limits, host: str, port: int, access_log: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer the pending requests and stop.

    The process ends with exit code 1 if they are not answered within `shutdown_s` and a second.
    """
    grace = app.options.shutdown_s
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=access_log,
        timeout_graceful_shutdown=max(1, int(grace)),
        proxy_headers=False,  # a client could name any address as its own
    )
    _Server(config, grace).run()


def _run_pipeline(
    localize: LocalizationPipeline, items: list[Any], options: dict[str, Any]
) -> list[Any]:
    if len(items) == 1:
        return [localize(items[0], **options)]
    answers: list[Any] = localize(items, batch_size=len(items), **options)
    return answers


def _make_lifespan(
    pipelines: Mapping[str, LocalizationPipeline],
    batchers: Mapping[str, Batcher],
    thread: ThreadPoolExecutor,
    decoders: Decoders | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Warm up each model before the first request; stop the tasks after the last one."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        if decoders is not None:
            decoders.start()
        for name, localize in pipelines.items():
            await loop.run_in_executor(thread, localize, SAMPLES[name])
        working = [asyncio.create_task(batcher.work()) for batcher in batchers.values()]
        app.state.working = working
        tasks = [*working, asyncio.create_task(trim_memory(thread))]
        yield
        if decoders is not None:
            decoders.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        thread.shutdown()

    return lifespan


def _add_spans(
    app: FastAPI, localize: LocalizationPipeline, batcher: Batcher, options: ServingOptions
) -> None:
    gauge = TextGauge(localize.tokenizer, options)

    @app.post("/spans")
    async def spans(request: SpanRequest) -> JSONResponse:
        """The answer of the span-localization pipeline to a text."""
        with _refusing_bad_input():
            size = await gauge.measure(request.text)
            chosen = _choose_options(localize, request, options)
            size = _fill_batch(size, chosen, options.max_characters)
            answer = await batcher.ask(request.text, size, **chosen)
        return JSONResponse(answer)  # raises for non-finite numbers: a server error (500)


def _add_patches(
    app: FastAPI,
    localize: LocalizationPipeline,
    batcher: Batcher,
    decoders: Decoders,
    options: ServingOptions,
) -> None:
    body = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
    processor: Any = localize.image_processor
    shorter_side = processor.size["shortest_edge"] if processor.do_resize else None

    @app.post("/patches", openapi_extra={"requestBody": body | {"required": True}})
    async def patches(request: Request, asked: Annotated[PatchRequest, Query()]) -> JSONResponse:
        """The answer of the patch-localization pipeline to an image.

        The body is the image file itself; options are query parameters.
        """
        content = await request.body()
        with _refusing_bad_input():
            chosen = _choose_options(localize, asked, options)
            width, height = await decoders.measure(content)
            size = measure_image(width, height, shorter_side, options)
            size = _fill_batch(size, chosen, options.max_pixels)
            async with decoders.hold(width * height):
                image = await decoders.decode(content)
                answer = await batcher.ask(image, size, **chosen)
        return JSONResponse(answer)


def _add_probes(
    app: FastAPI, limits: Limits, batchers: Mapping[str, Batcher], decoders: Decoders | None
) -> None:
    def find_fault() -> str | None:
        if any(task.done() for task in app.state.working):
            return "a batching task has stopped; restart"
        if decoders is not None and decoders.are_stuck:
            return "a decoder is stuck; restart"
        if any(batcher.busy_s > limits.options.deadline_s for batcher in batchers.values()):
            return "a model call is stuck; restart"
        return None

    @app.get("/health")
    async def health() -> JSONResponse:
        """200, or 503 if a task has stopped or is stuck, and the process must be restarted."""
        fault = find_fault()
        return JSONResponse({"status": fault or "alive"}, 503 if fault else 200)

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """200 if a request would be accepted now, else 503; with counts of answers and calls."""
        is_ready = bool(app.state.working) and not find_fault() and not limits.is_full
        counts = {
            ROUTES[task]: {"answered": batcher.answered, "calls": batcher.calls}
            for task, batcher in batchers.items()
        }
        state = {"ready": is_ready, "held": limits.held, **counts}
        return JSONResponse(state, 200 if is_ready else 503)


def _choose_options(
    localize: LocalizationPipeline, request: BaseModel, options: ServingOptions
) -> dict[str, Any]:
    """The pipeline options of a request, checked before the request waits for its batch."""
    chosen = request.model_dump(exclude={"text"}, exclude_none=True)
    for name in ("top_k", "max_patches"):
        if chosen.get(name, 0) > options.max_shown:
            raise ValueError(
                f"`{name}` must be at most `max_shown` ({options.max_shown}), got {chosen[name]}; "
                "ask for fewer."
            )
    if chosen.get("explain_answer") and not options.allow_explanations:
        raise ValueError(
            "`explain_answer` must be left out on this server, got true; start it with "
            "`--allow-explanations True`."
        )
    localize._check_options(**chosen)
    return chosen


def _fill_batch(size: int, chosen: Mapping[str, Any], most: int) -> int:
    """The size of a request: that of a whole batch if it is explained, so that it is alone."""
    return max(size, most) if chosen.get("explain_answer") else size


@contextmanager
def _refusing_bad_input() -> Iterator[None]:
    """Turn the errors of an invalid request into status 422."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise HTTPException(422, shorten(_name_body(str(error)))) from error


def _name_body(message: str) -> str:
    """The message of a pipeline or decoder, which knows no body."""
    told = message.replace("`inputs`", "the body")
    return f"the body: {told}" if told.startswith("an image must") else told
