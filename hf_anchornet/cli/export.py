"""`anchornet export`: write a classifier as an ONNX graph."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hf_anchornet.data.splits import DataOptions, load_split
from hf_anchornet.model.export_onnx import export_onnx
from hf_anchornet.model.loading import load_whole
from hf_anchornet.publishing.modality import find_classes, find_model_modality
from hf_anchornet.publishing.onnx_parity import measure_parity

from .options import OptionParser, build_options

DESCRIPTION = """\
Write a classifier as an ONNX graph, which `backend="onnx"` then uses, and print the
path; with --dataset, print JSON that also compares its answers with the model's."""
EXAMPLES = """\
  anchornet export --model runs/localizer --output runs/localizer
  anchornet export --model runs/localizer --output small.onnx --int8 --dataset my_data"""


COLUMNS = ("text_column", "image_column", "label_column")
"""Options that name columns of the data."""


@dataclass
class ExportOptions:
    """The model to export, the file, and data to compare graph and model on.

    Attributes:
        model: Folder or Hub id of a localizer or another classifier of texts or images.
        output: An .onnx file, or the model's folder for onnx/model.onnx in it.
        int8: Whether to store the weights of embeddings and matrix products in 8 bits.
        dataset: Labelled data to compare graph and model on: Hub id, folder or file.
        split: Split of the dataset.
        max_rows: Compare on at most this many rows (0: all).
        text_column: Column of texts.
        image_column: Column of images.
        label_column: Column of labels.
    """

    model: str
    output: str
    int8: bool = False
    dataset: str = ""
    split: str = "validation"
    max_rows: int = 1000
    text_column: str = "text"
    image_column: str = "image"
    label_column: str = "label"


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("export", {"options": ExportOptions}, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    (options,) = build_options([ExportOptions], given)
    model_class, _ = find_classes(options.model)
    model, _ = load_whole(model_class.from_pretrained, options.model)
    columns = {name: getattr(options, name) for name in COLUMNS}
    data = DataOptions(options.dataset, max_rows=options.max_rows, **columns)
    if options.dataset:  # what is wrong with it is told before a graph is replaced
        load_split(
            data, options.split, data.input_column(find_model_modality(model.config, options.model))
        )
    file = export_onnx(model, options.output, options.int8)
    if not options.dataset:
        print(file)
        return
    parity = measure_parity(options.model, file, data, options.split)
    print(json.dumps({**asdict(options), "file": str(file), **parity}, indent=2))
