"""The folder to upload: a checked copy of a model with remote code and a card."""

import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

from hf_anchornet.files import read_json, write_json
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

from .card import EVALUATION_FILE, TRAINING_FILE, CardSources, write_card
from .check import check_folder
from .model_files import CARD_FILE, list_model_files

PATH_OPTIONS = (
    "dataset",
    "localizer",
    "classifier",
    "from_localizer",
    "backbone",
    "encoder",
    "tokenizer",
    "embeddings",
    "teacher",
)
"""Training options whose value is a Hub id or a local path."""

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
"""By model type: the Auto classes and the pipeline that remote code must provide."""


def build_folder(
    source: str | Path, target: str | Path, sources: CardSources | None = None
) -> list[Path]:
    """Write the folder to upload; returns its files, relative to `target`.

    It holds the model's own files (see `list_model_files`), remote code and a card.

    Args:
        source: Folder of a localizer, a cascade or a classifier.
        target: Folder to write, new or empty.
        sources: Sources of the card; `sources.picture` is the path of a file to copy.

    Raises:
        ValueError: if `source` does not pass `check_folder` or contains a link out of the folder,
            or if `target` is not empty.
    """
    source, target, sources = Path(source), Path(target), sources or CardSources()
    check_folder(source)
    check_empty(target, "target")
    for name in list_model_files(source, sources.card):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    _clean_training(target / TRAINING_FILE, sources.example)
    _name_settings(target / EVALUATION_FILE)
    _add_remote_code(target)
    if sources.card:
        shutil.copyfile(sources.card, target / CARD_FILE)
    if sources.picture:
        shutil.copy(sources.picture, target)
        sources = replace(sources, picture=Path(sources.picture).name)
    write_card(target, sources)
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())


def check_empty(folder: Path, name: str) -> None:
    """Raise a `ValueError` unless a folder is new or empty; the message calls it `name`."""
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"`{name}` must be a new or empty folder, got {folder}; choose another.")


def _clean_training(report: Path, keep_example: bool) -> None:
    """Remove local paths from a training report; of those of inputs the last part is kept.

    Its example, a text of the validation split, goes as well unless it is to be kept.
    """
    if not report.exists():
        return
    content = json.loads(report.read_text("utf-8"))
    options = content.get("options", {})
    command = content.get("command", "")
    for name in (*PATH_OPTIONS, "output_dir"):
        value = options.get(name)
        if isinstance(value, str) and (Path(value).is_absolute() or Path(value).exists()):
            options[name] = Path(value).resolve().name
            command = command.replace(shlex.quote(value), shlex.quote(options[name]))
    options.pop("output_dir", None)
    if not keep_example:
        content.get("data", {}).pop("example", None)
    if command:
        content["command"] = command
    write_json(report, content)


def _name_settings(report: Path) -> None:
    """Keep of local paths in the settings of an evaluation the last part."""
    content = read_json(report) if report.exists() else {}
    settings = content.get("explanations", {}).get("settings", {})
    for name in ("model", "dataset"):
        value = settings.get(name)
        if isinstance(value, str) and (Path(value).is_absolute() or Path(value).exists()):
            settings[name] = Path(value).resolve().name
    if settings:
        write_json(report, content)


def _add_remote_code(folder: Path) -> None:
    """Add the code of an AnchorNet, and name its classes in the JSON files."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config["model_type"] not in REMOTE_CODE:
        return
    classes, pipeline_class = REMOTE_CODE[config["model_type"]]
    files = {
        str(sys.modules[owner.__module__].__file__) for owner in (*classes.values(), pipeline_class)
    }
    for file in files | {needed for one in files for needed in get_relative_import_files(one)}:
        shutil.copyfile(file, folder / Path(file).name)
    config["auto_map"] = {name: _locate(owner) for name, owner in classes.items()}
    task = pipeline_class.task_name
    registered = pipeline_class._registered_impl[task]
    auto_names = [owner.__name__ for owner in registered["pt"]]
    config["custom_pipelines"] = {
        task: registered | {"impl": _locate(pipeline_class), "pt": auto_names}
    }
    processor = config["auto_map"].pop("AutoImageProcessor", None)
    write_json(folder / "config.json", config)
    if processor is not None:
        path = folder / "preprocessor_config.json"
        content = json.loads(path.read_text("utf-8"))
        write_json(path, content | {"auto_map": {"AutoImageProcessor": processor}})


def _locate(owner: type) -> str:
    return f"{owner.__module__.rpartition('.')[2]}.{owner.__name__}"
