"""Compare ways to make evidence agree with people, on validation splits: see `--help`."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import HfArgumentParser

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.tables import compare_ideas
from hf_anchornet.files import write_json
from hf_anchornet.train.options import TrainingOptions
from hf_anchornet.train.text_training import TextLocalizerOptions
from scripts.ablations.evidence import EvidenceAblationOptions, compare_evidence, merge_reports


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: JSON file to write, anew after each idea; ideas that it holds already stay, so that
            several processes may share the work.
    """

    output: str = "results/ablation_evidence.json"


def main() -> None:
    """Parse the options, train, judge, write, print."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser(
        (DataOptions, EvidenceAblationOptions, TextLocalizerOptions, TrainingOptions, Output),
        allow_abbrev=False,
    )
    data, options, localizer, training, output = parser.parse_args_into_dataclasses()
    path = Path(output.output)

    def save(report: dict[str, Any]) -> None:
        with FileLock(f"{path}.lock"):
            known = json.loads(path.read_text("utf-8")) if path.exists() else {}
            write_json(path, merge_reports(known, report))

    print(compare_ideas(compare_evidence(data, options, localizer, training, save)))


if __name__ == "__main__":
    main()
