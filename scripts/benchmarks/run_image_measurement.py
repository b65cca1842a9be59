"""Measure the shipped image models on test splits and write one JSON: see README, "Results"."""

from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.image_measurement import ImageMeasurement, measure_images


@dataclass
class Output:
    """Where the numbers go."""

    output: str = "results/image.json"


def main() -> None:
    """Parse the options, measure, write."""
    measurement, output = HfArgumentParser((ImageMeasurement, Output)).parse_args_into_dataclasses()
    write_json(Path(output.output), measure_images(measurement))


if __name__ == "__main__":
    main()
