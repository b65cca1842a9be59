"""Parts of the pipeline's answer about an image: patches, shares, coverage, cost."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .image_processing_anchornet import Box
from .image_zoom import ZoomStep
from .pipeline_anchornet import Verdict

BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")


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
        "box": dict(zip(BOX_SIDES, box, strict=True)),
        "label": label,
        "evidence": evidence,
        "share": evidence / whole,
        "scale": scale,
    }


def describe_readings(image: Image.Image, steps: Sequence[ZoomStep]) -> list[dict[str, float]]:
    """Which share of a picture was read at which resolution, coarse to fine."""
    return [
        {
            "resolution": step.resolution,
            "share": measure_coverage(
                image, [dict(zip(BOX_SIDES, place, strict=True)) for place in step.places]
            ),
        }
        for step in steps
    ]


def measure_coverage(image: Image.Image, boxes: Sequence[Mapping[str, int]]) -> float:
    """Share of the image that lies in one of the boxes."""
    # Between the sides of the boxes nothing changes: a grid of these is enough.
    y, x = (
        np.unique([box[side] for box in boxes for side in (low, high)])
        for low, high in (("ymin", "ymax"), ("xmin", "xmax"))
    )
    covered = np.zeros((max(0, len(y) - 1), max(0, len(x) - 1)), dtype=bool)
    for box in boxes:
        top, bottom = np.searchsorted(y, [box["ymin"], box["ymax"]])
        left, right = np.searchsorted(x, [box["xmin"], box["xmax"]])
        covered[top:bottom, left:right] = True
    return float(np.diff(y) @ covered @ np.diff(x)) / (image.width * image.height)
