"""Measure the shipped text models on test splits and write one JSON: see README, "Results"."""

from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.text_measurement import TextMeasurement, measure_text


@dataclass
class Output:
    """Where the numbers go."""

    output: str = "results/text.json"


def main() -> None:
    """Parse the options, measure, write."""
    measurement, output = HfArgumentParser((TextMeasurement, Output)).parse_args_into_dataclasses()
    write_json(Path(output.output), measure_text(measurement))


if __name__ == "__main__":
    main()
