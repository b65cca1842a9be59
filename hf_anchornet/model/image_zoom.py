"""Pictures read from coarse to fine: the best places of each reading are read again, larger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .image_boxes import RankedBoxes, sum_union
from .image_localizer import ImageLocalizer, LocalizedImages
from .image_processing_anchornet import Box, restore_boxes
from .selection import select_top_patches

FINER = 1.05
"""Least factor by which a step must be finer than the one before."""


class ZoomedBox(NamedTuple):
    """A window of one of the readings.

    Attributes:
        box: In pixels of the picture.
        evidence: What its pixels add to the logit by this reading.
        scale: Side of the window in pixels of the picture.
    """

    box: Box
    evidence: float
    scale: int


class ZoomedEvidence(NamedTuple):
    """What all readings together show of one label.

    Attributes:
        boxes: The best windows, best first.
        whole: The sum of the absolute evidence of all pixels of all readings.
        together: The evidence in the boxes, each pixel of a reading counted once.
    """

    boxes: list[ZoomedBox]
    whole: float
    together: float


@dataclass
class ZoomStep:
    """The places that were read at one resolution.

    Attributes:
        places: In pixels of the picture.
        batch: Their reading.
        resolution: Pixels that were read for one of the picture, along each axis; above 1 if a
            small picture was enlarged.
    """

    places: list[Box]
    batch: LocalizedImages
    resolution: float

    def restore(self, row: int, ranked: RankedBoxes) -> list[Box]:
        """The boxes of one place, best first, in pixels of the picture."""
        left, top = self.places[row][:2]
        height, width = self.batch.evidence.sizes[row].tolist()
        boxes = ranked.boxes[row, ranked.filled[row]].cpu().numpy()
        own = restore_boxes(boxes, (height, width), _measure(self.places[row]))
        return [(x0 + left, y0 + top, x1 + left, y1 + top) for x0, y0, x1, y1 in own]


class ZoomedImage:
    """A picture that is read as a whole, then again and again where its best windows lie.

    Each step reads the best windows of the largest scale of the step before, all in one batch, each
    as large as the localizer's image processor makes it, until the pixels are those of the picture.
    So every step costs about the same, whatever the size of the picture, and the windows of all
    steps are of all scales between the picture's and its pixels'.

    Each reading is exact, as that of a picture of its own. The logits are the mean over the steps
    of the mean over their places. So the evidence of a window is that in its own reading, divided
    by the number of steps and by that of the places of its step, and still adds up.

    Args:
        image: The picture, upright, RGB.
        localizer: The localizer that reads it.
        num_places: Most places of a step.

    Attributes:
        steps: The steps, the whole picture first.
        logits: (1, labels).
    """

    def __init__(self, image: Image.Image, localizer: ImageLocalizer, num_places: int) -> None:
        self.image = image
        self.localizer = localizer
        self.largest = max(window.size for window in localizer.windows)
        self.steps = [self._read([(0, 0, image.width, image.height)])]
        while self.steps[-1].resolution < 1:
            places = self._choose_places(self.steps[-1], num_places)
            step = self._read(places) if places else self.steps[-1]
            if step.resolution < FINER * self.steps[-1].resolution:
                break
            self.steps.append(step)
        means = [step.batch.logits.double().mean(dim=0) for step in self.steps]
        logits = torch.stack(means).mean(dim=0, keepdim=True)
        self.logits = logits.to(self.steps[0].batch.logits.dtype)

    def _read(self, places: list[Box]) -> ZoomStep:
        pixels = [self._process(place) for place in places]  # one cut out at a time
        sides = [
            min(each.shape[1:]) / min(_measure(place))
            for each, place in zip(pixels, places, strict=True)
        ]
        batch = self.localizer.read_pixels([self.image] * len(places), pixels)
        return ZoomStep(places, batch, min(sides))

    def _process(self, place: Box) -> NDArray[np.float32]:
        """The localizer's input for a place.

        A part of the picture is not enlarged, unless it would hold no window.
        """
        processor = self.localizer.processor
        pixels: NDArray[np.float32]
        if _measure(place) == self.image.size:
            (pixels,) = processor(self.image, return_tensors=None)["pixel_values"]
            return pixels
        crop = self.image.crop(place)
        (pixels,) = processor(crop, return_tensors=None)["pixel_values"]
        if self.largest <= min(crop.size) < min(pixels.shape[1:]):
            (pixels,) = processor(crop, do_resize=False, return_tensors=None)["pixel_values"]
        return pixels

    def _choose_places(self, step: ZoomStep, count: int) -> list[Box]:
        """The best windows of the largest scale of all places of a step, apart from each other."""
        ranked = step.batch.select(count, 0.0, [self.largest])
        found: list[tuple[float, Box]] = []
        for row in range(len(step.places)):
            evidence = ranked.evidence[row, ranked.filled[row]].tolist()
            found += zip(evidence, step.restore(row, ranked), strict=True)
        found.sort(key=lambda each: -each[0])
        return [box for _, box in found[:count]]

    @property
    def num_pixels(self) -> int:
        """Pixels that the localizer read."""
        return sum(int(step.batch.evidence.sizes.prod(dim=1).sum()) for step in self.steps)

    def explain(
        self,
        label: int,
        top_k: int,
        iou_threshold: float | Sequence[float],
        scales: Sequence[int] | None = None,
    ) -> ZoomedEvidence:
        """The best windows of all readings for a label, and their part of the evidence.

        The best of each reading are those of `ImageEvidence.select`. Among each other they are
        ranked by their evidence in their own reading over their side in its pixels, so that a
        window of a step with many places is not at a disadvantage.

        Args:
            label: The label.
            top_k: Number of windows, at least 1.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from, in pixels of the localizer's input; default: all.
        """
        found: list[tuple[float, ZoomedBox, tuple[int, int, list[int]]]] = []
        maps, whole = [], 0.0
        for number, step in enumerate(self.steps):
            labels = torch.full((len(step.places),), label, device=step.batch.logits.device)
            weight = 1 / (len(self.steps) * len(step.places))
            attribution = step.batch.attribute(labels) * weight
            maps.append(attribution)
            whole += float(attribution.abs().sum())
            ranked = step.batch.select(top_k, iou_threshold, scales, labels)
            for row in range(len(step.places)):
                kept = ranked.filled[row]
                fields = (ranked.boxes, ranked.evidence, ranked.scales)
                values = (field[row, kept].tolist() for field in fields)
                boxes = step.restore(row, ranked)
                for box, corners, evidence, side in zip(boxes, *values, strict=True):
                    scale = round(side / step.resolution)
                    shown = ZoomedBox(box, evidence * weight, scale)
                    found.append((evidence / side, shown, (number, row, corners)))
        several = len(self.steps) > 1
        chosen = [found[i] for i in _select(found, top_k, iou_threshold)] if several else found
        together = 0.0
        for number, row in {place[:2] for _, _, place in chosen}:
            corners = [place[2] for _, _, place in chosen if place[:2] == (number, row)]
            together += sum_union(maps[number][row], torch.tensor(corners))
        return ZoomedEvidence([shown for _, shown, _ in chosen], whole, together)


def _select(
    found: Sequence[tuple[float, ZoomedBox, object]],
    top_k: int,
    iou_threshold: float | Sequence[float],
) -> list[int]:
    """Which windows of all readings are shown, best first."""
    if not found:
        return []
    scores = torch.tensor([[score for score, _, _ in found]])
    boxes = torch.tensor([[shown.box for _, shown, _ in found]])  # (1, windows, 4)
    index, filled = select_top_patches(scores, boxes[..., :2], boxes[..., 2:], top_k, iou_threshold)
    chosen: list[int] = index[filled].tolist()
    return chosen


def _measure(place: Box) -> tuple[int, int]:
    """Width and height of a place."""
    return place[2] - place[0], place[3] - place[1]
