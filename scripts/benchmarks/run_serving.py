"""Load scripts/serve.py on loopback: requests a second, latencies, memory over time."""

from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.report_tables import describe_hardware
from scripts.benchmarks.serving import ServingBenchmark, benchmark_serving


@dataclass
class Options(ServingBenchmark):
    """What is measured, and where the numbers go; see `ServingBenchmark` for the rest.

    Attributes:
        output: JSON file to write.
        note: What else ran on the machine, for the report.
    """

    output: str = "results/serving.json"
    note: str = ""


def main() -> None:
    """Parse the options, measure, write; each run is printed once it is done."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    report = benchmark_serving(options, print)
    settings = asdict(options)
    note = settings.pop("note")
    report = {"hardware": describe_hardware(), "note": note, "settings": settings} | report
    write_json(Path(options.output), report)


if __name__ == "__main__":
    main()
