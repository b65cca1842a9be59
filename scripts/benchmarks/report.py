"""Write the numbers of results/*.json into results/README.md, and a few into README.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.benchmarks.evidence_tables import (
    describe_explainers,
    make_evidence_table,
    make_idea_table,
    make_retrieval_table,
    make_weight_table,
)
from scripts.benchmarks.headlines import make_headlines
from scripts.benchmarks.result_tables import (
    describe_pointing,
    describe_reference,
    make_ablation_table,
    make_builds_table,
    make_few_labels_table,
    make_image_table,
    make_int8_table,
    make_speed_table,
    make_starts_table,
    make_text_table,
    make_ways_table,
)
from scripts.benchmarks.scale_table import make_scale_table
from scripts.benchmarks.seeds import make_seeds_table

FOLDER = Path(__file__).parents[2] / "results"
MARK = "<!-- results: {} -->\n"
END = "<!-- end of results -->\n"
SETS = {
    "imdb": "IMDb reviews",
    "movie_rationales": "long movie reviews",
    "newsgroups20": "20 newsgroups",
    "cuad_windows": "contract passages",
    "fod_a": "photos (FOD-A)",
    "megapixel_mnist": "sheets of 1,500 px (megapixel MNIST; full: resized to 448 px)",
    "pcb_panels": "circuit boards of 1,280 px (pcb_panels; full: resized to 448 px)",
}
LINEAR = """
## Ablation: a linear model in the localizer

The gated localizer of IMDb reviews, validation splits. A linear model of the same n-grams
(naive-Bayes log ratios) is added with each weight; `chosen` is the weight of least validation loss,
beside 1 for what was learned. `ngrams` is the accuracy of the n-gram branches alone.

"""
TAUGHT = """
With MiniLM as a teacher: n-grams that are in at most this share of the texts correct what was
learned from it, by ridge regression or (log ratios) as above. The shipped localizer has 0.03.

"""
WAYS = """
Ways to count the n-grams of 1 to 3 tokens for the linear model alone (seen five times, unless said
otherwise; weights of 16 bits and codes), each fitted in the same way: accuracy on validation
splits.

"""
STARTS = """
## Ablation: what an image localizer starts from

Photos (FOD-A), validation split, {epochs} epochs each with a gate and the square root of the
number of windows: the layers of `anchornet train` with new weights, or the first blocks of
EfficientNet-Lite0, which know ImageNet, without padding (`--backbone`; windows of 35, 67 and 83
px); taught: the same network, trained on whole photos, rates each crop (`--teacher`). Minutes are
those of a busy machine (`make ablation-image-starts`).

"""
FEW_LABELS = """
## Few labels: {rows:,} IMDb test reviews

Mean of {draws} draws (lowest to highest) of so many labelled reviews a label. `unigrams`: TF-IDF
and logistic regression. `frozen`: sentence embeddings of MiniLM-L6 and logistic regression.
`setfit`: MiniLM-L6 fine-tuned on pairs (SetFit; {pairs} pairs of each kind a text), and logistic
regression. `localizer`: `anchornet train --encoder` of MiniLM-L6, by its defaults
(`make bench-few-labels`).

"""
BUILDS = """
## `anchornet build` on small sets

Mean over draws (lowest to highest) of accuracy on the set's own test split, which the build did not
see, beside a logistic regression (TF-IDF of words and pairs; 32 x 32 pixels of photos) on the same
rows, and `of all rows`: of those given, a build holds out 15 % to calibrate and 15 % to compare on.
The verdict is right if it says "worth it" where what was built is better than the linear model of
the same rows and the majority by half a point, and only there. Minutes are those of a busy machine
(`make bench-builds`).

"""
SEEDS = """
## Localizers of several seeds

Mean over trainings that differ in their seed alone (lowest to highest), test splits: how much a
difference between two trained localizers means. Evidence as above (`make bench-seeds`).

"""
RUNS = {"": "", "_onnx": "On ONNX Runtime: "}
"""Ends of file names: the main run of a set, and times on another backend."""
MARKED_SETS = {
    "imdb_rationales": "IMDb rationales",
    "movie_rationales": "long movie reviews",
    "tweet_sentiment_extraction": "tweets",
    "toxic_spans_civil": "toxic spans",
    "fod_a": "photos (FOD-A)",
}
OTHER_MODELS = {
    "": "the localizer",
    "_cascade": "the cascade; `answer` explains the answer of whoever gave it",
    "_minilm": "MiniLM-L6",
    "_lite0": "EfficientNet-Lite0",
}
"""Explained models by the end of the file name."""
LINEAR_MODELS = {
    "nb_lr": "logistic regression on n-grams scaled by naive-Bayes log ratios, its coefficients",
    "tfidf_svm": "a linear SVM on TF-IDF of n-grams, its coefficients",
}
"""Explained linear models by their names in evidence_*_linear.json."""


def describe_ablations(found: Mapping[str, Any]) -> str:
    """The sections of the ablations, from reports by the name of their file."""
    page = make_ablation_table(found["ablation"])
    if "ablation_evidence" in found:
        page += f"\n## Ablation: better evidence\n\n{make_idea_table(found['ablation_evidence'])}"
    if "ablation_evidence_teacher" in found:
        taught = make_idea_table(found["ablation_evidence_teacher"])
        page += f"\nWith 1,000 reviews alone, and MiniLM as a teacher:\n\n{taught}"
    if "ablation_linear_ngrams" in found:
        page += LINEAR + make_weight_table(found["ablation_linear_ngrams"])
    if "ablation_taught_ngrams" in found:
        page += TAUGHT + make_weight_table(found["ablation_taught_ngrams"], "largest share")
    if "ablation_ngram_tables" in found:
        page += WAYS + make_ways_table(found["ablation_ngram_tables"])
    if "ablation_image_starts" in found:
        starts = found["ablation_image_starts"]
        epochs = starts["settings"]["training"]["num_epochs"]
        page += STARTS.format(epochs=epochs) + make_starts_table(starts)
    return page


def describe_few_labels(report: Mapping[str, Any]) -> str:
    """The section on few labels."""
    settings = report["settings"]["comparison"]
    pairs = " or ".join(map(str, settings["setfit_iterations"]))
    head = FEW_LABELS.format(rows=report["num_rows"], draws=settings["draws"], pairs=pairs)
    return head + make_few_labels_table(report)


def main() -> None:
    """Read the JSON files, write the page of all results and the numbers of README.md."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
    page = (FOLDER / "introduction.md").read_text("utf-8")
    for command, table in make_overview(found).items():
        page = fill(page, command, table, end="")
    page += f"{make_text_table(found['text'])}\n{make_image_table(found['image'])}"
    page += describe_reference(found["reference"])
    page += describe_speed(found)
    if "few_labels" in found:
        page += describe_few_labels(found["few_labels"])
    if "builds" in found:
        page += BUILDS + make_builds_table(found["builds"])
    page += describe_ablations(found)
    int8 = {kind: found[f"int8_{kind}"] for kind in ("text", "image")}
    page += f"\n## Localizers of 8-bit weights on ONNX Runtime\n\n{make_int8_table(int8)}"
    page += describe_evidence(found)
    (FOLDER / "README.md").write_text(page, "utf-8")
    readme = FOLDER.parent / "README.md"
    text = fill(readme.read_text("utf-8"), "make bench-speed bench-evidence", make_headlines(found))
    readme.write_text(text, "utf-8")


def make_overview(found: Mapping[str, Any]) -> dict[str, str]:
    """The tables at the top of the page by the command that measures them."""
    speed = {SETS[name]: report for name, report in find_speed(found).items()}
    on_onnx = {
        SETS[name]: found[f"speed_{name}_onnx"] for name in SETS if f"speed_{name}_onnx" in found
    }
    shown, linear = {}, {}
    for name, report in find_evidence(found).items():
        shown[MARKED_SETS[name]] = report["explanations"]
        linear[MARKED_SETS[name]] = read_linear(found, name)
    answers = {
        title: found[f"evidence_{name}_cascade"]["explanations"]
        for name, title in MARKED_SETS.items()
        if f"evidence_{name}_cascade" in found
    }
    tables = {
        "make bench-speed": make_speed_table(speed, on_onnx),
        "make bench-evidence": make_evidence_table(shown, linear, answers),
        "make bench-scale": make_scale_table(found),
    }
    if "retrieval_cuad_insurance" in found:
        table = make_retrieval_table(found["retrieval_cuad_insurance"])
        tables["make bench-evidence, contracts"] = table
    return tables


def describe_speed(found: Mapping[str, Any]) -> str:
    """Every method of each set, with its time."""
    page = ""
    for name, report in find_speed(found).items():
        page += f"\n## {SETS[name]}: {report['num_rows']:,} rows of the test split\n\n"
        for run, what in RUNS.items():
            if f"speed_{name}{run}" in found:
                hardware = found[f"speed_{name}{run}"]["hardware"]
                table = (FOLDER / f"speed_{name}{run}.md").read_text("utf-8")
                page += f"{what}{hardware}\n\n{table}\n"
        if f"boxes_{name}" in found:
            page += describe_pointing(found[f"boxes_{name}"])
        page += f"![Accuracy and milliseconds of each method](speed_{name}.png)\n"
    return page


def describe_evidence(found: Mapping[str, Any]) -> str:
    """Every explainer of each set, of every explained model."""
    page = ""
    for name in find_evidence(found):
        models = {
            model: found[f"evidence_{name}{end}"]["explanations"]
            for end, model in OTHER_MODELS.items()
            if f"evidence_{name}{end}" in found
        }
        models |= {
            LINEAR_MODELS[rival]: report for rival, report in read_linear(found, name).items()
        }
        page += describe_explainers(MARKED_SETS[name], models)
    gathered = {
        title: found[f"seeds_{name}"]
        for name, title in MARKED_SETS.items()
        if f"seeds_{name}" in found
    }
    return page + SEEDS + make_seeds_table(gathered) if gathered else page


def find_speed(found: Mapping[str, Any]) -> dict[str, Any]:
    """Reports on speed by the name of their set."""
    return {name: found[f"speed_{name}"] for name in SETS if f"speed_{name}" in found}


def find_evidence(found: Mapping[str, Any]) -> dict[str, Any]:
    """Reports on evidence by the name of their set."""
    return {name: found[f"evidence_{name}"] for name in MARKED_SETS if f"evidence_{name}" in found}


def read_linear(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Reports on explanations of linear models of a set by the model; {} if not measured."""
    rivals = found.get(f"evidence_{name}_linear", {"rivals": {}})["rivals"]
    return {rival: row["explanations"] for rival, row in rivals.items()}


def fill(text: str, command: str, table: str, end: str = END) -> str:
    """A text with a table after the mark of a command.

    Args:
        text: The text; with `end`, what stands between the mark and the next `end` is replaced.
        command: The command that measures the numbers.
        table: The table.
        end: The mark of its end; "" where there is none.
    """
    mark = MARK.format(command)
    before, rest = text.split(mark)
    return before + mark + table + (end + rest.split(end, 1)[1] if end else rest)


if __name__ == "__main__":
    main()
