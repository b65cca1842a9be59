"""README's table of measurements at scale, in Markdown."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hf_anchornet.evaluation.tables import format_table

Report = Mapping[str, Any]
"""The content of one of the JSON files."""


def _describe_training(report: Report) -> str:
    return (
        f"{report['speed']['speedup']:.2f} times the steps a second of one process; losses of the "
        f"same batches differ by at most {report['float64']['largest_loss_difference']:.1e}"
    )


def _describe_streaming(report: Report) -> str:
    marks = report["settings"]["marks"]
    return f"{marks[-1]:,} rows: peak memory {report['ratio']:.2f} times that of {marks[0]:,} rows"


def _describe_corpus(report: Report) -> str:
    found = {row["workers"]: row for row in report["times_faster"]}
    most = max(found)
    return (
        f"{most} processes: {found[most]['without_loading']:.1f} times faster than a loop over the "
        f"pipeline ({found[most]['whole']:.1f} with loading), {report['differing_rows']} answers "
        "differ"
    )


def _describe_long_input(report: Report) -> str:
    text, image = report["text"], report["image"]
    side = image["sizes"][-1]["size"]
    return (
        f"{text['sizes'][-1]['size']:,} tokens: {text['process_ratio']:.2f} times the memory of "
        f"{text['sizes'][0]['size']:,}, besides the text; {side:,} px a side: "
        f"{image['work_bytes'] / 1e6:,.1f} MB besides the picture and the model"
    )


def _describe_serving(report: Report) -> str:
    run, memory = report["long_run"], report["long_run"]["memory"]
    return (
        f"{run['clients']} clients, {run['seconds'] / 60:.0f} minutes: "
        f"{run['requests_per_second']:.1f} reviews a second, p50 / p99 {run['p50_ms']:.1f} / "
        f"{run['p99_ms']:.1f} ms, {sum(run['errors'].values())} errors; memory "
        f"{memory['settled_mib']:.1f} MiB after a minute, {memory['end_mib']:.1f} at the end"
    )


def _describe_fuzzing(report: Report) -> str:
    return f"{report['cases']:,} cases, {report['failures']} failures"


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        what: What was measured.
        page: Its page in docs/.
        describe: Makes the cell with the numbers from the content of the JSON file.
    """

    what: str
    page: str
    describe: Callable[[Report], str]


ROWS = {
    "training_scale": Row(
        "`accelerate launch -m hf_anchornet train`, two processes", "scale", _describe_training
    ),
    "streaming": Row("`anchornet train --streaming True`", "scale", _describe_streaming),
    "corpus": Row(
        "`anchornet localize --input 'reviews/*.parquet'`, or `--engine ray`",
        "corpora",
        _describe_corpus,
    ),
    "long_input": Row("long texts and large pictures", "long_input", _describe_long_input),
    "serving": Row("`anchornet serve`: HTTP, batches", "serving", _describe_serving),
    "fuzzing": Row("random and damaged input", "security", _describe_fuzzing),
}
"""The rows by the name of the JSON file in results/."""


def make_scale_table(reports: Mapping[str, Report]) -> str:
    """The table from the contents of the JSON files of `make bench-scale`, by name."""
    rows = []
    for name, row in ROWS.items():
        found, links = "not measured", f"[how](../docs/{row.page}.md)"
        if name in reports:
            found = row.describe(reports[name])
            links += f", [numbers]({name}.json)"
        rows.append((row.what, found, links))
    return format_table(("what", "measured", "more"), rows)
