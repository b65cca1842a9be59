"""Compare ways to make evidence agree with people, on validation splits: see `--help`."""

import logging
from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.bench.ablation_evidence import EvidenceAblationOptions, compare_evidence
from hf_anchornet.data import DataOptions
from hf_anchornet.explain.explanation_tables import compare_ideas
from hf_anchornet.train.training_loop import write_json
from hf_anchornet.train.training_options import TrainingOptions
from hf_anchornet.train.training_text import LocalizerOptions


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: JSON file to write, anew after each idea.
    """

    output: str = "results/ablation_evidence.json"


def main() -> None:
    """Parse the options, train, judge, write, print."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser(
        (DataOptions, EvidenceAblationOptions, LocalizerOptions, TrainingOptions, Output),
        allow_abbrev=False,
    )
    data, options, localizer, training, output = parser.parse_args_into_dataclasses()
    path = Path(output.output)
    report = compare_evidence(
        data, options, localizer, training, lambda report: write_json(path, report)
    )
    print(compare_ideas(report))


if __name__ == "__main__":
    main()
