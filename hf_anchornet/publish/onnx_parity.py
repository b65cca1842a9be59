"""How well an exported graph answers: beside its model, on a labelled split."""

import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig

from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, load_split, number_labels
from hf_anchornet.model.backend import OnnxNetwork
from hf_anchornet.model.cascade_rule import FULL
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_reader import PatchReader, ReadableImage
from hf_anchornet.model.localizer import is_localizer, load_localizer
from hf_anchornet.model.text_reader import SpanReader


def measure_agreement(
    source: str | PathLike[str],
    graph: str | PathLike[str],
    options: DataOptions,
    split: str,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Accuracy of a model and of its graph, and how alike they are, ready for JSON.

    Args:
        source: Folder or Hub id of a localizer or another classifier of texts or images.
        graph: Its ONNX file, from `export_onnx`.
        options: Where the texts or images and their labels are.
        split: Split to measure on.
        batch_size: Inputs in one forward pass.

    Returns:
        `num_rows`; `accuracy` of `model` and `graph`, left out for multi-label models;
        `same_label`, the share of rows with the same best label; `largest_difference` of logits;
        `bytes` of the graph; `seconds` of the processor of both, inputs made ready included.

    Raises:
        ValueError: if the source is no such classifier; see also `load_split`.
    """
    runner, rate, is_text = _load(source)
    rows = load_split(options, split, options.text_column if is_text else options.image_column)
    targets = number_labels(rows, options.label_column, label_names(runner.model))
    if is_text:
        inputs: Any = rows[options.text_column]
    else:
        inputs = open_pictures(rows, options.image_column)
    report: dict[str, Any] = {"num_rows": len(rows), "bytes": Path(graph).stat().st_size}
    model_logits, model_seconds = _rate_all(rate, inputs, is_text, batch_size)
    runner.network = OnnxNetwork(graph)
    graph_logits, graph_seconds = _rate_all(rate, inputs, is_text, batch_size)
    found = {"model": model_logits, "graph": graph_logits}
    if not isinstance(targets[0], list):
        hits = {name: rated.argmax(1) == torch.tensor(targets) for name, rated in found.items()}
        report["accuracy"] = {name: float(right.float().mean()) for name, right in hits.items()}
    same = model_logits.argmax(dim=1) == graph_logits.argmax(dim=1)
    return report | {
        "same_label": float(same.float().mean()),
        "largest_difference": float((model_logits - graph_logits).abs().max()),
        "seconds": {"model": model_seconds, "graph": graph_seconds},
    }


def _load(source: str | PathLike[str]) -> tuple[Any, Callable[[Sequence[Any]], Tensor], bool]:
    """What runs a model, a function from inputs to its logits, and whether it reads texts."""
    config = AutoConfig.from_pretrained(source)
    if is_localizer(source):
        localizer: Any = load_localizer(source)
        is_text = localizer.model.main_input_name == "input_ids"
        return localizer, lambda inputs: localizer.read(inputs).logits, is_text
    (architecture,) = config.architectures or [""]
    if architecture.endswith("ForImageClassification"):
        reader: Any = PatchReader.load(source)
        return (
            reader,
            lambda images: reader.compute_pieces(
                [(ReadableImage(image, []), FULL) for image in images]
            )[0],
            False,
        )
    reader = SpanReader.load(source)
    return reader, lambda texts: _rate_texts(reader, texts), True


def _rate_texts(reader: SpanReader, texts: Sequence[str]) -> Tensor:
    """Logits of full texts, (texts, labels), truncated to what the classifier reads."""
    pieces = [(None, reader.make_piece(text, reader.most_tokens)) for text in texts]
    return reader.compute_pieces(pieces)[0]


def _rate_all(
    rate: Callable[[Sequence[Any]], Tensor], inputs: Any, is_text: bool, batch_size: int
) -> tuple[Tensor, float]:
    """Logits of all inputs, (inputs, labels), and seconds of the processor."""
    started, logits = time.process_time(), []
    for start in range(0, len(inputs), batch_size):
        batch = [inputs[row] for row in range(start, min(start + batch_size, len(inputs)))]
        # A row of a set of images has its picture and its target.
        logits.append(rate(batch if is_text else [item["pixel_values"] for item in batch]))
    return torch.cat(logits), time.process_time() - started
