"""What an image localizer starts from and learns from, trained alike for a few epochs each.

New weights, or the first blocks of a pretrained network at several sizes of the picture; with and
without a teacher. Judged on the validation split.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoModelForImageClassification

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.splits import DataOptions, load_split
from hf_anchornet.evaluation.image_localization import measure_pointing
from hf_anchornet.files import write_json
from hf_anchornet.model.costs import count_multiply_adds
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import train_image_localizer
from hf_anchornet.training.options import TrainingOptions
from scripts.benchmarks.image_measurement import make_blank
from scripts.options import parse_options


@dataclass(frozen=True)
class Start:
    """A way to begin.

    Attributes:
        image_size: Shorter side of whole pictures, in pixels.
        crop_size: Side of the crops that it learns from.
        pretrained: Whether its trunk is that of the backbone.
        taught: Whether a teacher rates the crops.
    """

    image_size: int
    crop_size: int
    pretrained: bool = True
    taught: bool = False


STARTS = {
    "new weights, 224 px": Start(224, 192, pretrained=False),
    "new weights, 224 px, taught": Start(224, 192, pretrained=False, taught=True),
    "pretrained blocks, 128 px": Start(128, 112),
    "pretrained blocks, 160 px": Start(160, 144),
    "pretrained blocks, 160 px, taught": Start(160, 144, taught=True),
    "pretrained blocks, 224 px": Start(224, 192),
}


@dataclass
class ImageStartsOptions:
    """Options of the comparison.

    Attributes:
        backbone: Folder or Hub id of a pretrained MobileNetV2 or EfficientNet.
        teacher: Folder or Hub id of a trained classifier of the same labels.
        starts: Names among those of `STARTS`.
        output: JSON file to write.
    """

    backbone: str
    teacher: str
    starts: list[str] = field(default_factory=lambda: list(STARTS))
    output: str = "results/ablation_image_starts.json"

    def __post_init__(self) -> None:
        """Check the names."""
        unknown = sorted(set(self.starts) - set(STARTS))
        if unknown or not self.starts:
            raise ValueError(
                f"`starts` must be among {list(STARTS)}, got {unknown or self.starts}; leave it "
                "out for all."
            )

    def choose(self, start: Start) -> tuple[ImageLocalizerOptions, AugmentationOptions]:
        """The options of a training that begins in this way."""
        localizer = ImageLocalizerOptions(
            backbone=self.backbone if start.pretrained else None,
            teacher=self.teacher if start.taught else None,
            image_size=start.image_size,
            gated=True,
            count_exponent=0.5,
        )
        return localizer, AugmentationOptions(crop_size=start.crop_size)


def compare_starts(
    data: DataOptions,
    options: ImageStartsOptions,
    training: TrainingOptions,
    progress: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """The validation split by a localizer of each start.

    Args:
        data: The data set, with boxes that people drew.
        options: Options of the comparison.
        training: Options of each training; their models are kept in folders of its `output_dir`.
        progress: Called with the report so far after each start.

    Returns:
        `settings`, `num_rows` of the validation split, and in `starts` by name the `accuracy` of
        the best epoch, its `pointing`, `multiply_adds` for a square picture, and `seconds` of the
        training.
    """
    rows = load_split(data, data.validation_split, data.image_column)
    settings = {
        "data": asdict(data),
        "ablation": asdict(options),
        "training": asdict(training),
    }
    report: dict[str, Any] = {"settings": settings, "num_rows": len(rows), "starts": {}}
    for number, name in enumerate(options.starts):
        start = STARTS[name]
        folder = str(Path(training.output_dir) / str(number))
        own = TrainingOptions(**asdict(training) | {"output_dir": folder})
        started = time.perf_counter()
        best = train_image_localizer(data, *options.choose(start), own)["best"]
        seconds = time.perf_counter() - started
        model = AutoModelForImageClassification.from_pretrained(folder).eval()
        processor = AutoImageProcessor.from_pretrained(folder)
        report["starts"][name] = {
            "accuracy": best["accuracy"],
            "pointing": measure_pointing(model, processor, rows, data),
            "multiply_adds": count_multiply_adds(model, make_blank(model, start.image_size)),
            "seconds": seconds,
        }
        progress(report)
    return report


def main() -> None:
    """Parse the options, compare, write after each start."""
    data, options, training = parse_options(
        DataOptions, ImageStartsOptions, TrainingOptions, description=__doc__
    )
    report = compare_starts(
        data, options, training, lambda found: write_json(Path(options.output), found)
    )
    print(json.dumps(report["starts"], indent=2))


if __name__ == "__main__":
    main()
