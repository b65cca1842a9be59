"""The speed benchmark as a Markdown table and as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_anchornet.evaluation.tables import format_table
from scripts.benchmarks.methods import FULL_READING, find_resized

Report = Mapping[str, Mapping[str, Any]]
"""The numbers of each method, from `run_benchmark`."""


def format_report(report: Report) -> str:
    """A table with a row for each method: quality, cost, and speed for each setting timed.

    A dash stands for what cannot be counted.
    """
    first = next(iter(report.values()))
    timed = [(row["threads"], row["batch_size"]) for row in first["times"]]
    head = ["method"]
    if "accuracy" in first:
        head += ["accuracy", "macro F1", "M multiply-adds", "MB"]
    has_memory = any("peak_memory" in row for row in report.values())
    head += ["MB at once"] if has_memory else []
    for threads, batch_size in timed:
        where = f"batch {batch_size}, {_count_threads(threads)}"
        head += [f"ms, {where}", f"times faster, {where}"]
    rows = []
    for name, numbers in report.items():
        row = [name.replace("_", " ")]
        if "accuracy" in first:
            row += [f"{numbers[score]:.4f}" for score in ("accuracy", "macro_f1")]
            row += [_count_millions(numbers.get(number)) for number in ("multiply_adds", "size")]
        row += [_count_millions(numbers.get("peak_memory"))] if has_memory else []
        for times in numbers["times"]:
            ratio = times["speed_up"]
            spread = f"({ratio['min']:.1f} to {ratio['max']:.1f})"
            row += [f"{times['milliseconds']:.2f}", f"{ratio['median']:.1f} {spread}"]
        rows.append(row)
    return format_table(head, rows)


def format_stages(report: Report) -> str:
    """A list: each step's share of the time; of a cascade, the inputs that each stage answers."""
    lines = []
    for name, row in report.items():
        if len(row["stages"]) > 1:
            lines.append(_list_shares(name, row["stages"]))
        if "exits" in row:
            lines.append(_list_shares(f"{name}, inputs answered by", row["exits"]))
    return "".join(lines)


def _list_shares(name: str, shares: Mapping[str, float]) -> str:
    parts = ", ".join(f"{part} {share:.2f}" for part, share in shares.items())
    return f"- {name.replace('_', ' ')}: {parts}\n"


def _count_millions(number: float | None) -> str:
    return "-" if number is None else f"{number / 1e6:,.1f}"


def _count_threads(threads: int) -> str:
    return {0: "all threads", 1: "1 thread"}.get(threads, f"{threads} threads")


def plot_report(report: Report, path: str | Path) -> None:
    """Draw accuracy against milliseconds an input, for each batch size of the first threads timed.

    Of images a line joins what the whole image gives at its sizes: what is below it is not worth
    its time. Names keep clear of each other and of the points.
    """
    from adjustText import adjust_text
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    settings = next(iter(report.values()))["times"]
    shown = [
        index for index, row in enumerate(settings) if row["threads"] == settings[0]["threads"]
    ]
    figure = Figure(figsize=(6.5 * len(shown), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, index in zip(all_axes, shown, strict=True):
        places = {
            name: (row["times"][index]["milliseconds"], row["accuracy"])
            for name, row in report.items()
        }
        resized = find_resized(places)
        if resized:
            line = sorted(places[name] for name in (*resized, FULL_READING) if name in places)
            axes.plot(*zip(*line, strict=True), color="tab:gray", linestyle="--", zorder=0)
        for name, place in places.items():
            localizes = "localize" in report[name]["stages"] or "exits" in report[name]
            axes.scatter(*place, color="tab:orange" if localizes else "tab:blue")
        batch, threads = settings[index]["batch_size"], _count_threads(settings[index]["threads"])
        label = f"milliseconds an input (batch {batch}, {threads})"
        axes.set(xscale="log", xlabel=label)
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            formatter("{x:g}")
        axes.grid(alpha=0.3)
        names = [
            axes.text(*place, name.replace("_", " "), fontsize=8) for name, place in places.items()
        ]
        x, y = zip(*places.values(), strict=True)
        arrows = {"arrowstyle": "-", "color": "tab:gray", "linewidth": 0.5}
        adjust_text(names, x, y, ax=axes, arrowprops=arrows, expand=(1.15, 1.5))
    all_axes[0].set(ylabel="accuracy")
    figure.savefig(path, dpi=150)
