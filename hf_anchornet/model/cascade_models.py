"""The classifiers of a cascade: the one that reads and, for images, the one that glances."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils.logging import get_logger

from .cascade_file import CLASSIFIER_FOLDER, GLANCE_FOLDER
from .cascade_rule import GLANCE, NGRAMS, Stage
from .classifier import Classifier, is_multi_label, match_labels
from .localizer import MODALITIES, Localizer
from .reader import Reader
from .selection import check_count

logger = get_logger(__name__)

OPTIONAL_OPENINGS = (
    (NGRAMS, "localizer without n-grams", "train a text localizer with n-grams"),
    (GLANCE, "cascade without a glance", "name an image classifier as `glance`"),
)
"""Opening stages that need more than a localizer; who lacks what they need, and the remedy."""


def warn_of_changes(record: Mapping[str, Any], localizer: Localizer) -> None:
    """Warn if a localizer reads in another way than when its cascade was calibrated.

    Args:
        record: The report of the calibration; older ones do not describe how it read.
        localizer: The localizer.
    """
    now = localizer.describe_reading()
    for name, before in record.get("reading", now).items():
        if now.get(name) != before:
            logger.warning(
                "the cascade was calibrated with `%s` %s of its localizer, and that is %s now: its "
                "thresholds and its accuracy may not hold; calibrate it again",
                name,
                before,
                now.get(name),
            )


def load_glance(
    reader: Reader,
    classifier: Classifier,
    glance: Classifier | None,
    glance_size: int | None,
    device: torch.device | None,
    backend: str,
) -> Reader | None:
    """A reader that glances, which has the model of `reader` if both are the same classifier.

    Args:
        reader: The reader of the cascade.
        classifier: What it was loaded from.
        glance: See `Cascade.load`, as for the next.
        glance_size: Default: what the classifier reads by itself.
        device: Device of a model that is loaded here.
        backend: Its runtime.

    Raises:
        ValueError: if there is a size without a glance, or it is not a positive number.
    """
    if glance_size is not None:
        check_count("glance_size", glance_size)
    if glance is None:
        if glance_size is not None:
            raise ValueError(
                f"`glance_size` must come with a `glance`, got {glance_size} without; name the "
                "classifier that glances at whole images of this size."
            )
        return None
    paths = [str(given) for given in (glance, classifier) if isinstance(given, str | PathLike)]
    if glance is classifier or len(paths) - len({*paths}) == 1:
        return reader.resize(glance_size)
    load = type(reader).load
    found: Reader = load(glance, device, "", glance_size, backend, name="glance")
    return found


def find_reader(localizer: Localizer) -> Any:
    """The reader class of the localizer's modality."""
    return MODALITIES[localizer.model.config.model_type].reader


def attach_readers(
    saved: Mapping[str, Any],
    kind: Any,
    source: str | PathLike[str],
    device: torch.device | None,
    backend: str,
    **hub: Any,
) -> tuple[Reader, Reader | None]:
    """The reader of a saved cascade, and the one that glances if there is one.

    Args:
        saved: The content of `cascade.json`.
        kind: Class of the readers.
        source: Folder or Hub id of the cascade.
        device: Device of the models.
        backend: Their runtime.
        hub: As for `Cascade.from_pretrained`.
    """

    def load(reference: str | None, folder: str, size: int | None, name: str) -> Reader:
        copied = reference is None
        place = hub if copied else hub | {"revision": None}  # a revision of this repository
        found: Reader = kind.load(
            source if copied else reference,
            device,
            folder if copied else "",
            size,
            backend,
            name,
            **place,
        )
        return found

    reader = load(saved["classifier"], CLASSIFIER_FOLDER, saved["full_size"], "classifier")
    glance = saved["glance"]
    if glance is None:
        return reader, None
    if glance["is_classifier"]:
        return reader, reader.resize(glance["size"])
    return reader, load(glance["reference"], GLANCE_FOLDER, glance["size"], "glance")


def save_readers(
    reader: Reader, glance: Reader | None, folder: str | PathLike[str], copy: bool, **kwargs: Any
) -> dict[str, Any]:
    """The entries of `cascade.json` that say where the classifiers are; copies are saved.

    Args:
        reader: The reader of the cascade.
        glance: The one that glances; `None` if there is none.
        folder: Folder of the cascade.
        copy: Whether to save copies, not references; see `Cascade.save_pretrained`.
        kwargs: For `save_pretrained` of the models.

    Raises:
        ValueError: if a model to refer to has no Hub id or folder.
    """

    def save(one: Reader, subfolder: str) -> str | None:
        if copy:
            one.save_pretrained(Path(folder, subfolder), **kwargs)
            return None
        if not one.model.name_or_path:
            raise ValueError(
                "`copy_classifier` must be True for a classifier made from a config, got False; "
                "it has no Hub id or folder to refer to."
            )
        return str(one.model.name_or_path)

    saved = {"classifier": save(reader, CLASSIFIER_FOLDER), "full_size": reader.full_size}
    if glance is None:
        return saved
    same = glance.model is reader.model
    reference = None if same else save(glance, GLANCE_FOLDER)
    found = {"size": glance.full_size, "is_classifier": same, "reference": reference}
    return saved | {"glance": found}


def check_opening(stages: Sequence[Stage], openings: Sequence[Stage]) -> None:
    """Check that there are models for the opening stages of a cascade.

    Args:
        stages: The stages.
        openings: The opening stages for which there are models.

    Raises:
        ValueError: if there are no n-grams, or no glance, and they should answer.
    """
    for stage, who, remedy in OPTIONAL_OPENINGS:
        if stage in stages and stage not in openings:
            raise ValueError(
                f"`stages` must not name {stage!r} for a {who}, got {list(stages)}; leave it out, "
                f"or {remedy}."
            )


def order_glance(glance: Reader, localizer: PreTrainedModel) -> list[int]:
    """The glance's index of each label of the localizer; the glance is checked.

    Raises:
        ValueError: if it has other labels, several labels for an input, or cannot read its size.
    """
    check_single_label("glance", glance.model)
    order = match_labels(localizer, glance.model, "glance")
    glance.check_glance()
    return order


def check_single_label(name: str, model: PreTrainedModel) -> None:
    """Raise a `ValueError` for a multi-label model, which errors call `name`."""
    if is_multi_label(model):
        raise ValueError(
            f"`{name}` must choose one label, got a multi-label model; a cascade exits by "
            "the confidence in one label: use the pipeline without `exit_threshold`."
        )
