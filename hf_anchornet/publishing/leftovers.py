"""What an earlier model left in a folder, and what a new one makes false there."""

from pathlib import Path

from hf_anchornet.files import read_json
from hf_anchornet.model.cascade_file import CASCADE_FILE

from .card import EVALUATION_FILE, PICTURE_FILE
from .model_files import BUILD_FILE, GRAPH_FILES

RESULTS = EVALUATION_FILE, PICTURE_FILE
"""Files that tell what was measured on a model."""


def drop_results(folder: Path, are_weights_new: bool = True) -> None:
    """Remove what was measured on the model that is being replaced in a folder.

    Args:
        folder: Existing or not.
        are_weights_new: Whether its weights are replaced, too: then graphs made of them go as well.
    """
    for name in (*RESULTS, *(GRAPH_FILES if are_weights_new else ())):
        (folder / name).unlink(missing_ok=True)


def refuse_other_kind(folder: Path, model_type: str, may_be_cascade: bool = False) -> None:
    """Refuse a folder whose model a new one would replace only in part.

    Args:
        folder: Existing or not.
        model_type: Type of the new model, as in its config.
        may_be_cascade: Whether a cascade may be replaced.

    Raises:
        ValueError: if there is a cascade, the model of a build, or one of another type.
    """
    if (folder / BUILD_FILE).exists():
        found = "that of a build"
    elif (folder / CASCADE_FILE).exists() and not may_be_cascade:
        found = "that of a cascade"
    elif (folder / "config.json").is_file():
        known = read_json(folder / "config.json").get("model_type")
        if known == model_type:
            return
        found = f'that of a model of type "{known}"'
    else:
        return
    raise ValueError(
        f'`output_dir` must be new, or the folder of an earlier model of type "{model_type}", got '
        f"{folder}, {found}; choose another folder."
    )
