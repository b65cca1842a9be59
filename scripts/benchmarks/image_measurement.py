"""The numbers of README and cards for image localizers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
)

from hf_anchornet.data.splits import DataOptions, load_split
from hf_anchornet.evaluation.image_localization import evaluate_image_localizer
from hf_anchornet.files import write_json
from hf_anchornet.model.costs import count_multiply_adds
from hf_anchornet.model.image_processing_anchornet import open_image
from hf_anchornet.model.modeling_anchornet import sum_evidence
from scripts.benchmarks.text_measurement import relative_error
from scripts.options import parse_options

BATCH_SIZE = 32


@dataclass
class ImageMeasurement:
    """Options of the measurement.

    Attributes:
        localizer: Folder or Hub id of the localizer.
        dataset: Source with the labels of its training and with human boxes; see `DataOptions`.
        split: Split to report on.
        image_column: Column of images.
        label_column: Column of labels.
        boxes_column: Column of human boxes, `[x0, y0, x1, y1]`; may be empty in some rows.
        max_rows: Draw at most this many rows (0: all), always the same ones.
        output: JSON file to write.
    """

    localizer: str
    dataset: str
    split: str = "test"
    image_column: str = "image"
    label_column: str = "label"
    boxes_column: str = "boxes"
    max_rows: int = 0
    output: str = "results/image.json"

    @property
    def data(self) -> DataOptions:
        """The data set and its columns of images, labels and boxes."""
        return DataOptions(
            self.dataset,
            image_column=self.image_column,
            label_column=self.label_column,
            boxes_column=self.boxes_column,
            max_rows=self.max_rows,
        )


def measure_images(options: ImageMeasurement) -> dict[str, Any]:
    """All numbers of a localizer, ready for JSON."""
    model = AutoModelForImageClassification.from_pretrained(options.localizer).eval()
    processor = AutoImageProcessor.from_pretrained(options.localizer)
    rows = load_split(options.data, options.split, options.image_column)
    pictures = rows.select(range(min(100, len(rows))))[options.image_column]
    side = processor.size["shortest_edge"]
    blank = make_blank(model, side)
    return {
        "split": options.split,
        "localizer": {
            "parameters": sum(p.numel() for p in model.parameters()),
            "side": side,
            "multiply_adds": count_multiply_adds(model, blank),
            "trunk_multiply_adds": count_multiply_adds(model.anchornet, blank),
            **check_image_contract(model, processor, pictures),
        },
        "sets": {
            Path(options.dataset).stem: evaluate_image_localizer(
                model, processor, rows, options.data, BATCH_SIZE
            )
        },
    }


def make_blank(model: PreTrainedModel, side: int) -> torch.Tensor:
    """A square input of zeros: (1, channels, side, side)."""
    return torch.zeros(1, model.config.num_channels, side, side, device=model.device)


@torch.no_grad()
def check_image_contract(
    model: PreTrainedModel, processor: Any, pictures: Sequence[Any]
) -> dict[str, float]:
    """Largest relative error of the additive identity and of padded batches against single images.

    Errors are relative to the largest absolute logit of the image; the evidence, float32 like the
    logits, is summed in float64, unlike in the model. The pictures are cropped to different
    heights in turn, so that those of a batch differ in size and are padded.
    """
    model.eval()
    additive = padded = 0.0
    for start in range(0, len(pictures), 8):
        opened = map(open_image, pictures[start : start + 8])
        images = [_crop(image, row) for row, image in enumerate(opened)]
        output = model(**processor(images, return_tensors="pt"), output_evidence=True)
        evidence = sum_evidence([branch.double() for branch in output.evidence]).sum(dim=0)
        for row, image in enumerate(images):
            alone = model(**processor([image], return_tensors="pt")).logits[0]
            total = output.bias[row].double() + evidence[row]
            additive = max(additive, relative_error(total, output.logits[row]))
            padded = max(padded, relative_error(output.logits[row], alone))
    return {"additive_error": additive, "padded_error": padded}


def _crop(image: Image.Image, row: int) -> Image.Image:
    """The upper part of an image; its height differs for each of four rows in turn."""
    return image.crop((0, 0, image.width, round(image.height * (1 - 0.1 * (row % 4)))))


def main() -> None:
    """Parse the options, measure, write."""
    (options,) = parse_options(ImageMeasurement, description=__doc__)
    write_json(Path(options.output), measure_images(options))


if __name__ == "__main__":
    main()
