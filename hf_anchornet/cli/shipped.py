"""The shipped models where an option of a command says "default"."""

from collections.abc import Mapping
from typing import Any

from hf_anchornet.data.splits import DataOptions, detect_modality
from hf_anchornet.registration import DEFAULTS, IMAGE_TASK, SHIPPED, TEXT_TASK

from .options import build_options, list_options

TASKS = {"text": TEXT_TASK, "image": IMAGE_TASK}
LOCALIZERS, CLASSIFIERS = ("localizer", "from_localizer", "model"), ("classifier",)
"""Options that may be "default", by field name."""


def name_shipped(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same options by field name, with the folders of shipped models in place of "default".

    Which ones depends on the modality of the data, which must be among the options.
    """
    asked = {name for name in (*LOCALIZERS, *CLASSIFIERS) if given.get(name) == SHIPPED}
    if not asked:
        return dict(given)
    of_data = list_options(DataOptions)
    (data,) = build_options([DataOptions], {name: given[name] for name in given if name in of_data})
    localizer, classifier = DEFAULTS[TASKS[detect_modality(data)]]
    folders = dict.fromkeys(LOCALIZERS, localizer) | dict.fromkeys(CLASSIFIERS, classifier)
    return {name: str(folders[name]) if name in asked else given[name] for name in given}
