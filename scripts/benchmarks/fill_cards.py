"""Write the numbers of results/*.json into the cards of the shipped models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_anchornet.evaluation.tables import make_explainer_table
from hf_anchornet.model.cascade_file import CASCADE_FILE
from hf_anchornet.publishing.card import CITATION, READING, make_data
from hf_anchornet.publishing.card_results import (
    list_explanations,
    list_results,
    list_speed_ups,
    make_result,
    name_gaps,
)
from hf_anchornet.publishing.modality import find_classes
from hf_anchornet.registration import CASCADES, DEFAULTS, TASKS
from scripts.benchmarks.result_tables import join_ratios

ROOT = Path(__file__).parents[2]
SETS = {"text": ("imdb", "en"), "image": ("fod_a", None)}
"""Data set and language of the shipped models of each modality."""
KINDS = {"text": {"localizer": "", "classifier": "spans"}, "image": {"localizer": ""}}
"""Shipped models with a card of their own, and what each reads of the results."""
MARKED = {"text": ("imdb_rationales", "movie_rationales"), "image": ("fod_a",)}
"""Sets with human annotations, on which `make bench-evidence` evaluates explanations."""


IN_CASCADE_CARD = {
    "text": {
        "full": "MiniLM-L6, 512 tokens",
        "shipped_cascade": "this cascade",
        "ngrams": "its n-grams alone",
        "localizer": "the localizer alone",
        "nb_lr": "NB-LR, a linear model of n-grams",
    },
    "image": {
        "full": "EfficientNet-Lite0, 224 px",
        "small": "the same at 96 px",
        "cascade": "this cascade",
        "localizer": "the localizer alone",
        "patches_and_localizer": "the best patch of every photo",
        "centre": "a patch from the centre",
        "random": "a random patch",
        "oracle": "a patch round the box of people (oracle)",
    },
}
"""Rows of the card of each cascade by method of the speed benchmark."""


def main() -> None:
    """Read the JSON files of each modality and write the cards of its shipped models."""
    for modality, (dataset, _) in SETS.items():
        speed = read_results(f"speed_{dataset}")
        for kind, reading in KINDS[modality].items():
            write_model(modality, kind, reading, speed)
        write_cascade(modality, speed)


def write_cascade(modality: str, speed: dict[str, Any]) -> None:
    """The card of a shipped cascade, from the speed benchmark and its calibration."""
    dataset, language = SETS[modality]
    settings = json.loads((CASCADES[TASKS[modality]] / CASCADE_FILE).read_text("utf-8"))
    methods, shown = speed["methods"], IN_CASCADE_CARD[modality]
    (own,) = (method for method, name in shown.items() if name == "this cascade")
    compared = {
        name: methods[method] | {"faster": join_ratios(methods[method])}
        for method, name in shown.items()
    }
    accuracy, rows = methods[own]["accuracy"], speed["num_rows"]
    only = speed | {"methods": {own: methods[own]}}
    results = [
        make_result(modality, dataset, "test", "accuracy", accuracy, num_rows=rows),
        *list_speed_ups(modality, only),
    ]
    card = ModelCard.from_template(
        make_data(modality, f"anchornet-{modality}-cascade", results, "apache-2.0", language),
        template_path=str(ROOT / f"model_cards/{modality}_cascade_template.md"),
        cascade=settings,
        calibration=settings["calibration"],
        compared=compared,
        num_rows=rows,
        gaps=name_gaps(results),
        citation=CITATION,
    )
    card.save(ROOT / f"model_cards/{modality}_cascade.md")


def write_model(modality: str, kind: str, reading: str, speed: dict[str, Any]) -> None:
    """The card of a shipped localizer or of the classifier behind it."""
    dataset, language = SETS[modality]
    report = read_results(modality)
    folder = DEFAULTS[TASKS[modality]][0]
    windows = find_classes(str(folder))[0].from_pretrained(folder).windows
    results = list_results(modality, report, reading, dataset)
    is_measured = speed.get("settings", {}).get("localizer") == name_folder(folder)
    speed_ups = list_speed_ups(modality, speed) if is_measured and not reading else []
    found = {} if reading else read_evaluations(MARKED[modality])
    explained = [row for each in found.values() for row in list_explanations(modality, each)]
    card = ModelCard.from_template(
        make_data(
            modality,
            f"anchornet-{modality}-{kind}",
            results + explained + speed_ups,
            "apache-2.0",
            language,
        ),
        template_path=str(ROOT / f"model_cards/{modality}_{kind}_template.md"),
        windows=", ".join(map(str, sorted({window.size for window in windows}))),
        speed_ups=speed_ups,
        explained={name: make_explainer_table(found[name]["explanations"]) for name in found},
        gaps=name_gaps(results + explained + speed_ups),
        reading=READING,
        citation=CITATION,
        **report,
    )
    card.save(ROOT / f"model_cards/{modality}_{kind}.md")


def name_folder(folder: Path) -> str:
    """A shipped folder as recipes name it: a benchmark of another localizer is not of this one."""
    return folder.relative_to(ROOT).as_posix()


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
