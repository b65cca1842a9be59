"""Compare what people would read with what a localizer selects: see `--help`.

Writes a JSON of all numbers, a table and a picture beside it, and prints the table.
"""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.data.splits import DataOptions, detect_modality, find_labels, load_split
from hf_anchornet.files import write_json
from hf_anchornet.model.backend import EAGER
from scripts.benchmarks.image_methods import ImageMethods, load_pictures, make_image_methods
from scripts.benchmarks.methods import CascadeMethod
from scripts.benchmarks.report_tables import (
    describe_hardware,
    format_report,
    format_stages,
    plot_report,
)
from scripts.benchmarks.speed import BenchmarkOptions, merge_reports, run_benchmark
from scripts.benchmarks.text_methods import TextMethods, load_texts, make_text_methods

KINDS = {
    "text": (TextMethods, load_texts, make_text_methods),
    "image": (ImageMethods, load_pictures, make_image_methods),
}


@dataclass
class Output:
    """What is measured, and where the numbers go.

    Attributes:
        split: Split to report on.
        cascades: Cascades to compare, too, as name=folder.
        output: JSON file to write; the table has its name with .md, the picture with .png.
        update: Whether what the file holds stays, where it is not measured again.
    """

    split: str = "test"
    cascades: list[str] = field(default_factory=list)
    output: str = "results/benchmark.json"
    update: bool = False


def make_parser(modality: str) -> HfArgumentParser:
    """The options of one modality."""
    options = [DataOptions, KINDS[modality][0], BenchmarkOptions, Output]
    return HfArgumentParser(options, description=f"Options for {modality}s.", allow_abbrev=False)


def main() -> None:
    """Parse the options, measure, write, print."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        for modality in KINDS:
            make_parser(modality).print_help()
        sys.exit(0)
    only_data = HfArgumentParser(DataOptions, allow_abbrev=False)
    data, _ = only_data.parse_args_into_dataclasses(return_remaining_strings=True)
    modality = detect_modality(data)
    _, load, make_methods = KINDS[modality]
    data, chosen, options, output = make_parser(modality).parse_args_into_dataclasses()
    inputs_column = data.text_column if modality == "text" else data.image_column
    labels = find_labels(load_split(data, output.split, inputs_column), data.label_column)
    inputs, targets = load(data, output.split, labels)
    options.set_threads()
    methods = make_methods(chosen, labels, options.backend)
    for item in output.cascades:
        name, folder = item.split("=", 1)
        methods[name] = CascadeMethod(folder, labels, options.backend)
    counted = options.backend != EAGER and not options.times_only
    eager = make_methods(chosen, labels) if counted else None
    report = run_benchmark(methods, inputs, targets, options, eager)
    settings = {**asdict(data), **asdict(chosen), **asdict(options), **asdict(output)}
    path = Path(output.output)
    numbers = {"num_rows": len(inputs), "hardware": describe_hardware(), "earlier": []}
    if output.update:
        before = json.loads(path.read_text("utf-8"))
        report = merge_reports(before["methods"], report)
        numbers["earlier"] = [*before.get("earlier", []), before["settings"]]
    write_json(path, {"settings": settings, **numbers, "methods": report})
    table = f"{format_report(report)}\n{format_stages(report)}"
    path.with_suffix(".md").write_text(table, encoding="utf-8")
    if not options.times_only or output.update:
        plot_report(report, path.with_suffix(".png"))
    print(table)


if __name__ == "__main__":
    main()
