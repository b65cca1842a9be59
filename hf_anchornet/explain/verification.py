"""Recomputation of a report on an explained answer: what differs now, in words."""

import json
from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any, NamedTuple

from .probability_reader import Probabilities
from .reports import (
    ANSWER,
    CLASSIFIER,
    FORMAT,
    Report,
    as_json,
    measure_gap,
    report_answer,
    report_classifier,
)

CHECKED = ("input", "models", "rule", "options", "answer", "checks")
"""Entries of a report that its recomputation must give again."""

EFFICIENCY = 1e-5
"""How far base and values may be from the total."""


def verify(
    report: Mapping[str, Any],
    item: Any = None,
    classifier: Probabilities | None = None,
    tolerance: float = 1e-6,
) -> list[str]:
    """What a report and its recomputation differ in, in words; an empty list if it is true.

    On the machine and backend that made the report, it is true at a tolerance of 0.

    Args:
        report: From `report_answer` or `report_classifier`, or read from JSON.
        item: The input, for a report on an image that was not a path.
        classifier: The function, for a report on one.
        tolerance: Largest difference of a number.

    Raises:
        ValueError: if `report` is no report, or something is needed to compute it again, or
            given and not needed.
        OSError: if a model or an image cannot be found.
    """
    _check_report(report)
    needs = _read_needs(report)
    if not isinstance(tolerance, int | float) or not tolerance >= 0:
        raise ValueError(
            f"`tolerance` must be a number of at least 0, got {tolerance!r}; try 1e-6."
        )
    again = _repeat(needs, item, classifier)
    found = as_json(report)
    differences = [
        line
        for name in CHECKED
        for line in _compare(found.get(name), again.get(name), name, tolerance)
    ]
    if not needs.gap <= EFFICIENCY:
        differences.append(f"base and values miss the total by {needs.gap:g}")
    return differences


class _Needs(NamedTuple):
    """What the recomputation of a report takes from it.

    Attributes:
        kind: Of the report.
        item: The text or path; `None` for a picture that was none.
        localizer: Its source.
        classifier: Its source; `None` for a function, or if there is none.
        options: Those of the report.
        gap: How far base and values are from the total.
    """

    kind: str
    item: str | None
    localizer: str
    classifier: str | None
    options: dict[str, Any]
    gap: float


def _read_needs(report: Mapping[str, Any]) -> _Needs:
    try:
        models = report["models"]
        return _Needs(
            report["kind"],
            report["input"].get("source"),
            models["localizer"]["source"],
            models["classifier"] and models["classifier"]["source"],
            dict(report["options"]),
            measure_gap(report["answer"]["explanation"]),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"`report` must be whole, as it was made, got one that is damaged ({error!r}); use a "
            "copy of it."
        ) from error


def _repeat(needs: _Needs, item: Any, classifier: Probabilities | None) -> Report:
    item = needs.item if item is None else item
    if item is None:
        raise ValueError(
            "`item` must be the image for a report on one that was not a path, got None; pass it."
        )
    named = needs.classifier
    if needs.kind == ANSWER:
        return report_answer(item, needs.localizer, named, **needs.options)
    if named and classifier is not None:
        raise ValueError(
            f"`classifier` must be left out for a report on {named}, got {classifier!r}; it is "
            "loaded again."
        )
    asked = named or classifier
    if asked is None:
        raise ValueError(
            "`classifier` must be the function for a report on one, got None; pass it."
        )
    return report_classifier(asked, item, needs.localizer, **needs.options)


def _compare(one: Any, other: Any, place: str, tolerance: float) -> Iterator[str]:
    """The places at which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _compare(one.get(name), other.get(name), f"{place}.{name}", tolerance)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _compare(*pair, f"{place}[{number}]", tolerance)
    elif isinstance(one, float) and isinstance(other, float):
        if not isclose(one, other, rel_tol=0, abs_tol=tolerance):
            yield f"{place}: {one!r} in the report, {other!r} now"
    elif one != other or type(one) is not type(other):
        yield f"{place}: {_shorten(one)} in the report, {_shorten(other)} now"


def _shorten(value: Any) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


def _check_report(report: Any) -> None:
    wanted = {"format", "kind", *CHECKED}
    missing = sorted(wanted - set(report)) if isinstance(report, Mapping) else sorted(wanted)
    if missing:
        raise ValueError(
            f"`report` must be made by `report_answer` or `report_classifier`, got one without "
            f"{', '.join(missing)}; pass the whole report."
        )
    if report["format"] != FORMAT or report["kind"] not in (ANSWER, CLASSIFIER):
        raise ValueError(
            f"`report` must have the format {FORMAT} and a known kind, got {report['format']!r} "
            f"and {report['kind']!r}; use the version of the package that made it."
        )
