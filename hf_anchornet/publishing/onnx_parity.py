"""Parity of an exported ONNX graph with its model, measured on a labelled split."""

import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig

from hf_anchornet.data.inputs import open_inputs
from hf_anchornet.data.splits import DataOptions, load_split, number_labels
from hf_anchornet.model.backend import OnnxNetwork
from hf_anchornet.model.cascade_rule import FULL
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_reader import PatchReader, ReadableImage
from hf_anchornet.model.localizer import MODALITIES, load_localizer
from hf_anchornet.model.text_reader import SpanReader

from .modality import find_model_modality

ComputeLogits = Callable[[Sequence[Any]], Tensor]
"""Maps a batch of inputs to logits, (batch, labels)."""


def measure_parity(
    source: str | PathLike[str],
    graph: str | PathLike[str],
    options: DataOptions,
    split: str,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Accuracy of a model and of its graph, and how far their logits differ, ready for JSON.

    Args:
        source: Folder or Hub id of a localizer or another text or image classifier.
        graph: Its ONNX file, from `export_onnx`.
        options: Where to find the inputs and their labels.
        split: Split to measure on.
        batch_size: Inputs in one forward pass.

    Returns:
        `num_rows`; `accuracy` of `model` and `graph`, left out for multi-label models;
        `same_label`, the share of rows with the same best label; `largest_difference` of logits;
        `bytes` of the graph; `seconds` of CPU time of both, preprocessing included.

    Raises:
        ValueError: if `source` is not a text or image classifier; see also `load_split`.
    """
    runner, compute, modality = _load_runner(source)
    rows = load_split(options, split, options.input_column(modality))
    targets = number_labels(rows, options.label_column, label_names(runner.model))
    inputs = open_inputs(rows, options, modality)
    logits, seconds = {}, {}
    for name in ("model", "graph"):
        if name == "graph":
            runner.network = OnnxNetwork(graph)
        logits[name], seconds[name] = _compute_all(compute, inputs, batch_size)
    best = {name: found.argmax(dim=1) for name, found in logits.items()}
    report: dict[str, Any] = {"num_rows": len(rows), "bytes": Path(graph).stat().st_size}
    if not isinstance(targets[0], list):
        right = {name: found == torch.tensor(targets) for name, found in best.items()}
        report["accuracy"] = {name: float(hits.float().mean()) for name, hits in right.items()}
    return report | {
        "same_label": float((best["model"] == best["graph"]).float().mean()),
        "largest_difference": float((logits["model"] - logits["graph"]).abs().max()),
        "seconds": seconds,
    }


def _load_runner(source: str | PathLike[str]) -> tuple[Any, ComputeLogits, str]:
    """The object whose `network` is called, its logits function, and its modality."""
    config = AutoConfig.from_pretrained(source)
    modality = find_model_modality(config, str(source))
    if config.model_type in MODALITIES:
        localizer: Any = load_localizer(source)
        return localizer, lambda inputs: localizer.read(inputs).logits, modality
    reader: Any = (SpanReader if modality == "text" else PatchReader).load(source)

    def compute(inputs: Sequence[Any]) -> Tensor:
        if modality == "text":
            pieces: list[Any] = [
                (None, reader.make_piece(text, reader.most_tokens)) for text in inputs
            ]
        else:
            pieces = [(ReadableImage(image, []), FULL) for image in inputs]
        logits: Tensor = reader.compute_pieces(pieces)[0]
        return logits

    return reader, compute, modality


def _compute_all(
    compute: ComputeLogits, inputs: Sequence[Any], batch_size: int
) -> tuple[Tensor, float]:
    """Logits of all inputs, (inputs, labels), and the seconds of CPU time that they took."""
    started = time.process_time()
    starts = range(0, len(inputs), batch_size)
    logits = [compute(inputs[start : start + batch_size]) for start in starts]
    return torch.cat(logits), time.process_time() - started
