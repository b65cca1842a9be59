"""Write the numbers of results/*.json into the model cards."""

import json
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from hf_anchornet.hub import DEFAULT_IMAGE_LOCALIZER, DEFAULT_TEXT_LOCALIZER

ROOT = Path(__file__).parent.parent
LOCALIZERS = {
    "text": (AutoModelForSequenceClassification, DEFAULT_TEXT_LOCALIZER),
    "image": (AutoModelForImageClassification, DEFAULT_IMAGE_LOCALIZER),
}
PIPELINES = {"text": "span-localization", "image": "patch-localization"}


def main() -> None:
    """Read the JSON of each modality; write its cards."""
    for modality in LOCALIZERS:
        source = ROOT / f"results/{modality}.json"
        write_cards(modality, json.loads(source.read_text(encoding="utf-8")))


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


if __name__ == "__main__":
    main()
