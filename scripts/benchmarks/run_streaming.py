"""How much memory a training's data path takes over a million rows of a stream.

One process, one thread: run it with OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import datasets
from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.streaming import StreamingOptions, measure_streaming


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: File of the measurement.
    """

    output: str = "results/streaming.json"


def main() -> None:
    """Measure and write."""
    parser = HfArgumentParser((StreamingOptions, Output), allow_abbrev=False)
    options, output = parser.parse_args_into_dataclasses()
    settings = asdict(options) | {
        "datasets": datasets.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
    }
    report = {"settings": settings, "load": os.getloadavg()[0], **measure_streaming(options)}
    write_json(Path(output.output), report)
    for rows, peak in report["peak_mib"].items():
        print(f"peak after {int(rows):,} rows: {peak:.0f} MiB")
    print(f"ratio {report['ratio']:.3f}, {report['rows_per_second']:.0f} rows a second")
    print(f"read once more: {report['reread_rows_per_second']:.0f} rows a second")


if __name__ == "__main__":
    main()
