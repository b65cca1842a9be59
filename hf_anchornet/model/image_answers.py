"""Parts of the pipeline's answer about an image: patches, shares, coverage, cost."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .image_explanation import describe_box
from .image_processing_anchornet import Box
from .pipeline_anchornet import Verdict


class ShownImage(NamedTuple):
    """The patches of an image that an answer shows; their shares together, and maps, by label."""

    patches: list[dict[str, Any]]
    shares: dict[str, float]
    maps: dict[str, list[list[float]]]


def join_shown(parts: Sequence[ShownImage]) -> ShownImage:
    """One `ShownImage` of several, each for another label."""
    patches = [patch for part in parts for patch in part.patches]
    shares = {name: share for part in parts for name, share in part.shares.items()}
    return ShownImage(patches, shares, {name: m for part in parts for name, m in part.maps.items()})


def charge(verdict: Verdict, multiply_adds: int, milliseconds: float) -> Verdict:
    """A verdict with further cost of the localizer."""
    cost = dict(verdict.cost)
    cost["localizer_multiply_adds"] += multiply_adds
    cost["milliseconds"] += milliseconds
    return verdict._replace(cost=cost)


def describe_patch(
    box: Box, evidence: float, scale: int, label: str, whole: float
) -> dict[str, Any]:
    """A patch of an answer; `whole` is the absolute attribution of the image to the label."""
    return {
        **describe_box(box),
        "label": label,
        "evidence": evidence,
        "share": evidence / whole,
        "scale": scale,
    }
