"""Write the numbers of results/*.json into the cards of the shipped models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_anchornet.evaluation.tables import make_explainer_table
from hf_anchornet.publishing.card import CITATION, READING, make_data
from hf_anchornet.publishing.card_results import (
    list_explanations,
    list_results,
    list_speed_ups,
    name_gaps,
)
from hf_anchornet.publishing.modality import find_classes
from hf_anchornet.registration import DEFAULTS

ROOT = Path(__file__).parents[2]
SETS = {"text": ("span-localization", "imdb", "en"), "image": ("patch-localization", "fod_a", None)}
READINGS = {"text": "spans", "image": "patches"}
MARKED = {"text": ("imdb_rationales", "movie_rationales"), "image": ("fod_a",)}
"""Sets with human annotations, on which `make bench-evidence` evaluates explanations."""


def main() -> None:
    """Read the JSON files of each modality and write its two cards."""
    for modality, (task, dataset, language) in SETS.items():
        report, speed = read_results(modality), read_results(f"speed_{dataset}")
        folder = DEFAULTS[task][0]
        windows = find_classes(str(folder))[0].from_pretrained(folder).windows
        for kind, reading in (("localizer", ""), ("classifier", READINGS[modality])):
            results = list_results(modality, report, reading, dataset)
            speed_ups = list_speed_ups(modality, speed) if speed and not reading else []
            found = {} if reading else read_evaluations(MARKED[modality])
            explained = [
                row for each in found.values() for row in list_explanations(modality, each)
            ]
            name = f"anchornet-{modality}-{kind}"
            card = ModelCard.from_template(
                make_data(modality, name, results + explained + speed_ups, "apache-2.0", language),
                template_path=str(ROOT / f"model_cards/{modality}_{kind}_template.md"),
                windows=", ".join(map(str, sorted({window.size for window in windows}))),
                speed_ups=speed_ups,
                explained={
                    name: make_explainer_table(found[name]["explanations"]) for name in found
                },
                gaps=name_gaps(results + explained + speed_ups),
                reading=READING,
                citation=CITATION,
                **report,
            )
            card.save(ROOT / f"model_cards/{modality}_{kind}.md")


def read_evaluations(sets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Existing reports of `make bench-evidence` by the name of the set."""
    found = {name: read_results(f"evidence_{name}") for name in sets}
    return {name: report for name, report in found.items() if report}


def read_results(name: str) -> dict[str, Any]:
    """The content of a file in results/, {} if it does not exist."""
    path = ROOT / f"results/{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


if __name__ == "__main__":
    main()
