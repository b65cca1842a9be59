"""How often the best passages of a long text hold what people marked: one JSON."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import write_json
from scripts.benchmarks.retrieval import RetrievalOptions, measure_retrieval


@dataclass
class OutputOptions:
    """Where the result goes.

    Attributes:
        output: File for the JSON.
    """

    output: str


def main() -> None:
    """Measure, write the JSON and print it."""
    parser = HfArgumentParser((DataOptions, RetrievalOptions, OutputOptions))
    data, options, output = parser.parse_args_into_dataclasses()
    report = measure_retrieval(data, options)
    report = {"settings": {"data": asdict(data), "retrieval": asdict(options)}, **report}
    write_json(Path(output.output), report)
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
