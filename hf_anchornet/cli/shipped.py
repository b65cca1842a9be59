"""The shipped models where an option of a command says "default"."""

from collections.abc import Mapping
from typing import Any

from hf_anchornet.data.splits import DataOptions, detect_modality
from hf_anchornet.registration import SHIPPED, TASKS, find_shipped

from .options import build_options, list_options

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
    localizer, classifier = find_shipped(TASKS[modality], SHIPPED, SHIPPED)
    folders = dict.fromkeys(LOCALIZERS, localizer) | dict.fromkeys(CLASSIFIERS, classifier)
    return dict(given) | {name: folders[name] for name in asked}
