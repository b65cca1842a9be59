"""Options of `anchornet build`."""

import re
from dataclasses import dataclass

from hf_anchornet.training.options import check_seed

UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
"""Seconds of each unit of a budget."""


@dataclass
class BuildOptions:
    """What to build, and how much time it may take.

    Attributes:
        output_dir: Folder for the model, its card, the report and what the steps leave behind. Run
            the same command again to continue after an interruption.
        classifier: Folder or Hub id of a transformers classifier, trained on the same labels or a
            pretrained encoder. A trained one also teaches the localizer, and gives the labels of
            a dataset that has none. Of images, the localizer starts from the first blocks of a
            MobileNetV2 or EfficientNet, and learns from these only if they are trained; otherwise
            it starts from the shipped localizer. Without a classifier a localizer alone is built.
        test_split: Split that all models are compared on.
        budget: Longest time the build may take, such as 20min or 2h: the plan is shortened until
            it fits, and what is left of it again after each step that took longer than expected.
            No step is cut off. By default there is no limit.
        dry_run: Whether to end after the plan.
        max_loss: Accuracy, in [0, 1], that may be lost against the best model alone.
        seed: Seed of splits, weights and order.
    """

    output_dir: str
    classifier: str | None = None
    test_split: str = "test"
    budget: str = ""
    dry_run: bool = False
    max_loss: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if not 0 <= self.max_loss <= 1:
            raise ValueError(
                f"`max_loss` must be in [0, 1], got {self.max_loss}; 0.01 is one point of accuracy."
            )
        check_seed(self.seed)
        parse_duration(self.budget)

    @property
    def seconds(self) -> float | None:
        """The budget in seconds; `None` without one."""
        return parse_duration(self.budget)


def parse_duration(text: str) -> float | None:
    """Seconds of a duration such as "90s", "20min" or "1.5 h"; `None` if it is empty.

    Raises:
        ValueError: if it has another form.
    """
    if not text:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if found is None or found[2] not in UNITS or not float(found[1]):
        raise ValueError(
            f"`budget` must be a number with {', '.join(UNITS)}, got {text!r}; for example 20min."
        )
    return float(found[1]) * UNITS[found[2]]
