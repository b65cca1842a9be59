"""The command line of the server."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hf_anchornet.serve.app import (
    IMAGE_TASK,
    SHIPPED,
    TEXT_TASK,
    load_served_pipeline,
    make_app,
    run_app,
)
from hf_anchornet.serve.limits import ServingOptions

from .options import OptionParser

SERVE_EXAMPLE = """  anchornet serve --port 8000
  anchornet serve --text_localizer runs/localizer --text_classifier runs/cascade \\
      --image_localizer none"""


@dataclass
class Server:
    """What is served and where.

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


def run_serve(argv: Sequence[str]) -> None:
    """Parse the options, load the models, serve until SIGTERM or Ctrl-C."""
    what = "Serve the pipelines over HTTP with batches across requests; see docs/serving.md."
    parser = OptionParser("serve", (Server, ServingOptions), what, SERVE_EXAMPLE)
    server, limits = parser.parse(argv)
    chosen = {
        TEXT_TASK: (server.text_localizer, server.text_classifier),
        IMAGE_TASK: (server.image_localizer, server.image_classifier),
    }
    chosen = {task: sources for task, sources in chosen.items() if sources[0] != "none"}
    if not chosen:
        raise ValueError(
            '`text_localizer` and `image_localizer` must not both be "none"; leave one out.'
        )
    if server.threads:
        torch.set_num_threads(server.threads)
    pipelines = {
        task: load_served_pipeline(task, *sources, device=server.device, backend=server.backend)
        for task, sources in chosen.items()
    }
    run_app(make_app(pipelines, limits), server.host, server.port, server.access_log)
