"""Export of classifiers to ONNX; graphs of localizers give the evidence of every branch."""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel
from transformers.utils import CONFIG_NAME

from .graph_seal import seal_graph

GRAPH_FILE = "onnx/model.onnx"
"""Path of a graph in a model's folder or repository, the same as Optimum's."""
WINDOWS = "anchornet_windows"
"""Key of a graph's metadata: [size, stride] of each branch as JSON."""
DEFAULT_SIDE = 224  # pixels of the traced example where a config names no size
NOT_IN_GRAPH = {
    "_name_or_path",
    "architectures",
    "auto_map",
    "chunk_size",
    "custom_pipelines",
    "dtype",
    "id2label",
    "label2id",
    "output_evidence",
    "problem_type",
    "reading_scales",
    "transformers_version",
}
"""Config fields that do not affect a graph."""


def export_onnx(model: PreTrainedModel, path: str | PathLike[str], int8: bool = False) -> Path:
    """Write a classifier as an ONNX graph of one file; returns the file's path.

    Inputs: `input_ids` and `attention_mask`, (batch, tokens), int64, 1 = real token; or
    `pixel_values`, (batch, channels, height, width), float32, and for a localizer `pixel_mask`,
    (batch, height, width), int64, 1 = real pixel. Axes may have any length that the model takes,
    except that texts need at least one token, which may be masked.

    Outputs: `logits`, (batch, labels); of a localizer also `bias`, (batch, labels), and for each
    branch `evidence_0`, ..., (batch, positions, labels) or (batch, rows, columns, labels), and
    `mask_0`, ..., bool, the same without labels. `logits` is `bias` plus the sum of all evidence.
    The metadata hold the window of each branch as JSON, [size, stride], and a seal, by which
    `backend="onnx"` knows that this user exported the graph from these weights.

    The graph does not select spans or boxes, and it reads long texts in one piece (no
    `chunk_size`): the results are the same, but memory grows with the text. It computes in float32
    whatever the type of the model's weights.

    Args:
        model: A localizer or any other classifier of texts or images.
        path: File to write (`.onnx`), or the model's folder, where it becomes `onnx/model.onnx`:
            `backend="onnx"` finds it there.
        int8: Whether to store the weights of embeddings and matrix products in 8 bits. The file
            is smaller and its answers differ; `scripts/export_onnx.py` measures by how much.
            Convolutions keep their type: ONNX Runtime is several times slower on 8-bit ones.

    Raises:
        ImportError: if onnx, onnxscript or, for `int8`, onnxruntime is missing.
        ValueError: if the model reads neither texts nor images, or `path` ends in another suffix
            and is no folder, or it is the folder of another model.
        TypeError: if `model` is not loaded.
    """
    if not isinstance(model, PreTrainedModel):
        raise TypeError(
            f"`model` must be a loaded model, got {model!r:.80}; load it with `from_pretrained`, "
            "or use `anchornet export`."
        )
    file = _name_file(Path(path), model)
    graph = trace_graph(model)
    if int8:
        graph = _quantize(graph)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(seal_graph(graph.SerializeToString(), fingerprint(model)))
    return file


def _name_file(path: Path, model: PreTrainedModel) -> Path:
    """The file to write for a path of a graph or of the model's folder.

    Raises:
        ValueError: if it is neither, or the folder of another model.
    """
    if path.suffix == ".onnx":
        return path
    if path.suffix and not path.is_dir():
        raise ValueError(
            f"`path` must be a file that ends in .onnx or a folder, got {str(path)!r}; change the "
            "suffix, or make the folder first if it is one."
        )
    config = path / CONFIG_NAME
    known = json.loads(config.read_text("utf-8")) if config.is_file() else {}
    if known and known.get("model_type") != model.config.model_type:
        raise ValueError(
            f"`path` must be the folder of this model, of type {model.config.model_type!r}, got "
            f"{str(path)!r} of type {known.get('model_type')!r}; choose its own, or a new one."
        )
    return Path(path, GRAPH_FILE)


def trace_graph(model: PreTrainedModel) -> Any:
    """The graph of a classifier, an `onnx.ModelProto`; see `export_onnx`."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise name_extra("onnx and onnxscript", error) from error
    inputs = _make_example(model)
    windows = [[window.size, window.stride] for window in getattr(model, "windows", ())]
    outputs = ["logits"] + ["bias"] * bool(windows)
    outputs += [f"{kind}_{i}" for kind in ("evidence", "mask") for i in range(len(windows))]
    with warnings.catch_warnings(), _without_torchvision():
        # torch's exporter uses a class that torch itself has deprecated.
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        program = torch.export.export(
            _Traced(model, [*inputs]),
            tuple(inputs.values()),
            dynamic_shapes=tuple(_free_axes(value) for value in inputs.values()),
            strict=False,
        )
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[*inputs],
            output_names=outputs,
            external_data=False,
            verbose=False,
        )
    graph = exported.model_proto
    graph.metadata_props.add(key=WINDOWS, value=json.dumps(windows))
    return graph


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """No warnings of torch's exporter that torchvision is missing, which no model needs."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@torch.no_grad()
def fingerprint(model: PreTrainedModel) -> str:
    """A hash of the weights and settings that a graph of a model depends on."""
    fields = model.config.to_diff_dict()
    if fields.get("ngram_vocab_size") == fields.get("vocab_size"):
        fields.pop("ngram_vocab_size", None)  # graphs from before there was this field stay valid
    settings = {key: value for key, value in fields.items() if key not in NOT_IN_GRAPH}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, value in sorted(model.state_dict().items()):
        plain = value.float() if value.is_floating_point() else value
        digest.update(f"{name} {tuple(plain.shape)} {plain.dtype}".encode())
        digest.update(plain.contiguous().numpy(force=True).tobytes())
    return digest.hexdigest()


def name_extra(missing: str, error: ImportError) -> ImportError:
    """The error for a missing package of the extra `onnx`."""
    return ImportError(
        f'ONNX needs {missing} ({error}); install them with `pip install "hf-anchornet[onnx]"`.'
    )


class _Traced(nn.Module):
    """A float32 copy of a model that takes and returns plain tensors."""

    def __init__(self, model: PreTrainedModel, input_names: Sequence[str]) -> None:
        super().__init__()
        self.model: Any = deepcopy(model).cpu().float().eval()
        self.input_names = input_names
        self.is_localizer = hasattr(model, "windows")
        if self.is_localizer:  # ONNX takes axes of any length as they are
            self.model.pads_exports = self.model.base_model.pads_exports = False
        if self.is_localizer and model.main_input_name == "input_ids":
            self.model.config.chunk_size = None
        elif self.is_localizer:
            self.model = self.model.fuse()

    def forward(self, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Logits and, of a localizer, bias, evidence and masks of all branches."""
        # An image classifier has one input.
        inputs = dict(zip(self.input_names, (values, mask), strict=False))
        if not self.is_localizer:
            return (self.model(**inputs).logits,)
        with _SearchByHalves():
            output = self.model(**inputs, output_evidence=True)
        return (output.logits, output.bias, *output.evidence, *output.masks)


class _SearchByHalves(TorchFunctionMode):
    """A context that replaces `torch.searchsorted`, which ONNX lacks, by operations that it has."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func` or its replacement."""
        if func is torch.searchsorted:
            return search_by_halves(*args)
        return func(*args, **kwargs or {})


def search_by_halves(known: Tensor, values: Tensor) -> Tensor:
    """As `torch.searchsorted(known, values)`: how many of `known` are less than each value.

    Args:
        known: (count,), sorted integers.
        values: (batch, positions), integers of the same type, below its largest.
    """
    depth = len(known).bit_length()
    largest = torch.iinfo(known.dtype).max
    filled = torch.cat([known, known.new_full((2**depth - len(known),), largest)])
    place = torch.zeros_like(values, dtype=torch.long)
    for level in reversed(range(depth)):
        half = 2**level
        place = torch.where(filled[place + (half - 1)] < values, place + half, place)
    return place


def _make_example(model: PreTrainedModel) -> dict[str, Tensor]:
    """Inputs of a valid size, by name; their axes have different lengths.

    Each branch has several positions along each: a single one would be taken for a constant.

    Raises:
        ValueError: if the model reads neither texts nor images.
    """
    name, config = model.main_input_name, model.config
    windows = getattr(model, "windows", ())
    largest = max((window.size for window in windows), default=0)
    step = max((window.stride for window in windows), default=0)
    if name == "input_ids":
        ids = torch.zeros(2, largest + step + 6, dtype=torch.long)
        return {name: ids, "attention_mask": torch.ones_like(ids)}
    if name != "pixel_values":
        raise ValueError(
            f"`model` must read `input_ids` or `pixel_values`, got a {type(model).__name__}, which "
            f"reads `{name}`; choose a classifier of texts or images."
        )
    side = largest + step + 8 if largest else getattr(config, "image_size", DEFAULT_SIDE)
    height, width = (side, side) if isinstance(side, int) else side
    pixels = torch.zeros(2, getattr(config, "num_channels", 3), height, width)
    if not largest:
        return {name: pixels}
    return {name: pixels, "pixel_mask": torch.ones_like(pixels[:, 0], dtype=torch.long)}


def _free_axes(value: Tensor) -> dict[int, Any]:
    """Dynamic axes for `torch.export`: all but the channels of images."""
    return {axis: Dim.AUTO for axis in range(value.ndim) if value.ndim < 4 or axis != 1}


def _quantize(graph: Any) -> Any:
    """The graph with 8-bit weights of embeddings and matrix products."""
    try:
        import onnx
        from onnxruntime.quantization import quantize_dynamic
    except ImportError as error:
        raise name_extra("onnxruntime", error) from error
    with TemporaryDirectory() as folder:
        file = Path(folder, "int8.onnx")
        quantize_dynamic(graph, file, op_types_to_quantize=["Gather", "Gemm", "MatMul"])
        smaller = onnx.load(file)
    del smaller.metadata_props[:]
    smaller.metadata_props.extend(graph.metadata_props)
    return smaller
