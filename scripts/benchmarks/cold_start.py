"""Time to a first answer in a fresh process, beside a plain model of the same size."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from hf_anchornet.files import write_json
from hf_anchornet.registration import DEFAULT_TEXT_LOCALIZER, register
from scripts.benchmarks.machine import describe_hardware
from scripts.benchmarks.timing import compare_times, time_process
from scripts.options import parse_options

TEXT = "I loved it. The cast is superb, and only the ending is dull."
PLAIN = """
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained({folder!r})
model(**AutoTokenizer.from_pretrained({folder!r})({text!r}, return_tensors="pt"))
"""
OURS = """
from transformers import pipeline
import hf_anchornet
pipeline("span-localization")({text!r})
"""
PROGRAMS = {
    "plain_model": PLAIN,
    "span_localization": OURS,
    "import_hf_anchornet": "import hf_anchornet",
    "import_transformers_pipeline": "from transformers import pipeline",
}


@dataclass
class Options:
    """Options of the benchmark.

    Attributes:
        rounds: Runs of each program, in turn with the others.
        output: JSON file to write.
    """

    rounds: int = 7
    output: str = "results/cold_start.json"


def save_plain_model(folder: str) -> dict[str, int]:
    """Save a BERT of the localizer's size with its tokenizer; the parameters of both models."""
    register()
    localizer = AutoModelForSequenceClassification.from_pretrained(DEFAULT_TEXT_LOCALIZER)
    tokenizer = AutoTokenizer.from_pretrained(DEFAULT_TEXT_LOCALIZER)

    def make(width: int) -> BertForSequenceClassification:
        return BertForSequenceClassification(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=4 * width,
            )
        )

    wanted = localizer.num_parameters()
    sizes = {width: make(width).num_parameters() for width in range(16, 513, 8)}
    model = make(min(sizes, key=lambda width: abs(sizes[width] - wanted)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"span_localization": wanted, "plain_model": model.num_parameters()}


def main() -> None:
    """Parse the options, measure, write, print."""
    (options,) = parse_options(Options, description=__doc__)
    cpu: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    wall: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        parameters = save_plain_model(folder)
        for timed in range(options.rounds + 1):  # the round before the first fills the disk's cache
            for name, program in PROGRAMS.items():
                code = program.format(folder=folder, text=TEXT)
                seconds, passed = time_process(["-c", code])
                if timed:
                    cpu[name].append(seconds)
                    wall[name].append(passed)
    report = {"rounds": options.rounds, "hardware": describe_hardware(), "parameters": parameters}
    for clock, found in (("processor", cpu), ("clock", wall)):
        ratio = compare_times(found["span_localization"], found["plain_model"])
        medians = {name: median(seconds) for name, seconds in found.items()}
        report[clock] = {"seconds": medians, "span_localization_over_plain_model": ratio}
        print(clock, report[clock])
    write_json(Path(options.output), report)


if __name__ == "__main__":
    main()
