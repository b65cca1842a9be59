"""FastAPI app that serves the two pipelines: `POST /spans` and `POST /patches`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated, Any

from transformers import pipeline
from transformers.utils.logging import disable_progress_bar

from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import DEFAULTS, SAMPLE_IMAGE, register

from .batches import Batcher
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
    measure_text,
    refuse_json,
    refuse_request,
)

TEXT_TASK, IMAGE_TASK = DEFAULTS
ROUTES = {TEXT_TASK: "spans", IMAGE_TASK: "patches"}
SAMPLES = {TEXT_TASK: "A first text.", IMAGE_TASK: SAMPLE_IMAGE}

SHIPPED = "default"
"""Name of the localizer or classifier shipped with the package."""


def load_served_pipeline(
    task: str, localizer: str = SHIPPED, classifier: str | None = None, **options: Any
) -> LocalizationPipeline:
    """The localization pipeline of a task.

    Args:
        task: "span-localization" or "patch-localization".
        localizer: Hub id or folder, or "default" for the shipped localizer.
        classifier: Hub id or folder of a classifier or cascade, or "default" for the shipped
            classifier; `None` for a localizer alone.
        options: Other options of the pipeline.

    Raises:
        OSError: if a model cannot be found.
        ValueError: if a model is of the wrong type.
    """
    register()
    disable_progress_bar()
    shipped_localizer, shipped_classifier = map(str, DEFAULTS[task])
    source = shipped_localizer if localizer == SHIPPED else localizer
    if classifier is not None:
        options["classifier"] = shipped_classifier if classifier == SHIPPED else classifier
    # The type stubs of transformers list its own tasks only.
    localize: LocalizationPipeline = pipeline(  # type: ignore[call-overload]
        task, model=source, **options
    )
    return localize


def make_app(
    pipelines: Mapping[str, LocalizationPipeline], options: ServingOptions | None = None
) -> Limits:
    """The ASGI app for uvicorn, with a route for each task in `pipelines`."""
    options = options or ServingOptions()
    thread = ThreadPoolExecutor(1, "localizer")
    max_sizes = {TEXT_TASK: options.max_characters, IMAGE_TASK: options.max_pixels}
    batching = (thread, options.max_batch_size, options.max_wait_ms)
    batchers = {
        task: Batcher(partial(_run_pipeline, localize), *batching, max_sizes[task])
        for task, localize in pipelines.items()
    }
    lifespan = _make_lifespan(pipelines, batchers, thread)
    # FastAPI's documentation pages are off: they make browsers load scripts from other sites.
    app = FastAPI(title="hf_anchornet", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, refuse_request)
    app.add_exception_handler(400, refuse_json)
    if TEXT_TASK in pipelines:
        _add_spans(app, pipelines[TEXT_TASK], batchers[TEXT_TASK], options)
    if IMAGE_TASK in pipelines:
        _add_patches(app, pipelines[IMAGE_TASK], batchers[IMAGE_TASK], options)
    limits = Limits(app, options)
    app.state.working = []
    _add_probes(app, limits, batchers)
    return limits


def run_app(app: Limits, host: str, port: int, access_log: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer the pending requests and stop."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=access_log,
        timeout_graceful_shutdown=round(app.options.deadline_s) + 1,
    )


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
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Warm up each model before the first request; stop the tasks after the last one."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        for name, localize in pipelines.items():
            await loop.run_in_executor(thread, localize, SAMPLES[name])
        working = [asyncio.create_task(batcher.work()) for batcher in batchers.values()]
        app.state.working = working
        tasks = [*working, asyncio.create_task(trim_memory(thread))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        thread.shutdown()

    return lifespan


def _add_spans(
    app: FastAPI, localize: LocalizationPipeline, batcher: Batcher, options: ServingOptions
) -> None:
    @app.post("/spans")
    async def spans(request: SpanRequest) -> JSONResponse:
        """The answer of the span-localization pipeline to a text."""
        with _refusing_bad_input():
            size = measure_text(request.text, options.max_characters)
            chosen = _choose_options(localize, request, options)
            answer = await batcher.ask(request.text, size, **chosen)
        return JSONResponse(answer)  # raises for non-finite numbers: a server error (500)


def _add_patches(
    app: FastAPI, localize: LocalizationPipeline, batcher: Batcher, options: ServingOptions
) -> None:
    body = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
    processor: Any = localize.image_processor
    shorter_side = processor.size["shortest_edge"] if processor.do_resize else None

    @app.post("/patches", openapi_extra={"requestBody": body | {"required": True}})
    async def patches(request: Request, asked: Annotated[PatchRequest, Query()]) -> JSONResponse:
        """The answer of the patch-localization pipeline to an image.

        The body is the image file itself; options are query parameters.
        """
        image = await request.body()
        with _refusing_bad_input():
            size = measure_image(image, shorter_side, options)
            chosen = _choose_options(localize, asked, options)
            answer = await batcher.ask(image, size, **chosen)
        return JSONResponse(answer)


def _add_probes(app: FastAPI, limits: Limits, batchers: Mapping[str, Batcher]) -> None:
    def has_ended() -> bool:
        return any(task.done() for task in app.state.working)

    @app.get("/health")
    async def health() -> JSONResponse:
        """200, or 503 if a batching task has stopped and the process must be restarted."""
        if has_ended():
            return JSONResponse({"status": "a batching task has stopped; restart"}, 503)
        return JSONResponse({"status": "alive"})

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """200 if a request would be accepted now, else 503; with counts of answers and calls."""
        is_ready = bool(app.state.working) and not has_ended() and not limits.is_full
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
    localize._check_options(**chosen)
    return chosen


@contextmanager
def _refusing_bad_input() -> Iterator[None]:
    """Turn the errors of an invalid request into status 422."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise HTTPException(422, str(error).replace("`inputs`", "the body")) from error
