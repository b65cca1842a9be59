"""Serve the pipelines over HTTP with batches across requests; see docs/serving.md."""

from dataclasses import dataclass, fields

import torch
import uvicorn
from transformers import HfArgumentParser

from hf_anchornet.serve.serving_app import IMAGE_TASK, SHIPPED, TEXT_TASK, load_localizer, make_app
from hf_anchornet.serve.serving_limits import ServingOptions


@dataclass(frozen=True)
class Options(ServingOptions):
    """What is served and where; see `ServingOptions` for the rest.

    Attributes:
        text_localizer: Hub id or folder; "default": the shipped one; "none": no texts.
        image_localizer: Hub id or folder; "default": the shipped one; "none": no images.
        text_classifier: Hub id or folder of a classifier or cascade that reads the spans;
            "default": the shipped one; left out: the localizer answers alone.
        image_classifier: As `text_classifier`, for patches.
        device: Where the models compute, for example "cuda:0".
        backend: "eager", "compile" or "onnx".
        threads: Threads of torch; 0: as many as it chooses.
        host: Address to listen on; "0.0.0.0" for all, as in a container.
        port: Port to listen on.
        access_log: Whether to write a line for each request.
    """

    text_localizer: str = SHIPPED
    image_localizer: str = SHIPPED
    text_classifier: str | None = None
    image_classifier: str | None = None
    device: str = "cpu"
    backend: str = "eager"
    threads: int = 0
    host: str = "127.0.0.1"
    port: int = 8000
    access_log: bool = False


def main() -> None:
    """Parse the options, load the models, serve until SIGTERM or Ctrl-C."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    if options.threads:
        torch.set_num_threads(options.threads)
    chosen = {
        TEXT_TASK: (options.text_localizer, options.text_classifier),
        IMAGE_TASK: (options.image_localizer, options.image_classifier),
    }
    pipelines = {
        task: load_localizer(task, *sources, device=options.device, backend=options.backend)
        for task, sources in chosen.items()
        if sources[0] != "none"
    }
    limits = {field.name: getattr(options, field.name) for field in fields(ServingOptions)}
    uvicorn.run(
        make_app(pipelines, ServingOptions(**limits)),
        host=options.host,
        port=options.port,
        access_log=options.access_log,
        timeout_graceful_shutdown=round(options.deadline_s) + 1,
    )


if __name__ == "__main__":
    main()
