"""The command line for evaluation: one JSON of what models are worth on a labelled split."""

import json
from collections.abc import Sequence

from .cli_options import OptionParser
from .cli_shared import hide_progress_bars
from .data import DataOptions
from .scoring import EvaluationOptions, evaluate_models

EXAMPLE = """  anchornet evaluate --dataset my_data --model runs/localizer
  anchornet evaluate --dataset my_data --model runs/localizer \\
      --classifier runs/cascade > scores.json"""
DESCRIPTION = """Print as JSON how good a localizer, and what stands behind it, is on a labelled
split: accuracy, macro F1 and, where the set has them, agreement with the spans or
boxes that people marked."""


def run_evaluate(argv: Sequence[str]) -> None:
    """Print the scores of a localizer, and of a classifier or cascade behind it, as JSON."""
    parser = OptionParser("evaluate", [DataOptions, EvaluationOptions], DESCRIPTION, EXAMPLE)
    data, options = parser.parse(argv)
    hide_progress_bars()
    print(json.dumps(evaluate_models(data, options), indent=2))
