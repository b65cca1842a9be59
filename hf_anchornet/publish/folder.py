"""From a model's folder to one for the Hub: checked, with remote code and a card."""

import json
import shutil
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

from hf_anchornet.model.cascade_file import CASCADE_FILE, CLASSIFIER_FOLDER
from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.modeling_anchornet_image import (
    AnchorNetForImageClassification,
    AnchorNetImageModel,
)
from hf_anchornet.model.modeling_anchornet_text import (
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
)
from hf_anchornet.model.pipeline_anchornet_image import PatchLocalizationPipeline
from hf_anchornet.model.pipeline_anchornet_text import SpanLocalizationPipeline

from .card import TRAINING_FILE, CardSources, write_card
from .check import check_folder

MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
CARD_FILES = ("README.md", "*.png", "*.jpg")

REMOTE_CODE: dict[str, tuple[dict[str, Any], Any]] = {
    "anchornet_text": (
        {
            "AutoConfig": AnchorNetTextConfig,
            "AutoModel": AnchorNetTextModel,
            "AutoModelForSequenceClassification": AnchorNetTextForSequenceClassification,
        },
        SpanLocalizationPipeline,
    ),
    "anchornet_image": (
        {
            "AutoConfig": AnchorNetImageConfig,
            "AutoModel": AnchorNetImageModel,
            "AutoModelForImageClassification": AnchorNetForImageClassification,
            "AutoImageProcessor": AnchorNetImageProcessor,
        },
        PatchLocalizationPipeline,
    ),
}
"""Of each model type what a process without the package needs: Auto classes and a pipeline."""


def build_folder(
    source: str | Path, target: str | Path, sources: CardSources | None = None
) -> list[Path]:
    """Write what is uploaded: weights, configuration, processor, code, card.

    Args:
        source: Folder of a localizer, a cascade or a classifier.
        target: Folder to write, a new or an empty one.
        sources: What the card tells; `sources.picture` is the path of a file to copy.

    Returns:
        The files, relative to `target`.

    Raises:
        ValueError: if `source` must not be published, see `check_folder`, or `target` is not empty.
    """
    source, target, sources = Path(source), Path(target), sources or CardSources()
    check_folder(source)
    if target.exists() and list(target.iterdir()):
        raise ValueError(
            f"`target` must be a new or an empty folder, got {target}; choose another."
        )
    _copy_files(source, target, MODEL_FILES + CARD_FILES)
    if (source / CASCADE_FILE).exists() and (source / CLASSIFIER_FOLDER).is_dir():
        _copy_files(source / CLASSIFIER_FOLDER, target / CLASSIFIER_FOLDER, MODEL_FILES)
    _add_remote_code(target)
    if sources.card:
        shutil.copyfile(sources.card, target / "README.md")
    if sources.picture:
        shutil.copy(sources.picture, target)
        sources = replace(sources, picture=Path(sources.picture).name)
    write_card(target, sources)
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())


def _copy_files(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns):
            shutil.copyfile(path, target / path.name)
    report = target / TRAINING_FILE
    if report.exists():  # paths of this machine are nobody's business
        content = json.loads(report.read_text("utf-8"))
        content.get("options", {}).pop("output_dir", None)
        _write_json(report, content)


def _add_remote_code(folder: Path) -> None:
    """Copy the ring's files of an AnchorNet next to it and name its classes in the JSON files."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config["model_type"] not in REMOTE_CODE:
        return
    classes, pipeline_class = REMOTE_CODE[config["model_type"]]
    files = {str(sys.modules[owner.__module__].__file__) for owner in classes.values()}
    files.add(str(sys.modules[pipeline_class.__module__].__file__))
    for file in files | {needed for one in files for needed in get_relative_import_files(one)}:
        shutil.copyfile(file, folder / Path(file).name)
    config["auto_map"] = {name: _locate(owner) for name, owner in classes.items()}
    task = pipeline_class.task_name
    config["custom_pipelines"] = {
        task: pipeline_class._registered_impl[task]
        | {
            "impl": _locate(pipeline_class),
            "pt": [owner.__name__ for owner in pipeline_class._registered_impl[task]["pt"]],
        }
    }
    processor = config["auto_map"].pop("AutoImageProcessor", None)
    _write_json(folder / "config.json", config)
    if processor is not None:
        path = folder / "preprocessor_config.json"
        content = json.loads(path.read_text("utf-8"))
        _write_json(path, content | {"auto_map": {"AutoImageProcessor": processor}})


def _locate(owner: type) -> str:
    return f"{owner.__module__.rpartition('.')[2]}.{owner.__name__}"


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
