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
from hf_anchornet.registration import DEFAULT_TEXT_CASCADE, DEFAULTS
from scripts.benchmarks.result_tables import join_ratios

ROOT = Path(__file__).parents[2]
SETS = {"text": ("span-localization", "imdb", "en"), "image": ("patch-localization", "fod_a", None)}
READINGS = {"text": "spans", "image": "patches"}
MARKED = {"text": ("imdb_rationales", "movie_rationales"), "image": ("fod_a",)}
"""Sets with human annotations, on which `make bench-evidence` evaluates explanations."""


IN_CASCADE_CARD = {
    "full": "MiniLM-L6, 512 tokens",
    "shipped_cascade": "this cascade",
    "ngrams": "its n-grams alone",
    "localizer": "the localizer alone",
    "nb_lr": "NB-LR, a linear model of n-grams",
}
"""Rows of the cascade's card by method of the speed benchmark."""


def main() -> None:
    """Read the JSON files of each modality and write its two cards, then that of the cascade."""
    write_localizers_and_classifiers()
    write_cascade()


def write_cascade() -> None:
    """The card of the shipped cascade, from the speed benchmark and its calibration."""
    settings = json.loads((Path(DEFAULT_TEXT_CASCADE) / CASCADE_FILE).read_text("utf-8"))
    speed = read_results("speed_imdb")
    compared = {
        name: speed["methods"][method] | {"faster": join_ratios(speed["methods"][method])}
        for method, name in IN_CASCADE_CARD.items()
    }
    accuracy = speed["methods"]["shipped_cascade"]["accuracy"]
    rows = speed["num_rows"]
    results = [
        make_result("text", "imdb", "test", "accuracy", accuracy, num_rows=rows),
        *(
            row
            for row in list_speed_ups("text", speed)
            if "shipped cascade" in str(row.metric_name)
        ),
    ]
    card = ModelCard.from_template(
        make_data("text", "anchornet-text-cascade", results, "apache-2.0", "en"),
        template_path=str(ROOT / "model_cards/text_cascade_template.md"),
        cascade=settings,
        calibration=settings["calibration"],
        compared=compared,
        num_rows=rows,
        gaps=name_gaps(results),
        citation=CITATION,
    )
    card.save(ROOT / "model_cards/text_cascade.md")


def write_localizers_and_classifiers() -> None:
    """The two cards of each modality."""
    for modality, (task, dataset, language) in SETS.items():
        report, speed = read_results(modality), read_results(f"speed_{dataset}")
        folder = DEFAULTS[task][0]
        windows = find_classes(str(folder))[0].from_pretrained(folder).windows
        for kind, reading in (("localizer", ""), ("classifier", READINGS[modality])):
            results = list_results(modality, report, reading, dataset)
            is_measured = speed.get("settings", {}).get("localizer") == name_folder(folder)
            speed_ups = list_speed_ups(modality, speed) if is_measured and not reading else []
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
