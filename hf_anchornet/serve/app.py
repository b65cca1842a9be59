"""The two pipelines behind HTTP, in FastAPI: `POST /spans` and `POST /patches`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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
"""Stands for the package's own localizer or classifier."""


def load_localizer(
    task: str, localizer: str = SHIPPED, classifier: str | None = None, **options: Any
) -> LocalizationPipeline:
    """The pipeline of a task.

    Args:
        task: "span-localization" or "patch-localization".
        localizer: Hub id or folder; "default": the shipped one.
        classifier: Hub id or folder of a classifier or cascade; "default": the shipped one;
            `None`: the localizer answers alone.
        options: Further ones of the pipeline.

    Raises:
        OSError: if a model cannot be found.
        ValueError: if it is of another kind.
    """
    register()
    disable_progress_bar()
    shipped_localizer, shipped_classifier = map(str, DEFAULTS[task])
    source = shipped_localizer if localizer == SHIPPED else localizer
    if classifier is not None:
        options["classifier"] = shipped_classifier if classifier == SHIPPED else classifier
    # The stubs of transformers list its own tasks only.
    made = pipeline(task, model=source, **options)  # type: ignore[call-overload]
    localize: LocalizationPipeline = made
    return localize


def make_app(
    pipelines: Mapping[str, LocalizationPipeline], options: ServingOptions | None = None
) -> Limits:
    """The ASGI app, to be run by uvicorn.

    Args:
        pipelines: By task; a task that is left out has no route.
        options: Limits; those of `ServingOptions` by default.
    """
    options = options or ServingOptions()
    thread = ThreadPoolExecutor(1, "localizer")
    most = {TEXT_TASK: options.max_characters, IMAGE_TASK: options.max_pixels}
    batchers = {
        task: Batcher(
            partial(_read, localize),
            thread,
            options.max_batch_size,
            options.max_wait_ms,
            most[task],
        )
        for task, localize in pipelines.items()
    }
    # Without FastAPI's pages of documentation, which make a browser load scripts from elsewhere.
    live = _live(pipelines, batchers, thread)
    app = FastAPI(title="hf_anchornet", lifespan=live, docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, refuse_request)
    app.add_exception_handler(400, refuse_json)
    if TEXT_TASK in pipelines:
        _add_spans(app, pipelines[TEXT_TASK], batchers[TEXT_TASK], options)
    if IMAGE_TASK in pipelines:
        _add_patches(app, pipelines[IMAGE_TASK], batchers[IMAGE_TASK], options)
    limits = Limits(app, options)
    app.state.working = []
    _add_states(app, limits, batchers)
    return limits


def run_app(app: Limits, host: str, port: int, access_log: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C; what is held then is answered.

    Args:
        app: From `make_app`.
        host: Address to listen on.
        port: Port to listen on.
        access_log: Whether to write a line for each request.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=access_log,
        timeout_graceful_shutdown=round(app.options.deadline_s) + 1,
    )


def _read(localize: LocalizationPipeline, items: list[Any], options: dict[str, Any]) -> list[Any]:
    if len(items) == 1:
        return [localize(items[0], **options)]
    answers: list[Any] = localize(items, batch_size=len(items), **options)
    return answers


def _live(
    pipelines: Mapping[str, LocalizationPipeline],
    batchers: Mapping[str, Batcher],
    thread: ThreadPoolExecutor,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Before the first request each model has read once; after the last the thread ends."""

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        for task, localize in pipelines.items():
            await loop.run_in_executor(thread, localize, SAMPLES[task])
        working = [asyncio.create_task(batcher.work()) for batcher in batchers.values()]
        app.state.working = working
        tasks = [*working, asyncio.create_task(trim_memory(thread))]
        yield
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        thread.shutdown()

    return live


def _add_spans(
    app: FastAPI, localize: LocalizationPipeline, batcher: Batcher, options: ServingOptions
) -> None:
    @app.post("/spans")
    async def spans(request: SpanRequest) -> JSONResponse:
        """Label, score and deciding spans of a text, as the span-localization pipeline says."""
        size = measure_text(request.text, options.max_characters)
        chosen = _choose_options(localize, request, options)
        return await _ask(batcher, request.text, size, chosen)


def _add_patches(
    app: FastAPI, localize: LocalizationPipeline, batcher: Batcher, options: ServingOptions
) -> None:
    body = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
    processor: Any = localize.image_processor
    shorter_side = processor.size["shortest_edge"] if processor.do_resize else None

    @app.post("/patches", openapi_extra={"requestBody": body | {"required": True}})
    async def patches(request: Request, asked: Annotated[PatchRequest, Query()]) -> JSONResponse:
        """Label, score and deciding patches of an image, as the patch-localization pipeline says.

        The body is the image file as it is; options are query parameters.
        """
        image = await request.body()
        size = measure_image(image, shorter_side, options)
        chosen = _choose_options(localize, asked, options)
        return await _ask(batcher, image, size, chosen)


def _add_states(app: FastAPI, limits: Limits, batchers: Mapping[str, Batcher]) -> None:
    def has_ended() -> bool:
        return any(one.done() for one in app.state.working)

    @app.get("/health")
    async def health() -> JSONResponse:
        """200, or 503 if a task that reads requests has ended: start the process anew."""
        if has_ended():
            return JSONResponse({"status": "a task that reads requests has ended"}, 503)
        return JSONResponse({"status": "alive"})

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """200 if a request would be taken now, else 503; and what was done so far."""
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
    """The pipeline's options that a request gives, checked before it waits for its turn."""
    chosen = request.model_dump(exclude={"text"}, exclude_none=True)
    for name in ("top_k", "max_patches"):
        if chosen.get(name, 0) > options.max_shown:
            raise HTTPException(
                422,
                f"`{name}` must be at most `max_shown` ({options.max_shown}), got "
                f"{chosen[name]}; ask for fewer.",
            )
    try:
        localize._check_options(**chosen)
    except (TypeError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    return chosen


async def _ask(batcher: Batcher, item: Any, size: int, options: dict[str, Any]) -> JSONResponse:
    try:
        answer = await batcher.ask(item, size, **options)
    except (TypeError, ValueError) as error:
        raise HTTPException(422, str(error).replace("`inputs`", "the body")) from error
    return JSONResponse(answer)  # fails on numbers that are not finite: no fault of the client's
