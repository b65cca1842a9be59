"""Write a classifier as an ONNX graph, where `backend="onnx"` finds it, and measure it."""

import json
from dataclasses import dataclass

from transformers import HfArgumentParser

from hf_anchornet.agreement import measure_agreement
from hf_anchornet.data import DataOptions
from hf_anchornet.export_anchornet import export_onnx
from hf_anchornet.hub import find_classes


@dataclass
class Options:
    """What to export, where to, and what to measure it on.

    Attributes:
        model: Folder or Hub id of a localizer or another classifier of texts or images.
        output: The model's folder, where the graph becomes onnx/model.onnx, or an .onnx file.
        int8: Keep the weights of embeddings and matrix products in 8 bits.
        dataset: Source with labels to compare graph and model on: Hub id, folder or file.
        split: Its split.
        max_rows: Draw at most this many rows (0: all).
    """

    model: str
    output: str
    int8: bool = False
    dataset: str = ""
    split: str = "validation"
    max_rows: int = 1000


def main() -> None:
    """Parse the options, export, measure, print."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    model_class, _ = find_classes(options.model)
    file = export_onnx(model_class.from_pretrained(options.model), options.output, options.int8)
    print(file)
    if options.dataset:
        data = DataOptions(options.dataset, max_rows=options.max_rows)
        print(json.dumps(measure_agreement(options.model, file, data, options.split), indent=2))


if __name__ == "__main__":
    main()
