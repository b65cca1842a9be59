"""Backends that run a network: torch, compiled torch, or ONNX Runtime."""

import logging
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import cached_file

from .export_onnx import GRAPH_FILE, fingerprint, name_extra, trace_graph
from .graph_seal import is_sealed

EAGER, COMPILE, ONNX = BACKENDS = ("eager", "compile", "onnx")
"""Plain torch; compiled at the first call for inputs of any size; exported, see `open_graph`."""
FOUND_ONNX = "onnx-unchecked"
"""The ONNX graph beside the weights, whoever made it and from whatever weights."""

logger = logging.getLogger(__name__)


@dataclass
class OnnxOutput:
    """The output of a graph, with the field names of the model's own output.

    Attributes:
        logits: (batch, labels).
        bias: Of a localizer: (batch, labels).
        evidence: Of a localizer, one tensor a branch: (batch, positions, labels) or (batch, rows,
            columns, labels); empty unless asked for.
        masks: As `evidence`, bool and without labels.
    """

    logits: Tensor
    bias: Tensor | None
    evidence: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]


class OnnxNetwork:
    """A graph from `export_onnx` on ONNX Runtime, called like the model that it was made from.

    It runs on the CPU with as many threads as torch has when the object is made.

    Args:
        graph: Path or bytes of an ONNX file.

    Raises:
        ImportError: if onnxruntime is missing.
    """

    def __init__(self, graph: bytes | str | PathLike[str]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise name_extra("onnxruntime", error) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph),
            options,
            providers=["CPUExecutionProvider"],
        )
        self.input_names: list[str] = [item.name for item in self.session.get_inputs()]
        self.output_names: list[str] = [item.name for item in self.session.get_outputs()]

    @property
    def metadata(self) -> dict[str, str]:
        """The graph's metadata, as `export_onnx` wrote it."""
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def __call__(
        self, *inputs: Tensor, output_evidence: bool = False, **named: Tensor
    ) -> OnnxOutput:
        """The graph's answer for a batch.

        Args:
            inputs: In the graph's order; see `export_onnx`. Without a mask all units are real.
            output_evidence: Whether to compute evidence and masks as well.
            named: Inputs by name.

        Raises:
            ValueError: if an input that the graph does not have is not 0 everywhere.
        """
        wanted = [
            name
            for name in self.output_names
            if output_evidence or not name.startswith(("evidence_", "mask_"))
        ]
        given = dict(zip(self.input_names, inputs, strict=False)) | named
        found = self.session.run(wanted, self._feed(given))
        tensors = {name: torch.from_numpy(out) for name, out in zip(wanted, found, strict=True)}
        evidence, masks = (
            tuple(value for name, value in tensors.items() if name.startswith(kind))
            for kind in ("evidence_", "mask_")
        )
        return OnnxOutput(tensors["logits"], tensors.get("bias"), evidence, masks)

    def _feed(self, given: dict[str, Tensor]) -> dict[str, Any]:
        """Inputs as arrays of the graph's types, by name."""
        for name in set(given) - set(self.input_names):
            if given[name].any():  # such as token types, for which 0 means the default
                raise ValueError(
                    f"`{name}` must be 0 everywhere or one of the graph's inputs "
                    f"{self.input_names}, got other values; choose another `backend`."
                )
        first, *others = self.input_names
        values = given[first]
        is_text = values.ndim == 2  # (batch, tokens), else (batch, channels, height, width)
        like = values if is_text else values[:, 0]
        masks = [given.get(name, torch.ones_like(like)).long() for name in others]
        if is_text and values.shape[1] == 0:  # a graph must have a token: one that is masked
            values, *masks = (nn.functional.pad(ids, (0, 1)) for ids in (values, *masks))
        feed = {
            first: values if is_text else values.float(),
            **dict(zip(others, masks, strict=True)),
        }
        return {name: value.numpy(force=True) for name, value in feed.items()}


def make_network(
    model: PreTrainedModel, backend: str, subfolder: str = "", fused: nn.Module | None = None
) -> Any:
    """A callable that stands in for a model, with the same inputs and outputs.

    Args:
        model: A localizer or another classifier, in evaluation mode.
        backend: One of `BACKENDS`, or `FOUND_ONNX`.
        subfolder: Where in its folder or repository the model is.
        fused: The same network for torch, faster; default: the model itself.

    Raises:
        ImportError: if the extra `onnx` is needed and not installed.
        ValueError: if there is no such backend or it cannot run the model.
    """
    if backend not in (*BACKENDS, FOUND_ONNX):
        raise ValueError(
            f"`backend` must be one of {', '.join(BACKENDS)}, got {backend!r}; leave it out for "
            f"{EAGER}."
        )
    if backend in (ONNX, FOUND_ONNX):
        return open_graph(model, subfolder, checked=backend == ONNX)
    network = model if fused is None else fused
    return torch.compile(network, dynamic=True) if backend == COMPILE else network


def open_graph(model: PreTrainedModel, subfolder: str = "", checked: bool = True) -> OnnxNetwork:
    """The graph beside a model's weights if there is one, else one made now: some seconds.

    A graph is used only if `export_onnx` has made it, for this user, from these weights and
    settings; see `graph_seal`. Any other graph, such as one of the Hub, is not opened, and a
    warning is logged: it could answer anything.

    Args:
        model: A localizer or another classifier.
        subfolder: Where in its folder or repository the model is.
        checked: `False` to use the graph that is there, whoever made it.

    Raises:
        ImportError: if onnxruntime or, to make a graph, onnx or onnxscript is missing.
        ValueError: if the model is not on the CPU, or there is no graph to use unchecked;
            see also `export_onnx`.
    """
    if model.device.type != "cpu":
        raise ValueError(
            f'`device` must be "cpu" with backend "{ONNX}", got "{model.device}"; choose that '
            f'device or backend "{COMPILE}".'
        )
    file, name = _find_graph(model, subfolder), type(model).__name__
    place = Path(model.name_or_path, subfolder) if model.name_or_path else name
    if not checked:
        if file is None:
            raise ValueError(
                f'`backend` must not be "{FOUND_ONNX}" for {place}, which has no {GRAPH_FILE}; '
                f'choose "{ONNX}", which exports one.'
            )
        return OnnxNetwork(file)
    if file is not None:
        content = Path(file).read_bytes()
        if is_sealed(content, fingerprint(model)):
            return OnnxNetwork(content)
        logger.warning(
            "not using %s: you did not export it from these weights and settings; export it again, "
            'or set backend="%s" to use it as it is',
            file,
            FOUND_ONNX,
        )
    logger.warning(
        "exporting %s to ONNX; `hf_anchornet.export_onnx(model, folder)` writes a graph for good",
        place,
    )
    return OnnxNetwork(trace_graph(model).SerializeToString())


def _find_graph(model: PreTrainedModel, subfolder: str) -> str | None:
    """Path of the graph in the folder or Hub id that a model came from, if there is one."""
    if not model.name_or_path:
        return None
    revision = getattr(model.config, "_commit_hash", None)
    try:
        return cached_file(model.name_or_path, GRAPH_FILE, subfolder=subfolder, revision=revision)
    except OSError:  # no graph, or the place is gone
        return None
