"""Time the shipped localizers by each backend and write one JSON: see README, `backend=`."""

from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

import hf_anchornet
from hf_anchornet.files import write_json
from scripts.benchmarks.backends import BackendBenchmark, benchmark_backends


@dataclass
class Options:
    """What to time, and where the numbers go.

    Attributes:
        text_localizer: Folder or Hub id.
        image_localizer: Folder or Hub id.
        rounds: How often each backend runs, in turn with the others.
        note: What a reader should know of the machine.
        output: JSON file to write.
    """

    text_localizer: str = str(hf_anchornet.DEFAULT_TEXT_LOCALIZER)
    image_localizer: str = str(hf_anchornet.DEFAULT_IMAGE_LOCALIZER)
    rounds: int = 20
    note: str = ""
    output: str = "results/backends.json"


def main() -> None:
    """Parse the options, measure, write."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    report = benchmark_backends(
        BackendBenchmark(
            options.text_localizer,
            options.image_localizer,
            str(hf_anchornet.SAMPLE_REVIEW),
            str(hf_anchornet.SAMPLE_IMAGE),
            rounds=options.rounds,
        )
    )
    write_json(Path(options.output), {"note": options.note, "rounds": options.rounds} | report)


if __name__ == "__main__":
    main()
