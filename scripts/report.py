"""Write the numbers of results/text.json into the model cards and README's results table."""

import json
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from transformers import AutoModelForSequenceClassification

from hf_anchornet.hub import DEFAULT_TEXT_LOCALIZER

ROOT = Path(__file__).parent.parent
MARKS = ("<!-- results: make bench -->\n", "<!-- end of results -->\n")


def main() -> None:
    """Read the JSON, write the cards and the table."""
    report = json.loads((ROOT / "results/text.json").read_text(encoding="utf-8"))
    for name in ("text_localizer", "text_classifier"):
        write_card(name, report)
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    readme.write_text(before + MARKS[0] + make_table(report) + MARKS[1] + after, encoding="utf-8")


def write_card(name: str, report: dict) -> None:
    """Fill one card's template."""
    localizer = AutoModelForSequenceClassification.from_pretrained(DEFAULT_TEXT_LOCALIZER)
    sizes = sorted({window.size for window in localizer.windows})
    data = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["anchornet", "span-localization", "interpretability"],
    )
    card = ModelCard.from_template(
        data,
        template_path=str(ROOT / f"model_cards/{name}_template.md"),
        windows=", ".join(map(str, sizes)),
        **report,
    )
    card.save(ROOT / f"model_cards/{name}.md")


def make_table(report: dict) -> str:
    """README's table of results, in Markdown."""
    local, reads = report["localizer"], report["classifiers"]
    rows = [
        (f"localizer alone, IMDb test ({report['num_rows']:,} reviews): accuracy",
         f"{local['accuracy']:.4f}"),
        ("its multiply-adds per token", f"{local['multiply_adds_per_token']:,.0f}"),
        ("additive identity / chunked against whole, largest relative error, float32",
         f"{local['additive_error']:.1e} / {local['chunked_error']:.1e}"),
    ]  # fmt: skip
    for name, row in report["plausibility"].items():
        rows.append((f"{name} test: best token inside a human span", f"{row['pointing']:.3f}"))
        rows.append(
            (
                f"{name} test: token AUPRC, plain / smoothed (random {row['marked_share']:.3f})",
                f"{row['token_auprc']:.3f} / {row['token_auprc_smoothed']:.3f}",
            )
        )
    for name, row in reads.items():
        rows.append(
            (
                f"small BERT on {name.replace('_', ' ')}, {row['tokens_read']:.0f} tokens on "
                "average: accuracy",
                f"{row['accuracy']:.4f}",
            )
        )
    lines = ["| what | result |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
