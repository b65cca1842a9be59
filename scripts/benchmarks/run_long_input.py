"""Memory and time of the pipelines on 10,000 to 1,000,000 tokens and 1 to 400 megapixels."""

from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.long_input import LongInputBenchmark, benchmark_long_input, plot_long_input


@dataclass
class Options(LongInputBenchmark):
    """What is measured, and where the numbers go; see `LongInputBenchmark` for the rest.

    Attributes:
        output: JSON file to write; the picture gets the same name and ends in .png.
    """

    output: str = "results/long_input.json"


def main() -> None:
    """Measure, write, print."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    report = benchmark_long_input(options)
    output = Path(options.output)
    write_json(output, report)
    plot_long_input(report, output.with_suffix(".png"))
    for kind in ("text", "image"):
        print(
            kind,
            {name: report[kind][name] for name in ("time_slope", "memory_ratio", "process_ratio")},
        )


if __name__ == "__main__":
    main()
