"""What holds at scale, as one table in Markdown: each row a measurement of its own."""

from collections.abc import Mapping
from typing import Any

from .benchmark_report import format_table

Report = Mapping[str, Any]
"""The content of one of the JSON files."""


def make_scale_table(reports: Mapping[str, Report]) -> str:
    """README's table of scale.

    Args:
        reports: By name the JSON files of `make bench-scale`; what was not measured has no row.
    """
    makers = {
        "training_scale": (_describe_training, "scale"),
        "streaming": (_describe_streaming, "scale"),
        "corpus": (_describe_corpus, "corpora"),
        "long_input": (_describe_long_input, "long_input"),
        "serving": (_describe_serving, "serving"),
        "fuzzing": (_describe_fuzzing, "security"),
    }
    rows = [
        (*describe(reports[name]), f"[how](docs/{page}.md), [numbers](results/{name}.json)")
        for name, (describe, page) in makers.items()
        if name in reports
    ]
    return format_table(("what", "measured", "more"), rows)


def _describe_training(report: Report) -> tuple[str, str]:
    difference = report["float64"]["largest_loss_difference"]
    return (
        "`accelerate launch -m hf_anchornet train` on two processes",
        f"{report['speed']['speedup']:.2f} times the steps a second of one; losses of the same "
        f"batches differ by at most {difference:.1e}",
    )


def _describe_streaming(report: Report) -> tuple[str, str]:
    marks = report["settings"]["marks"]
    return (
        f"`anchornet train --streaming True`, {marks[-1]:,} rows",
        f"peak memory {report['ratio']:.2f} times that of {marks[0]:,} rows",
    )


def _describe_corpus(report: Report) -> tuple[str, str]:
    found = {row["workers"]: row for row in report["times_faster"]}
    most = max(found)
    return (
        f"`anchornet localize --input 'reviews/*.parquet'`, {most} processes (or `--engine ray`)",
        f"{found[most]['without_loading']:.1f} times faster than a loop over the pipeline "
        f"({found[most]['whole']:.1f} with loading), {report['differing_rows']} answers differ",
    )


def _describe_long_input(report: Report) -> tuple[str, str]:
    text, image = report["text"], report["image"]
    picture = image["sizes"][-1]
    beside = (picture["peak_bytes"] - picture["input_bytes"]) / 1e6
    side = f"{picture['size']:,}"
    return (
        f"a text of {text['sizes'][-1]['size']:,} tokens; a picture of {side} x {side} px",
        f"{text['process_ratio']:.2f} times the memory of {text['sizes'][0]['size']:,} tokens, "
        f"besides the text; {beside:,.1f} MB besides the decoded picture and the model",
    )


def _describe_serving(report: Report) -> tuple[str, str]:
    run = report["long_run"]
    memory = run["memory"]
    return (
        f"`scripts/serve.py`, {run['clients']} clients for {run['seconds'] / 60:.0f} minutes",
        f"{run['requests_per_second']:.1f} reviews a second, p50 / p99 {run['p50_ms']:.1f} / "
        f"{run['p99_ms']:.1f} ms, {sum(run['errors'].values())} errors; memory "
        f"{memory['settled_mib']:.1f} MiB after a minute, {memory['end_mib']:.1f} at the end",
    )


def _describe_fuzzing(report: Report) -> tuple[str, str]:
    return (
        "geometry, selection, offsets and pipelines on random and damaged input",
        f"{report['cases']:,} cases, {report['failures']} failures",
    )
