"""The checks before publishing: a whole model, sound weights, no pickled file."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hf_anchornet.files import CHECKPOINTS_FOLDER
from hf_anchornet.model.cascade_file import (
    CASCADE_FILE,
    list_copies,
    list_references,
    read_cascade_file,
)
from hf_anchornet.model.loading import find_fault

from .modality import find_classes

PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}


def check_folder(folder: str | Path) -> None:
    """Check that a folder holds a localizer, a cascade or a classifier that may be published.

    Raises:
        ValueError: if the folder holds no text or image classifier, no tokenizer or image
            processor, or a pickled file; if `cascade.json` is damaged; or if the weights are
            damaged, do not fit `config.json` or are not all finite.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"`folder` must be the folder of a saved model, got {str(folder)!r}, which has no "
            "config.json; save one there with `save_pretrained`."
        )
    _refuse_pickles(folder)
    _check_model(folder)
    if (folder / CASCADE_FILE).exists():
        _check_cascade(folder)


def _check_cascade(folder: Path) -> None:
    try:
        settings = read_cascade_file(folder / CASCADE_FILE)
    except OSError as error:
        raise ValueError(
            f"`folder` must hold a sound {CASCADE_FILE}, got {str(folder)!r}: {error}"
        ) from error
    for subfolder in list_copies(settings):
        _check_model(folder / subfolder)
    for reference in list_references(settings):
        if Path(reference).exists():
            raise ValueError(
                f"`folder` must hold the cascade's classifier, got a {CASCADE_FILE} that refers to "
                f"{reference} on this machine; save it with `copy_classifier=True`."
            )


def _refuse_pickles(folder: Path) -> None:
    """Refuse pickled files, except in training checkpoints, which are not published."""
    pickled = sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix.lower() in PICKLES
        and path.is_file()
        and path.relative_to(folder).parts[0] != CHECKPOINTS_FOLDER
    )
    if pickled:
        raise ValueError(
            f"`folder` must hold no pickled file, which can run code where it is loaded, got "
            f"{', '.join(pickled)}; delete it and keep weights in safetensors files."
        )


def _check_model(folder: Path) -> None:
    try:
        model_class, processor_class = find_classes(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"`folder` must hold a text or image classifier, got {str(folder)!r}: {error}"
        ) from error
    _check_weights(folder, model_class)
    try:
        processor_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`folder` must hold the tokenizer or image processor of its model, got "
            f"{str(folder)!r}; save it there too. {error}"
        ) from error


def _check_weights(folder: Path, model_class: Any) -> None:
    """Check that every weight is in the files, finite and of the shape that the model has."""
    path = folder
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as weights:
                weights.keys()
    except SafetensorError as error:
        raise _report_damage(folder, f"{path.name} cannot be read: {error}") from error
    try:
        model, info = model_class.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `find_fault` names them
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _report_damage(folder, str(error)) from error
    fault = find_fault(model, info)
    if fault is not None:
        raise _report_damage(folder, fault)


def _report_damage(folder: Path, fault: str) -> ValueError:
    return ValueError(
        f"`folder` must hold weights in safetensors files that fit its config.json, got "
        f"{str(folder)!r}: {fault}; save the model again."
    )
