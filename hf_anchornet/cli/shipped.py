"""The shipped models where an option of a command says "default"."""

from collections.abc import Mapping
from typing import Any

from hf_anchornet.data.splits import DataOptions, detect_modality
from hf_anchornet.registration import DEFAULTS, IMAGE_TASK, SHIPPED, TEXT_TASK

from .options import build_options, list_options

TASKS = {"text": TEXT_TASK, "image": IMAGE_TASK}
LOCALIZERS, CLASSIFIERS = ("localizer", "from_localizer", "model"), ("classifier",)
"""Options that may be "default", by field name."""


def name_shipped(given: Mapping[str, Any], modality: str | None = None) -> dict[str, Any]:
    """The same options by field name, with the folders of shipped models in place of "default".

    Args:
        given: Options by field name, those of the data among them.
        modality: "text" or "image"; default: that of the data.
    """
    asked = {name for name in (*LOCALIZERS, *CLASSIFIERS) if given.get(name) == SHIPPED}
    if not asked:
        return dict(given)
    if modality is None:
        of_data = {name: given[name] for name in given if name in list_options(DataOptions)}
        modality = detect_modality(*build_options([DataOptions], of_data))
    localizer, classifier = DEFAULTS[TASKS[modality]]
    folders = dict.fromkeys(LOCALIZERS, localizer) | dict.fromkeys(CLASSIFIERS, classifier)
    return {name: str(folders[name]) if name in asked else given[name] for name in given}
