"""Time `anchornet localize --input` against a loop of one text a call, and draw how both grow."""

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.corpus import CorpusBenchmark, benchmark_corpus, plot_growth, write_rows
from scripts.benchmarks.report_tables import describe_hardware


@dataclass
class Options(CorpusBenchmark):
    """What is measured, and where the numbers go; see `CorpusBenchmark` for the rest.

    Attributes:
        output: JSON file to write; the picture gets the same name and ends in .png.
    """

    output: str = "results/corpus.json"


def main() -> None:
    """Parse the options, measure, write, print."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    folder = Path(tempfile.mkdtemp(prefix="corpus_"))
    try:
        report = benchmark_corpus(options, write_rows(options, folder), folder)
    finally:
        shutil.rmtree(folder)
    report |= {"hardware": describe_hardware(), "options": asdict(options)}
    output = Path(options.output)
    write_json(output, report)
    plot_growth(report, output.with_suffix(".png"))
    for run in report["rows"]:
        print(run)
    print({name: report[name] for name in ("times_faster", "differing_rows")})


if __name__ == "__main__":
    main()
