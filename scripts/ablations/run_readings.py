"""Compare ways to make a shorter text of a long one, on the validation split: see `--help`."""

import logging
from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import write_json
from hf_anchornet.train.options import TrainingOptions
from scripts.ablations.readings import AblationOptions, compare_ideas


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: JSON file to write.
    """

    output: str = "results/ablation.json"


def main() -> None:
    """Parse the options, train, judge, write, print."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser(
        (DataOptions, AblationOptions, TrainingOptions, Output), allow_abbrev=False
    )
    data, options, training, output = parser.parse_args_into_dataclasses()
    report = compare_ideas(data, options, training)
    write_json(Path(output.output), report)
    print("| idea | classifier | mean with the localizer |\n|---|---|---|")
    for name, scores in report["ideas"].items():
        print(f"| {name} | {scores['classifier']:.4f} | {scores['mean']:.4f} |")


if __name__ == "__main__":
    main()
