"""`anchornet serve`: serve the pipelines over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from hf_anchornet.registration import IMAGE_TASK, OWN, SHIPPED, TEXT_TASK, load_pipeline
from hf_anchornet.serve.access import LOOPBACK, Access, read_token
from hf_anchornet.serve.app import make_app, run_app
from hf_anchornet.serve.limits import ServingOptions

from .options import OptionParser, build_options
from .shared import hide_progress_bars

DESCRIPTION = """\
Serve the pipelines over HTTP. Requests that arrive together share a forward pass; what
exceeds the limits is refused. See docs/serving.md."""
EXAMPLES = """\
  anchornet serve --port 8000
  anchornet serve --text-localizer runs/localizer --text-classifier runs/cascade \\
      --image-localizer none"""


@dataclass
class ServerOptions:
    """The models and the address of the server.

    Attributes:
        text_localizer: Hub id or folder, "default" for the shipped one, or "none" to serve no
            texts.
        image_localizer: Hub id or folder, "default" for the shipped one, or "none" to serve no
            images.
        text_classifier: Hub id or folder of a classifier or cascade that reads the spans, or
            "default" for the shipped one. Without it the localizer answers alone, unless its folder
            is that of a cascade; with "none" it does in any case.
        image_classifier: The same for patches.
        device: Device of the models, for example cuda:0.
        backend: "eager" (torch), "compile" (torch.compile) or "onnx" (ONNX Runtime).
        threads: Threads that torch uses; 0 leaves the choice to torch.
        host: Address to listen on; 0.0.0.0 for all addresses, as in a container.
        port: Port to listen on.
        allowed_hosts: Names under which the server may be asked, in `Host` and `Origin`, besides
            those of loopback and `host`; "*" for all names.
        token_file: File with a token that each request must carry as `Authorization: Bearer`.
        access_log: Whether to log each request.
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
    allowed_hosts: list[str] = field(default_factory=list)
    token_file: str | None = None
    access_log: bool = False


GROUPS = {"server": ServerOptions, "limits": ServingOptions}


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("serve", GROUPS, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Load the models, by options by field name, and serve them until SIGTERM or Ctrl-C."""
    server, limits = build_options([*GROUPS.values()], given)
    models = {
        TEXT_TASK: (server.text_localizer, server.text_classifier or OWN),
        IMAGE_TASK: (server.image_localizer, server.image_classifier or OWN),
    }
    models = {task: names for task, names in models.items() if names[0] != "none"}
    if not models:
        raise ValueError(
            '`text_localizer` and `image_localizer` must not both be "none"; leave one out.'
        )
    token = None if server.token_file is None else read_token(server.token_file)
    access = Access([*LOOPBACK, server.host, *server.allowed_hosts], token)
    if server.threads:
        torch.set_num_threads(server.threads)
    hide_progress_bars()
    pipelines = {
        task: load_pipeline(task, *names, device=server.device, backend=server.backend)
        for task, names in models.items()
    }
    run_app(make_app(pipelines, limits, access), server.host, server.port, server.access_log)
