"""report.html: the verdict, the numbers behind it and a few inputs with their evidence."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .picture import draw_scores

REPORT_FILE = "report.html"

PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse}}td,th{{padding:.2em 1em .2em 0;text-align:start}}
td.n{{text-align:end;font-variant-numeric:tabular-nums}}svg{{max-width:100%;height:auto}}
.verdict{{font-size:1.2em;font-weight:bold}}article{{margin:1em 0;padding:1em 0;
border-top:1px solid #ccc}}pre{{overflow-x:auto}}</style>
<h1>{title}</h1>
<p class="verdict">{verdict}</p>
{body}
</html>
"""


def write_report(
    folder: Path, content: Mapping[str, Any], noun: str, examples: Sequence[str]
) -> None:
    """Write the page.

    Args:
        folder: Folder of the build.
        content: Of build.json.
        noun: What the inputs are called.
        examples: Inputs with their evidence, as HTML.
    """
    measured, steps = content["measured"], content["steps"]
    scores = measured["compared"]
    body = [
        f"<p>Compared on the same {measured['num_rows']:,} {noun} of split "
        f"{escape(measured['split'])}, in the same run, batches of 32.</p>",
        draw_scores(scores),
        _make_table(
            ("model", "accuracy", "macro F1", "milliseconds", "difference in accuracy"),
            (
                (
                    name,
                    f"{row['accuracy']:.4f}",
                    f"{row['macro_f1']:.4f}",
                    f"{row['milliseconds']:.2f}",
                    _say_difference(measured["differences"].get(name)),
                )
                for name, row in scores.items()
            ),
        ),
        f"<p>The last column: accuracy of the {measured['answer']}, which this folder answers "
        "with, minus that of the model; in brackets the interval in which it lies with 95 % "
        "confidence. The linear model is a logistic regression of n-grams (texts) or of resized "
        "pictures; the majority is the most frequent label. Macro F1 is the mean of the F1 of all "
        "labels: rare ones weigh as much as frequent ones.</p>",
    ]
    if "calibration" in steps:
        body += _describe_calibration(steps["calibration"]["result"])
    body += [
        "<h2>How it was built</h2>",
        *(f"<p>{escape(note[:1].upper() + note[1:])}.</p>" for note in content.get("notes", [])),
        _make_table(
            ("step", "seconds"),
            ((name, f"{step['seconds']:.0f}") for name, step in steps.items()),
        ),
    ]
    body += ["<h2>Examples of the test split</h2>", *map(_frame, examples)]
    title = f"{folder.resolve().name}: built by hf_anchornet"
    page = PAGE.format(
        title=escape(title), verdict=escape(content["verdict"]["text"]), body="\n".join(body)
    )
    partial = folder / f".{REPORT_FILE}.partial"
    partial.write_text(page, "utf-8")
    partial.replace(folder / REPORT_FILE)


def _describe_calibration(result: Mapping[str, Any]) -> list[str]:
    record = result["record"]
    shares = ((name, f"{share:.1%}") for name, share in record["share_leaving"].items())
    return [
        "<h2>Who answers</h2>",
        f"<p>On {record['split']['num_rows']:,} rows of split "
        f"{escape(record['split']['name'])}:</p>",
        _make_table(("stage", "share of the inputs"), shares),
        *(f"<p>Warning: {escape(warning)}</p>" for warning in result["warnings"]),
    ]


def _make_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(
        f"<tr><td>{escape(row[0])}</td>"
        + "".join(f'<td class="n">{escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{names}</tr>{lines}</table>"


def _say_difference(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['mean']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})"


def _frame(fragment: str) -> str:
    return f"<article>{fragment}</article>"
