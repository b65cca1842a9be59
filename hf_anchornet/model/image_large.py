"""Pictures of any size at full resolution, read tile by tile with the result of one piece."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.logging import get_logger

from .classifier import is_multi_label
from .geometry import Window, show_evidence
from .image_boxes import ChosenBox
from .image_localizer import ImageLocalizer
from .image_tiles import EvidenceMap, Tile, list_tiles

logger = get_logger(__name__)

TILE_PX = 512
"""Side of a tile in pixels; the pixels that its windows see beyond it are read with it."""

MOST_GROUND = 1.5
"""Factor on the evidence of an even ground, against images of training, above which is warned."""

KEPT_NUMBERS = 2**23
"""Most evidence numbers kept for all labels (32 MB); a larger picture is read twice."""


def check_local(model: PreTrainedModel) -> None:
    """Refuse a model that cannot read a picture in tiles.

    Raises:
        ValueError: if its windows see the whole picture (`squeeze_excite`).
    """
    if model.config.squeeze_excite:
        raise ValueError(
            "`full_resolution` must be off for a model with `squeeze_excite`, got True; its "
            "windows see the whole picture, which cannot be read in tiles."
        )


def check_large(image: Image.Image, windows: Sequence[Window], name: str) -> None:
    """Refuse a picture that holds no window of the largest scale.

    Raises:
        ValueError: if it does not, naming it by `name`.
    """
    largest = max(window.size for window in windows)
    if min(image.size) < largest:
        raise ValueError(
            f"{name} must be at least as large as the largest window, {largest} x {largest} px, "
            f"got {image.width} x {image.height} px; enlarge it or leave out `full_resolution`."
        )


def warn_of_ground(image: Image.Image, localizer: ImageLocalizer) -> None:
    """Say so if the ground of a picture weighs much more than in those of training.

    A mean over windows does not depend on their number; a sum over a smaller power of it does.
    """
    exponent = cast(float, localizer.model.config.count_exponent)
    known = localizer.processor.size["shortest_edge"]
    factor = (min(image.size) / known) ** (2 * (1 - exponent))
    if factor > MOST_GROUND:
        logger.warning_once(
            f"The localizer has `count_exponent` {exponent:g} and was made for images with a "
            f"shorter side of {known} px: at {min(image.size)} px, what the ground adds to each "
            f"logit is {factor:.1f} times as large. Trust the label only if it is right on images "
            "of that size, or train at it (`--image-size`)."
        )


class LargeImage:
    """A picture localized at full resolution.

    The evidence of a window depends on its pixels alone. So a tile that is read together with the
    pixels right of it and below it, as far as the largest window reaches, has the evidence that
    it has in the whole picture. Kept in memory: the picture, and the evidence of the labels that
    are explained, 4 bytes a window.

    Args:
        image: The picture, upright, RGB, at least as large as the largest window.
        localizer: The localizer that reads it.
        tile_px: Side of a tile in pixels; rounded up to a multiple of the strides.

    Attributes:
        logits: (1, labels).

    Raises:
        ValueError: if the picture is too small or the network not local (`squeeze_excite`).
    """

    def __init__(
        self, image: Image.Image, localizer: ImageLocalizer, tile_px: int = TILE_PX
    ) -> None:
        self.image = image
        self.localizer = localizer
        self.windows: tuple[Window, ...] = localizer.windows
        self.reach = max(window.size for window in self.windows)
        self._stride = math.lcm(*(window.stride for window in self.windows))
        self.tile_px = -(-tile_px // self._stride) * self._stride
        check_local(localizer.model)
        check_large(image, self.windows, "`image`")
        warn_of_ground(image, localizer)
        self.num_labels = cast(int, localizer.model.config.num_labels)
        self._evidence: dict[int, list[Tensor]] = {}
        windows = sum(math.prod(shape) for shape in self._shapes())
        keep = windows * self.num_labels <= KEPT_NUMBERS
        self.logits = self._read(range(self.num_labels) if keep else (), sum_up=True)

    def _shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of each branch."""
        width, height = self.image.size
        return [(w.num_positions(height), w.num_positions(width)) for w in self.windows]

    @torch.no_grad()
    def _read(self, labels: Sequence[int], sum_up: bool = False) -> Tensor:
        """Read the picture and keep the evidence of some labels, as it is shown.

        Returns:
            (1, labels), the logits; only meaningful if `sum_up`.
        """
        width, height = self.image.size
        for label in labels:
            self._evidence[label] = [torch.zeros(shape) for shape in self._shapes()]
        total = torch.zeros(1, self.num_labels, dtype=torch.float64)
        for tile in list_tiles(self.windows, (height, width), self.tile_px):
            evidence, places, bias = self._weigh(tile)
            if sum_up:
                sums = [branch.double().sum(dim=(1, 2)) for branch in evidence]
                total = total + torch.stack(sums).sum(dim=0).cpu()
            shown = show_evidence(evidence, is_multi_label(self.localizer.model))
            for label in labels:
                for kept, branch, place in zip(self._evidence[label], shown, places, strict=True):
                    kept[place] = branch[0, :, :, label]
        return (total + bias.cpu()).to(bias)

    def _weigh(self, tile: Tile) -> tuple[list[Tensor], list[tuple[slice, slice]], Tensor]:
        """Evidence of the windows of a tile, their places among all, and the bias.

        Each branch is (1, rows, columns, labels), each place a slice of rows and one of columns.
        """
        width, height = self.image.size
        top, bottom = self._bounds(tile.top, tile.bottom, height)
        left, right = self._bounds(tile.left, tile.right, width)
        part = self.image.crop((left, top, right, bottom))
        batch = self.localizer.processor(
            part, do_resize=False, max_pixels=part.width * part.height, return_tensors="pt"
        ).to(self.localizer.model.device)
        values = batch["pixel_values"].to(self.localizer.model.dtype)
        output = self.localizer.network(values, batch["pixel_mask"], output_evidence=True)
        evidence, places = [], []
        exponent = cast(float, self.localizer.model.config.count_exponent)
        for branch, window, shape in zip(
            output.evidence, self.windows, self._shapes(), strict=True
        ):
            # The network takes the tile for a picture and divides by its number of positions.
            weight = (branch.shape[1] * branch.shape[2] / math.prod(shape)) ** exponent
            rows = slice(tile.top // window.stride, min(shape[0], tile.bottom // window.stride))
            columns = slice(tile.left // window.stride, min(shape[1], tile.right // window.stride))
            up, back = top // window.stride, left // window.stride
            owned = branch[
                :, rows.start - up : rows.stop - up, columns.start - back : columns.stop - back
            ]
            evidence.append(owned * weight)
            places.append((rows, columns))
        return evidence, places, output.bias

    def _bounds(self, low: int, high: int, length: int) -> tuple[int, int]:
        """Pixels to read along one axis for the windows that start in `[low, high)`."""
        last = (length - self.reach) // self._stride * self._stride  # where a largest one fits
        return min(low, last), min(length, high + self.reach - 1)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.image.height, self.image.width

    def keep(self, labels: Sequence[int]) -> None:
        """Read what is missing of these labels in one pass."""
        missing = [label for label in dict.fromkeys(labels) if label not in self._evidence]
        if missing:
            self._read(missing)

    def explain(self, label: int) -> EvidenceMap:
        """The evidence map of a label."""
        self.keep([label])
        return EvidenceMap(self._evidence[label], self.windows, self.size, self.tile_px)

    def select(
        self,
        label: int,
        top_k: int,
        iou_threshold: float | Sequence[float],
        scales: Sequence[int] | None = None,
    ) -> list[ChosenBox]:
        """The best windows for a label; see `EvidenceMap.select`.

        Args:
            label: The label to explain.
            top_k: Number of windows; 0: none.
            iou_threshold: See `select_top_patches`.
            scales: Window sizes to choose from; default: the model's `reading_scales`.
        """
        scales = self.localizer.reading_scales if scales is None else scales
        return self.explain(label).select(top_k, iou_threshold, scales)

    def weigh(self, label: int, boxes: Sequence[ChosenBox]) -> tuple[float, float]:
        """The absolute evidence of all pixels, and the evidence in boxes of `select`."""
        found = self.explain(label)
        return found.sum_absolute(), found.sum_union([each.box for each in boxes])

    def describe(self) -> dict[str, Any]:
        """Nothing besides: every pixel was read once."""
        return {}
