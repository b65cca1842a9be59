"""The command line for evaluation: one JSON of what models are worth on a labelled split."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.evaluate import EvaluationOptions, evaluate_models
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from hf_anchornet.evaluation.tables import make_explainer_table
from hf_anchornet.files import write_json

from .options import OptionParser
from .shared import hide_progress_bars

EXAMPLE = """  anchornet evaluate --dataset my_data --model runs/localizer
  anchornet evaluate --dataset my_data --model runs/localizer \\
      --classifier runs/cascade > scores.json
  anchornet evaluate --dataset my_data --model runs/localizer \\
      --explainers evidence lime random --records records.parquet --output scores.json"""
DESCRIPTION = """Print as JSON how good a localizer, and what stands behind it, is on a labelled
split: accuracy and macro F1; of its evidence, and of other explainers of any
classifier, how well it agrees with the spans or boxes that people marked, how much
the prediction depends on it, and what it costs."""


@dataclass
class OutputOptions:
    """Where the report goes.

    Attributes:
        output: File for the JSON, and beside it the explainers as a table, .md; default: the JSON
            goes to standard output, the table nowhere.
    """

    output: str | None = None


def run_evaluate(argv: Sequence[str]) -> None:
    """Print the scores of a localizer, and of a classifier or cascade behind it, as JSON."""
    types = [DataOptions, EvaluationOptions, ExplanationOptions, OutputOptions]
    parser = OptionParser("evaluate", types, DESCRIPTION, EXAMPLE)
    data, options, explaining, output = parser.parse(argv)
    hide_progress_bars()
    report = evaluate_models(data, options, explaining)
    if output.output is None:
        print(json.dumps(report, indent=2))
        return
    write_json(Path(output.output), report)
    if "explanations" in report:
        table = make_explainer_table(report["explanations"])
        Path(output.output).with_suffix(".md").write_text(table, encoding="utf-8")
