"""Reports on explained answers, for audit: all that an answer depends on."""

import json
import platform
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy
import torch
import transformers

from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.image_processing_anchornet import open_image
from hf_anchornet.registration import (
    IMAGE_TASK,
    SHIPPED,
    TEXT_TASK,
    find_shipped,
    find_task,
    load_pipeline,
)
from hf_anchornet.version import __version__

from .classifier_explanation import Explained
from .explain_options import choose_task, make_options
from .fingerprints import hash_input, hash_model
from .probability_reader import Probabilities
from .proposals import PATCHES

Report = dict[str, Any]
Source = str | PathLike[str]

FORMAT = 1
"""Version of the form of reports."""

ANSWER, CLASSIFIER = "answer", "classifier"
"""Kinds of reports: on the answer of a pipeline, and on `explain_classifier`."""


def report_answer(
    item: Any,
    localizer: Source = SHIPPED,
    classifier: Source | None = None,
    *,
    task: str | None = None,
    **options: Any,
) -> Report:
    """The explained answer of a pipeline to one input, with all that it depends on, as JSON.

    Args:
        item: A text, or an image as `open_image` takes it.
        localizer: Hub id or folder of a localizer or cascade, or "default".
        classifier: Hub id or folder of a classifier or cascade, or "default"; default: that of the
            cascade `localizer`, else none.
        task: "span-localization" or "patch-localization"; by default that of the localizer.
        options: Other options of the pipeline.

    Returns:
        `kind`, `input` with its hash, `models` with their fingerprints, `rule` of a cascade,
        `options`, `answer` without times, with the coalitions that were asked, `checks`, and
        `made_by`, the versions of the libraries.

    Raises:
        TypeError: if a model is given as an object: a report names what can be loaded again.
    """
    _check_item(item)
    _check_source("localizer", localizer)
    if classifier is not None:
        _check_source("classifier", classifier)
    elif find_cascade(str(localizer)) is not None:
        classifier = localizer
    check_json(options)
    task = task or _find_task(item, localizer)
    chosen = options | {"explain_answer": True, "return_coalitions": True}
    named = None if classifier is None else str(classifier)
    localize = load_pipeline(task, str(localizer), named, **chosen)
    models = _describe_models(localizer, classifier, localize.localizer, localize.reader)
    glance = None if localize.cascade is None else localize.cascade.glance
    if glance is not None:
        described = _describe_model(str(classifier), glance)
        models["glance"] = described | {"full_size": glance.full_size}
    rule = None if localize.cascade is None else vars(localize.cascade.rule)
    made = {"task": task, **options}
    return _compose(ANSWER, item, models, made, localize(item), rule)


def report_classifier(
    classifier: Source | Probabilities, item: Any, localizer: Source = SHIPPED, **options: Any
) -> Report:
    """What `explain_classifier` says of one input, with all that it depends on, as JSON.

    Args:
        classifier: Hub id or folder, or a function that returns probabilities, which is not part of
            the report.
        item: A text, or an image as `open_image` takes it.
        localizer: Hub id or folder of a localizer, or "default".
        options: As for `explain_classifier`.

    Returns:
        As `report_answer`.

    Raises:
        TypeError: if a model is given as an object.
    """
    _check_item(item)
    _check_source("localizer", localizer)
    if not callable(classifier):
        _check_source("classifier", classifier)
    device = options.pop("device", None)
    if options.get("labels") is not None:
        options["labels"] = [str(label) for label in options["labels"]]
    check_json(options)
    given = {name: options[name] for name in ("labels", "multi_label") if name in options}
    others = {name: value for name, value in options.items() if name not in given}
    is_text = _find_task(item, localizer) == TEXT_TASK
    chosen = make_options(others | {"return_coalitions": True}, is_text)
    options["units"] = chosen.units  # a path of a picture is a text without them
    task = IMAGE_TASK if chosen.units == PATCHES else TEXT_TASK
    source, asked = find_shipped(task, str(localizer), classifier)
    explained = Explained(asked, source, device=device, **given)
    named = None if callable(classifier) else classifier
    models = _describe_models(localizer, named, explained.localizer, explained.reader)
    answer = explained.explain(explained.localizer.check_input(item, "`item`"), chosen)
    return _compose(CLASSIFIER, item, models, options, answer, None)


def _find_task(item: Any, localizer: Source) -> str:
    """The task of a localizer; for the shipped ones that of the input."""
    return choose_task(item, None) if str(localizer) == SHIPPED else find_task(str(localizer))


def _describe_models(
    localizer: Source, classifier: Source | None, first: Any, second: Any
) -> dict[str, Any]:
    """Sources and fingerprints of unused models; `None` for a classifier that there is not."""
    models: dict[str, Any] = {
        "localizer": _describe_model(localizer, first),
        "classifier": None,
    }
    if classifier is not None:
        size = {"full_size": second.full_size}
        models["classifier"] = _describe_model(classifier, second) | size
    return models


def _describe_model(source: Source, owner: Any) -> dict[str, Any]:
    return {"source": str(source), "fingerprint": hash_model(owner.model, owner.processor)}


def _compose(
    kind: str,
    item: Any,
    models: Mapping[str, Any],
    options: Mapping[str, Any],
    answer: Mapping[str, Any],
    rule: Any,
) -> Report:
    named = isinstance(item, str | PathLike)
    is_text = "spans" in answer or answer.get("units", PATCHES) != PATCHES
    content = item if is_text else open_image(item)
    explanation = answer["explanation"]
    count = len(explanation["parts"])
    return as_json(
        {
            "format": FORMAT,
            "kind": kind,
            "input": {
                "source": str(item) if named else None,
                "sha256": hash_input(content),
            },
            "models": models,
            "rule": rule,
            "options": dict(options),
            "answer": _drop_times(answer),
            "checks": {
                "efficiency": measure_gap(explanation),
                "exact": not explanation["error"],
                "all_coalitions": len(explanation["coalitions"]) == 2**count,
                "num_coalitions": len(explanation["coalitions"]),
            },
            "made_by": {
                "hf_anchornet": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "numpy": numpy.__version__,
                "python": platform.python_version(),
            },
        }
    )


def measure_gap(explanation: Mapping[str, Any]) -> float:
    """How far base and values are from the total."""
    values = sum(part["value"] for part in explanation["parts"])
    return float(abs(explanation["base"] + values - explanation["total"]))


def _drop_times(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer without milliseconds, which no two runs share."""
    cost = {name: spent for name, spent in answer["cost"].items() if "milliseconds" not in name}
    return dict(answer) | {"cost": cost}


def as_json(report: Mapping[str, Any]) -> Report:
    """The report as it comes back from JSON: tuples are lists."""
    try:
        loaded: Report = json.loads(json.dumps(report, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`report` must hold what JSON can, and finite numbers only: {error}; pass it as it "
            "was made."
        ) from error
    return loaded


def check_json(options: Mapping[str, Any]) -> None:
    """Raise a `ValueError` that names the first option which JSON cannot hold."""
    for name, value in options.items():
        if not _is_json(value):
            raise ValueError(
                f"`{name}` must be what JSON can hold for a report, got {value!r}; give plain "
                "strings, numbers and lists."
            )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _check_source(name: str, source: Any) -> None:
    if not isinstance(source, str | PathLike):
        raise TypeError(
            f"`{name}` must be a Hub id or a folder, got {type(source).__name__}; save the model "
            "first: a report names what can be loaded again."
        )


def _check_item(item: Any) -> None:
    if isinstance(item, list | tuple):
        raise TypeError(
            f"`item` must be one text or image, got a {type(item).__name__}; report each by itself."
        )
