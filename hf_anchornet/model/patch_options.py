"""Options of the pipeline that localizes patches of images."""

from collections.abc import Sequence
from dataclasses import dataclass

from .image_boxes import DEFAULT_OVERLAP
from .localization_options import LocalizationOptions
from .selection import check_count, check_iou_threshold


@dataclass
class PatchOptions(LocalizationOptions):
    """Options for choosing and showing patches; see `PatchLocalizationPipeline`."""

    iou_threshold: float | Sequence[float] = DEFAULT_OVERLAP
    max_patches: int = 1
    return_maps: bool = False
    full_resolution: bool = False
    zoom: int = 0

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options; see `LocalizationOptions.validate`."""
        super().validate(sizes, labels)
        check_count("max_patches", self.max_patches)
        check_iou_threshold(self.reading_limit, self.max_patches)
        if type(self.zoom) is not int or self.zoom != 0:
            check_count("zoom", self.zoom)
        for name in ("full_resolution", "return_maps"):
            if self.zoom and getattr(self, name):
                raise ValueError(
                    f"`zoom` must be 0 with `{name}`, got {self.zoom}; leave one of them out."
                )

    @property
    def shows(self) -> bool:
        """Whether the answer shows what the localizer found."""
        return self.top_k > 0 or self.return_maps

    @property
    def reading_limit(self) -> float | Sequence[float]:
        """Overlap allowed between the patches that a classifier reads: of as many first ranks."""
        if isinstance(self.iou_threshold, Sequence):
            return self.iou_threshold[: self.max_patches]
        return self.iou_threshold
