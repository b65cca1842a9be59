"""What a build has to do, and the plan for it: its settings and the time of its steps."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hf_anchornet.training.defaults import PRETRAINED, Defaults, choose_defaults

PIECE_TOKENS = 35
"""Mean length of the pieces of texts that a teacher labels."""
FEW_ROWS = 20_000
"""Below so many rows a localizer starts from the embeddings of a given encoder."""
FULL, PARTS = 512, (32, 64, 128)
"""Tokens of a full text and of the parts that a classifier is adapted to."""
MOST_TEST_ROWS = 2_000
EXPLAINED = 200
"""Rows on which the faithfulness of the evidence is measured."""


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        modality: "text" or "image".
        num_rows: Rows of the training, validation and test split.
        size: Mean length of a text in tokens, or the side of an image in pixels.
        classifier: Folder or Hub id; `None` without one.
        is_trained: Whether the classifier knows the labels already.
        readable: The most tokens that the classifier reads of a text.
        is_backbone: Whether the trunk of an image localizer can start from the classifier.
    """

    modality: str
    num_rows: tuple[int, int, int]
    size: float
    classifier: str | None
    is_trained: bool
    readable: int = FULL
    is_backbone: bool = False


@dataclass(frozen=True)
class Plan:
    """Settings of a build, chosen by the size of the data and the budget.

    Attributes:
        start: Whether the localizer starts from the first blocks of the classifier; otherwise one
            of images starts from the shipped localizer.
        teach: Whether the classifier teaches the localizer.
        adapt_rows: Rows that the classifier is adapted on; 0: it is used as it is.
        adapt_epochs: Passes over them.
        budgets: Tokens that it reads of each text in each pass; the largest is the full text.
        batch_size: Inputs per forward pass of the classifier's training.
        accumulation: Batches per step.
        test_rows: Rows that all models are compared on.
        use_classifier: Whether the classifier is used at all.
        seconds: Expected seconds of each step.
        shortened: Sentences that say what a budget took away.
    """

    start: bool = False
    teach: bool = False
    adapt_rows: int = 0
    adapt_epochs: int = 0
    budgets: tuple[int, ...] = (*PARTS, FULL)
    batch_size: int = PRETRAINED.batch_size
    accumulation: int = 1
    test_rows: int = MOST_TEST_ROWS
    use_classifier: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    shortened: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Expected seconds of all steps."""
        return sum(self.seconds.values())

    def describe(self, modality: str) -> list[str]:
        """A line for each step, then the total."""
        lines = [
            f"  {name:<12} {seconds / 60:6.1f} min  {self._say(name, modality)}"
            for name, seconds in self.seconds.items()
        ]
        total = f"  {'all steps':<12} {self.total / 60:6.1f} min  (expected on this machine)"
        return [*lines, total, *(f"shortened: {sentence}" for sentence in self.shortened)]

    def _say(self, name: str, modality: str) -> str:
        if name == "localizer":
            start = "the classifier's first blocks" if self.start else "the shipped localizer"
            starts = f", starting from {start}" if modality == "image" else ""
            return f"trained on the labels{starts}{', taught by it' if self.teach else ''}"
        if name == "classifier":
            sizes = ", ".join(str(size) for size in self.budgets)
            parts = f"parts of {sizes} tokens" if modality == "text" else "the best patches"
            return (
                f"adapted to {parts}, {self.adapt_rows:,} rows, "
                f"{self.adapt_epochs} epochs, batches of {self.batch_size} x {self.accumulation}"
            )
        if name == "calibration":
            return "stages and thresholds, on the validation split"
        return f"all models on at most {self.test_rows:,} rows of the test split, card and report"

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Plan":
        """The plan that `to_json` wrote."""
        tuples = {name: tuple(content[name]) for name in ("budgets", "shortened")}
        return cls(**content | tuples)


def count_learned(work: Work, teach: bool) -> float:
    """Rows that a localizer learns from: the inputs and, of texts with a teacher, their pieces."""
    has_pieces = teach and work.modality == "text"
    return work.num_rows[0] * (1 + (work.size / PIECE_TOKENS if has_pieces else 0))


def choose_learning(work: Work, teach: bool) -> Defaults:
    """Epochs and batches of a localizer, by all that it learns from."""
    return choose_defaults(round(count_learned(work, teach)), work.modality)
