"""Whether a folder may be published: a whole model, its weights sound, nothing pickled."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hf_anchornet.files import CHECKPOINTS_FOLDER
from hf_anchornet.model.cascade_file import CASCADE_FILE, CLASSIFIER_FOLDER, read_cascade_file
from hf_anchornet.model.loading import find_fault

from .half_precision import find_classes

PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}


def check_folder(folder: str | Path) -> None:
    """Check that a folder holds a localizer, a cascade or a classifier as it may be published.

    Raises:
        ValueError: if it is no folder, holds no model that classifies texts or images, has a
            pickled file, lacks its tokenizer or image processor, if its cascade.json is damaged, or
            if a weights file is, does not fit config.json or holds a number that is none.
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
        saved = _read_cascade(folder)
        if saved["classifier"] is None:
            _check_model(folder / CLASSIFIER_FOLDER)
        elif Path(saved["classifier"]).exists():
            raise ValueError(
                f"`folder` must hold the cascade's classifier, got a {CASCADE_FILE} that refers to "
                f"{saved['classifier']} on this machine; save it with `copy_classifier=True`."
            )


def _read_cascade(folder: Path) -> dict[str, Any]:
    try:
        return read_cascade_file(folder / CASCADE_FILE)
    except OSError as error:
        raise ValueError(
            f"`folder` must hold a sound {CASCADE_FILE}, got {str(folder)!r}: {error}"
        ) from error


def _refuse_pickles(folder: Path) -> None:
    """None but in what an interrupted training left, which `build_folder` does not copy."""
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
            f"{', '.join(pickled)}; delete it, and keep weights in safetensors files."
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
            f"{str(folder)!r}; save it there, too. {error}"
        ) from error


def _check_weights(folder: Path, model_class: Any) -> None:
    """Open each weights file, then load the model: no weight missing, left over or misshapen."""
    for path in sorted(folder.glob("*.safetensors")):
        _open_weights(path)
    try:
        model, info = model_class.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, by name
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(_describe_damage(folder, str(error))) from error
    fault = find_fault(model, info)
    if fault is not None:
        raise ValueError(_describe_damage(folder, fault))


def _open_weights(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as weights:
            weights.keys()
    except SafetensorError as error:
        what = f"{path.name} cannot be read: {error}"
        raise ValueError(_describe_damage(path.parent, what)) from error


def _describe_damage(folder: Path, what: str) -> str:
    return (
        f"`folder` must hold weights in safetensors files that fit its config.json, got "
        f"{str(folder)!r}: {what}; save the model again."
    )
