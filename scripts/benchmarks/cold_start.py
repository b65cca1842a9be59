"""How long a first answer takes in a fresh process, beside a plain model of the same size."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    HfArgumentParser,
)

from hf_anchornet.files import write_json
from hf_anchornet.registration import DEFAULT_TEXT_LOCALIZER, register
from scripts.benchmarks.report_tables import describe_hardware
from scripts.benchmarks.timing import compare_times

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
    """How often to measure, and where the numbers go.

    Attributes:
        rounds: How often each program runs, in turn with the others.
        output: JSON file to write.
    """

    rounds: int = 7
    output: str = "results/cold_start.json"


def save_plain_model(folder: str) -> dict[str, int]:
    """Write a BERT with the localizer's tokenizer and as many parameters; both numbers."""
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


def time_process(code: str) -> tuple[float, float]:
    """Seconds of the processor, of all threads, and of the clock of a fresh Python process."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    before, started = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    passed, after = time.perf_counter() - started, getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed


def main() -> None:
    """Parse the options, measure, write, print."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    cpu: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    wall: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        parameters = save_plain_model(folder)
        for timed in range(options.rounds + 1):  # the round before the first fills the disk's cache
            for name, program in PROGRAMS.items():
                seconds, passed = time_process(program.format(folder=folder, text=TEXT))
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
