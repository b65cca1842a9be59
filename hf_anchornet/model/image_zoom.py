"""Pictures read from coarse to fine: the best places of each reading are read again, larger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .image_boxes import ChosenBox, RankedBoxes, cover_share, sum_union
from .image_localizer import ImageLocalizer, LocalizedImages
from .image_processing_anchornet import Box, restore_boxes
from .selection import round_scores, select_top_patches

FINER = 1.05
"""Least factor by which a step must be finer than the one before."""
APART = 0.1
"""Most overlap, as IoU, of the places of a step: two large windows on their grid may not fit beside
each other without any."""


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
        ranked = step.batch.select(count, APART, [self.largest])
        found: list[tuple[float, Box]] = []
        for row in range(len(step.places)):
            evidence = ranked.evidence[row, ranked.filled[row]].tolist()
            found += zip(evidence, step.restore(row, ranked), strict=True)
        found.sort(key=lambda each: -each[0])
        return [box for _, box in found[:count]]

    @property
    def size(self) -> tuple[int, int]:
        """One row of all pixels that were read."""
        sizes = torch.cat([step.batch.evidence.sizes for step in self.steps])
        return 1, int(sizes.prod(dim=1).sum())

    def keep(self, labels: Sequence[int]) -> None:
        """Nothing to do: the evidence of all labels is kept."""

    def select(
        self,
        label: int,
        top_k: int,
        iou_threshold: float | Sequence[float],
        scales: Sequence[int] | None = None,
    ) -> list[ChosenBox]:
        """The best windows of all readings for a label, best first.

        The best of each reading are those of `ImageEvidence.select`. Among each other they are
        ranked by their evidence in their own reading over their side in its pixels, so that a
        window of a step with many places is not at a disadvantage.

        Args:
            label: The label.
            top_k: Number of windows; 0: none.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from, in pixels of the localizer's input; default:
                the model's `reading_scales`.
        """
        scores, found = list[float](), list[ChosenBox]()
        for number, step in enumerate(self.steps):
            weight = self._weight(step)
            ranked = step.batch.select(top_k, iou_threshold, scales, _repeat(label, step))
            for row in range(len(step.places)):
                kept = ranked.filled[row]
                fields = (ranked.boxes, ranked.evidence, ranked.scales)
                values = (field[row, kept].tolist() for field in fields)
                boxes = step.restore(row, ranked)
                for box, sides, evidence, side in zip(boxes, *values, strict=True):
                    scale, place = round(side / step.resolution), (number, row, sides)
                    scores.append(evidence / side)
                    found.append(ChosenBox(box, evidence * weight, scale, place))
        if len(self.steps) == 1 or not found:
            return found
        corners = torch.tensor([[each.box for each in found]])  # (1, windows, 4)
        ends = corners[..., :2], corners[..., 2:]
        ranks = round_scores(torch.tensor([scores]))
        index, filled = select_top_patches(ranks, *ends, top_k, iou_threshold)
        return [found[i] for i in index[filled].tolist()]

    def weigh(self, label: int, boxes: Sequence[ChosenBox]) -> tuple[float, float]:
        """The absolute evidence of all readings, and the evidence in boxes of `select`.

        Each pixel of a reading counts once.
        """
        whole = together = 0.0
        places = [each.place for each in boxes if each.place is not None]
        for number, step in enumerate(self.steps):
            attribution = step.batch.attribute(_repeat(label, step)) * self._weight(step)
            whole += float(attribution.abs().sum())
            for row in range(len(step.places)):
                corners = [place[2] for place in places if place[:2] == (number, row)]
                together += sum_union(attribution[row], torch.tensor(corners).view(-1, 4))
        return whole, together

    def describe(self) -> dict[str, Any]:
        """Which share of the picture was read at which resolution, coarse to fine."""
        return {
            "readings": [
                {
                    "resolution": step.resolution,
                    "share": cover_share(self.image.size, step.places),
                }
                for step in self.steps
            ]
        }

    def _weight(self, step: ZoomStep) -> float:
        """The part of the logits that each place of a step adds."""
        return 1 / (len(self.steps) * len(step.places))


def _repeat(label: int, step: ZoomStep) -> Tensor:
    """A label for each place of a step: (places,)."""
    return torch.full((len(step.places),), label, device=step.batch.logits.device)


def _measure(place: Box) -> tuple[int, int]:
    """Width and height of a place."""
    return place[2] - place[0], place[3] - place[1]
