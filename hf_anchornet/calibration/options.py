"""Options of a calibration: the candidate stages and the goal."""

from dataclasses import dataclass, field

from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_models import check_opening
from hf_anchornet.model.cascade_rule import FULL, OPENINGS, Stage, check_stages
from hf_anchornet.model.selection import check_count

DEFAULT_STAGES: dict[str, list[Stage]] = {
    "anchornet_text": [16, 32, 64, 128, FULL],
    "anchornet_image": [1, 2, 3, FULL],
}


@dataclass
class CalibrationOptions:
    """Candidate stages of a cascade, and the goal by which they are chosen.

    Attributes:
        stages: Stages to choose from: "ngrams" (of a text localizer that has some) or "glance" (of
            images) and "localizer", at least one of which is kept; then amounts that the classifier
            may read: rising numbers of tokens (texts) or patches (images), then optionally "full".
            Without the first ones: "localizer". Default: ngrams (if the model has some) localizer
            16 32 64 128 full, or glance (if there is one) localizer 1 2 3 full.
        max_stages: Most stages to keep after the first. Larger can save more compute and is slower
            to search.
        max_loss: Accuracy, in [0, 1], that may be lost against the best model alone: the classifier
            on the full input or, if it is better, the localizer. Among the cascades that lose at
            most this the one of least cost is chosen. 0.01 is one point; larger is cheaper.
        min_accuracy: Accuracy, in [0, 1], to reach instead of the best - `max_loss`; for example
            that of another model on the same rows.
        max_cost: Choose the best accuracy at a mean cost of at most this, in `unit` per input,
            instead of the least cost at an accuracy.
        best_effort: Take the most accurate cascade if no one reaches the goal, instead of an error.
        unit: Unit of cost: "multiply_adds" or "milliseconds".
        batch_size: Inputs per forward pass. Larger is faster and takes more memory.
    """

    stages: list[str] = field(default_factory=list)
    max_stages: int = 3
    max_loss: float = 0.01
    min_accuracy: float | None = None
    max_cost: float | None = None
    best_effort: bool = False
    unit: str = "multiply_adds"
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Check the names of stages, the goal and the counts."""
        check_count("max_stages", self.max_stages)
        check_count("batch_size", self.batch_size)
        for stage in self.stages:
            if stage not in (*OPENINGS, FULL) and not str(stage).isdecimal():
                raise ValueError(
                    f"`stages` must be {', '.join(map(repr, OPENINGS))}, whole numbers and "
                    f"{FULL!r}, got {stage!r}; for example ngrams localizer 16 64 full."
                )
        if self.unit not in ("multiply_adds", "milliseconds"):
            raise ValueError(
                f'`unit` must be "multiply_adds" or "milliseconds", got {self.unit!r}; choose one.'
            )
        for name in ("max_loss", "min_accuracy"):
            share = getattr(self, name)
            if share is not None and not (isinstance(share, float | int) and 0 <= share <= 1):
                raise ValueError(
                    f"`{name}` must be in [0, 1], got {share!r}; it is a share of the inputs, 0.01 "
                    "is one point of accuracy."
                )
        cost = self.max_cost
        if cost is not None and not (isinstance(cost, float | int) and 0 <= cost < float("inf")):
            raise ValueError(
                f"`max_cost` must be a number of at least 0, got {cost!r}; it is the mean of "
                f"{self.unit} an input."
            )
        if cost is not None and self.min_accuracy is not None:
            raise ValueError(
                f"`min_accuracy` must be left out with `max_cost`, got {self.min_accuracy} and "
                f"{cost}; the best accuracy at that cost is chosen."
            )

    def list_stages(self, cascade: Cascade, most: float) -> tuple[Stage, ...]:
        """The candidate stages for the models of a cascade, checked.

        Args:
            cascade: The models.
            most: The most tokens or patches that the classifier reads; larger default stages are
                left out.

        Raises:
            ValueError: if they are out of order, or there are no n-grams or glance.
        """
        named = [int(stage) if str(stage).isdecimal() else stage for stage in self.stages]
        if not named:
            default = DEFAULT_STAGES[cascade.localizer.model.config.model_type]
            named = [*cascade.openings, *(n for n in default if n == FULL or int(n) <= most)]
        stages = check_stages(named)
        check_opening(stages, cascade.openings)
        return stages

    def rank(
        self, accuracy: float, cost: float, best_accuracy: float
    ) -> tuple[float, float] | None:
        """The rank of a cascade, smaller is better; `None` if it misses the goal.

        `best_accuracy` is that of the best model alone.
        """
        if self.max_cost is not None:
            return (-accuracy, cost) if cost <= self.max_cost else None
        wanted = best_accuracy - self.max_loss if self.min_accuracy is None else self.min_accuracy
        return (cost, -accuracy) if accuracy >= wanted - 1e-9 else None

    def describe_goal(self, best_accuracy: float) -> str:
        """The goal in words, for errors."""
        if self.max_cost is not None:
            return f"an expected cost of at most {self.max_cost:g} {self.unit}"
        if self.min_accuracy is not None:
            return f"an accuracy of at least {self.min_accuracy:g}"
        return f"an accuracy of at least {best_accuracy:.4f} - {self.max_loss:g}"
