"""Write the numbers of results/*.json into README and into results/README.md."""

import json
from pathlib import Path

from hf_anchornet.explanation_tables import describe_explainers, make_evidence_table
from hf_anchornet.result_tables import (
    describe_reference,
    make_ablation_table,
    make_image_table,
    make_int8_table,
    make_speed_table,
    make_text_table,
)

FOLDER = Path(__file__).parent.parent / "results"
MARKS = ("<!-- results: make bench-speed -->\n", "<!-- end of results -->\n")
SETS = {
    "imdb": "IMDb reviews",
    "movie_rationales": "long movie reviews",
    "newsgroups20": "20 newsgroups",
    "cuad_windows": "contract passages",
    "fod_a": "photos (FOD-A)",
}
RUNS = {"": "", "_onnx": "On ONNX Runtime: "}
"""The files of a set, by the end of the name: all numbers; times on another backend."""

EVIDENCE_MARKS = ("<!-- results: make bench-evidence -->\n", "<!-- end of evidence -->\n")
MARKED_SETS = {
    "imdb_rationales": "IMDb rationales",
    "movie_rationales": "long movie reviews",
    "tweet_sentiment_extraction": "tweets",
    "toxic_spans_civil": "toxic spans",
    "fod_a": "photos (FOD-A)",
}
OTHER_MODELS = {"": "the localizer", "_minilm": "MiniLM-L6", "_lite0": "EfficientNet-Lite0"}
"""Models that are explained, by the end of the name of their file."""

INTRODUCTION = """# Results

Written by `scripts/report.py` from the JSON files beside it: text.json and image.json are those
of `make bench-text` and `make bench-image`, reference.json of `make check-reference`,
speed_*.json of `make bench-speed`, ablation.json of `make ablation`, int8_*.json of `make
bench-int8`; not shown here are backends.json, cold_start.json and web_demo.json of `make
bench-backends`, `bench-cold-start` and `bench-demo`. Test splits, read once with each version;
all was chosen on validation splits. Human spans (IMDb rationales, Lu et al. 2022; movie
rationales, Zaidan et al. 2007, ERASER) and boxes were never trained on. Smoothed: each token
scores the mean of its sentence. Pointing: the best patch's centre is in a box.

Each small BERT and ResNet of the first two tables has the same architecture and options on every
reading and reads what it was trained on; the control BERTs are an earlier version's. On these
reviews the localizer alone is the better classifier: the small BERT shows that spans can replace
the text, not that it is needed.

Of the tables of MiniLM-L6 and EfficientNet-Lite0: head, crop, TextRank and TF-IDF of reviews are
read by a MiniLM trained on random crops of all reviews, full reviews and spans by two that started
from it with the same 8,000 reviews, long reviews by the same three. Newsgroups and contracts have
one MiniLM each, trained on spans of 64 tokens and on the first 512, for every method. Photos have
one Lite0 a method. A round of times runs every method in turn, in one process.

Photos fall short of the aim, 3 times faster at one point less. Lite0 at 96 px takes half of its
time at 224 px for a fifth of the work, so localizer and selection weigh more than in texts. The
best patch alone loses one point, and the localizer is sure of some wrong answers; 7 more epochs on
patches, two patches instead of one and other thresholds changed nothing on the validation split.

"""


def main() -> None:
    """Read the JSON files; write README's results and the page of all results."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
    page = INTRODUCTION
    page += f"{make_text_table(found['text'])}\n{make_image_table(found['image'])}"
    page += describe_reference(found["reference"])
    speed = {name: found[f"speed_{name}"] for name in SETS if f"speed_{name}" in found}
    for name, report in speed.items():
        page += f"\n## {SETS[name]}: {report['num_rows']:,} rows of the test split\n\n"
        for run, what in RUNS.items():
            if f"speed_{name}{run}" in found:
                hardware = found[f"speed_{name}{run}"]["hardware"]
                table = (FOLDER / f"speed_{name}{run}.md").read_text("utf-8")
                page += f"{what}{hardware}\n\n{table}\n"
        page += f"![Accuracy and milliseconds of each method](speed_{name}.png)\n"
    page += make_ablation_table(found["ablation"])
    int8 = {kind: found[f"int8_{kind}"] for kind in ("text", "image")}
    page += f"\n## Localizers of 8-bit weights on ONNX Runtime\n\n{make_int8_table(int8)}"
    evidence = {
        name: found[f"evidence_{name}"] for name in MARKED_SETS if f"evidence_{name}" in found
    }
    for name in evidence:
        page += describe_explainers(
            MARKED_SETS[name],
            {
                shown: found[f"evidence_{name}{end}"]["explanations"]
                for end, shown in OTHER_MODELS.items()
                if f"evidence_{name}{end}" in found
            },
        )
    (FOLDER / "README.md").write_text(page, "utf-8")
    on_onnx = {
        SETS[name]: found[f"speed_{name}_onnx"] for name in speed if f"speed_{name}_onnx" in found
    }
    table = make_speed_table({SETS[name]: report for name, report in speed.items()}, on_onnx)
    fill_readme(MARKS, table)
    shown = {MARKED_SETS[name]: report["explanations"] for name, report in evidence.items()}
    fill_readme(EVIDENCE_MARKS, make_evidence_table(shown))


def fill_readme(marks: tuple[str, str], table: str) -> None:
    """Replace what stands between two marks in README."""
    readme = FOLDER.parent / "README.md"
    before, rest = readme.read_text("utf-8").split(marks[0])
    readme.write_text(before + marks[0] + table + marks[1] + rest.split(marks[1])[1], "utf-8")


if __name__ == "__main__":
    main()
