"""`anchornet evaluate`: score models and explainers on a labelled split."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_anchornet.data.paths import refuse_data_folder
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.evaluate import EvaluationOptions, evaluate_models
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from hf_anchornet.evaluation.tables import make_explainer_table
from hf_anchornet.files import read_json, write_json
from hf_anchornet.publishing.card import (
    EVALUATION_FILE,
    TRAINING_FILE,
    read_training,
    write_card,
)
from hf_anchornet.registration import is_shipped

from .options import OptionParser, build_options
from .outputs import check_output
from .shared import hide_progress_bars
from .shipped import name_shipped

logger = logging.getLogger(__name__)

LEARNED = {"dataset": "dataset", "split": "train_split"}
"""Names of what a report is about, and of the same in the record of a training."""

DESCRIPTION = """\
Report as JSON how good a localizer, and a classifier or cascade behind it, is on a
labelled split: accuracy and macro F1, agreement of its evidence with human spans or
boxes, faithfulness of the evidence, and cost. Other explainers, of any classifier,
can be scored in the same way."""
EXAMPLES = """\
  anchornet evaluate --dataset my_data --model runs/localizer
  anchornet evaluate --dataset my_data --model runs/localizer \\
      --classifier runs/cascade > scores.json
  anchornet evaluate --dataset my_data --model runs/localizer \\
      --explainers evidence lime random --records records.parquet --output scores.json"""


@dataclass
class OutputOptions:
    """Destination of the report.

    Attributes:
        output: File for the JSON; a table of the explainers is written beside it as .md. By
            default the JSON goes to standard output and there is no table.
    """

    output: str | None = None


GROUPS = {
    "data": DataOptions,
    "models": EvaluationOptions,
    "explanations": ExplanationOptions,
    "output": OutputOptions,
}


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("evaluate", GROUPS, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    hide_progress_bars()
    report = report_scores(given)
    if "output" not in given:
        print(json.dumps(report, indent=2))


def report_scores(given: Mapping[str, Any]) -> dict[str, Any]:
    """The report, from options by field name, also written to the file `output` if given.

    In the folder of a model that was trained here it is kept as evaluation.json, for its card.
    """
    data, models, explanations, output = build_options([*GROUPS.values()], name_shipped(given))
    for name, path in (("output", output.output), ("records", explanations.records)):
        if path is not None:
            refuse_data_folder(path, data.dataset, name)
    if output.output is not None:
        Path(output.output).parent.mkdir(parents=True, exist_ok=True)
        check_output(Path(output.output), [])
    report = evaluate_models(data, models, explanations)
    _keep(report, Path(models.model))
    if output.output is not None:
        write_json(Path(output.output), report)
        if "explanations" in report:
            table = make_explainer_table(report["explanations"])
            Path(output.output).with_suffix(".md").write_text(table, encoding="utf-8")
    return report


def _keep(report: Mapping[str, Any], folder: Path) -> None:
    """Leave the report in the folder of a model that was trained here, for its card.

    The card of a build keeps what the build measured, and no card shows scores on training rows.
    """
    if not (folder / TRAINING_FILE).is_file() or is_shipped(folder):
        return
    path, learned = folder / EVALUATION_FILE, read_training(folder).get("data", {})
    if path.is_file() and "compared" in read_json(path):
        logger.warning("the card of %s keeps what its build measured, not this report", folder)
    elif all(report[name] == learned.get(key) for name, key in LEARNED.items()):
        logger.warning(
            "%s was trained on these rows: its card does not show scores on them", folder
        )
    else:
        write_json(path, report)
        write_card(folder)
        logger.info("kept in %s for the model card", path)
