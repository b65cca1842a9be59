"""Write the numbers of results/*.json into the model cards and README's results."""

import json
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from hf_anchornet.hub import DEFAULT_IMAGE_LOCALIZER, DEFAULT_TEXT_LOCALIZER

ROOT = Path(__file__).parent.parent
MARKS = ("<!-- results: make bench -->\n", "<!-- end of results -->\n")
LOCALIZERS = {
    "text": (AutoModelForSequenceClassification, DEFAULT_TEXT_LOCALIZER),
    "image": (AutoModelForImageClassification, DEFAULT_IMAGE_LOCALIZER),
}
PIPELINES = {"text": "span-localization", "image": "patch-localization"}


def main() -> None:
    """Read each modality's JSON, where there is one; write its cards and tables."""
    tables = []
    for modality, make_tables in {"text": make_text_table, "image": make_image_table}.items():
        source = ROOT / f"results/{modality}.json"
        if source.exists():
            report = json.loads(source.read_text(encoding="utf-8"))
            write_cards(modality, report)
            tables.append(make_tables(report))
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    readme.write_text(before + MARKS[0] + "\n".join(tables) + MARKS[1] + after, encoding="utf-8")


def write_cards(modality: str, report: dict) -> None:
    """Fill the templates of a modality's localizer and classifier."""
    model_class, folder = LOCALIZERS[modality]
    windows = model_class.from_pretrained(folder).windows
    for kind in ("localizer", "classifier"):
        card = ModelCard.from_template(
            ModelCardData(
                language="en" if modality == "text" else None,
                license="apache-2.0",
                library_name="transformers",
                pipeline_tag=f"{modality}-classification",
                tags=["anchornet", PIPELINES[modality], "interpretability"],
            ),
            template_path=str(ROOT / f"model_cards/{modality}_{kind}_template.md"),
            windows=", ".join(map(str, sorted({window.size for window in windows}))),
            **report,
        )
        card.save(ROOT / f"model_cards/{modality}_{kind}.md")


def make_text_table(report: dict) -> str:
    """README's table of texts, in Markdown."""
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
    return format_table(("what", "result"), rows)


def make_image_table(report: dict) -> str:
    """README's table of images and a sentence on costs, in Markdown; the card has more rows."""
    local, rows = report["localizer"], []
    for name, scores in report["sets"].items():
        energy = f"{scores['energy']:.3f} ({scores['box_area']:.3f})"
        own = {"localizer": (f"{scores['accuracy']:.3f}", energy)}
        for source in ("localizer", "centre_box"):
            shares = (scores[x][source] for x in ("pointing", "box_iou_recall", "max_box_acc_v2"))
            accuracy, inside = own.get(source, ("", ""))
            what = f"{name} ({scores['num_images']:,} images), {source.replace('_', ' ')}"
            rows.append((what, accuracy, *(f"{share:.3f}" for share in shares), inside))
    for reading, row in report["classifiers"].items():
        cost = f"{row['pixels_read']:,} px, {row['multiply_adds'] / 1e6:.1f} M multiply-adds"
        rows.append((f"ResNet on {reading}, {cost}", f"{row['accuracy']:.3f}", *[""] * 4))
    head = ("images", "accuracy", "pointing", "top-3 IoU >= 1/2", "MaxBoxAccV2", "energy (area)")
    return (
        format_table(head, rows)
        + f"\nImage localizer at 224 px: {local['multiply_adds'] / 1e6:.1f} M multiply-adds, "
        f"{local['trunk_multiply_adds'] / 1e6:.1f} M of them in the trunk; largest relative error "
        f"of the\nadditive identity {local['additive_error']:.1e}, of padded batches against "
        f"single images {local['padded_error']:.1e}.\n"
    )


def format_table(head: tuple, rows: list) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(line)} |\n" for line in (head, *rows)]
    return lines[0] + "|" + "---|" * len(head) + "\n" + "".join(lines[1:])


if __name__ == "__main__":
    main()
