"""The plan of a build: its steps, their expected time, and what is shortened for a budget."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from transformers import AutoConfig

from hf_anchornet.model.costs import ShapeCosts
from hf_anchornet.publishing.modality import CLASSES
from hf_anchornet.training.defaults import PRETRAINED, Defaults, choose_defaults
from hf_anchornet.training.memory import plan_batches

TRAINING = 3.0
"""Work of a training step, in forward passes."""
EFFICIENCY = 0.35
"""Speed of a whole network, as a share of that of a matrix product."""
STEP_SECONDS, TOKEN_SECONDS = 0.05, 3e-5
"""Seconds of a training step of a text localizer, and of each token in it, at `TYPICAL_SPEED`."""
PIXEL_ADDS = 1_200
"""Multiply-adds of an image localizer for each pixel of its input."""
TYPICAL_SPEED = 7.5e10
"""Multiply-adds per second of a matrix product on one core of a server."""
CROP_TOKENS = 250
PIECE_TOKENS = 35
"""Mean length of the pieces of texts that a teacher labels."""
FEW_ROWS, VOCABULARY = 20_000, 30_000
"""Below so many rows a localizer starts from the embeddings of a given encoder, which reads its
vocabulary, of about so many tokens, for them."""
FULL, PARTS = 512, (32, 64, 128)
"""Tokens of a full text and of the parts that a classifier is adapted to."""
MOST_TEST_ROWS = 2_000
IMAGE_EPOCHS, IMAGE_BATCH = 20, 16
"""Epochs and batches of an image localizer."""
LEAST_ADAPTED = 300
"""Fewest rows that it makes sense to adapt a classifier on."""


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
    """

    modality: str
    num_rows: tuple[int, int, int]
    size: float
    classifier: str | None
    is_trained: bool
    readable: int = FULL


@dataclass(frozen=True)
class Plan:
    """Settings of a build, chosen by the size of the data and the budget.

    Attributes:
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

    def describe(self) -> list[str]:
        """A line for each step, then the total."""
        lines = [
            f"  {name:<12} {seconds / 60:6.1f} min  {self._say(name)}"
            for name, seconds in self.seconds.items()
        ]
        total = f"  {'all steps':<12} {self.total / 60:6.1f} min  (expected on this machine)"
        return [*lines, total, *(f"shortened: {sentence}" for sentence in self.shortened)]

    def _say(self, name: str) -> str:
        if name == "localizer":
            return "trained on the labels" + (", taught by the classifier" if self.teach else "")
        if name == "classifier":
            sizes = ", ".join(str(size) for size in self.budgets)
            return (
                f"adapted to parts of {sizes} tokens, {self.adapt_rows:,} rows, "
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


def make_plan(work: Work, budget: float | None = None, speed: float | None = None) -> Plan:
    """The plan of a build, shortened until it fits into a budget.

    Args:
        work: What there is to do.
        budget: Longest time, in seconds.
        speed: Multiply-adds per second of a matrix product; measured if left out.

    Raises:
        ValueError: if even the shortest plan takes longer.
    """
    speed = speed or measure_speed()
    costs = None if work.classifier is None else make_costs(work.classifier, work.modality)
    plan = _start(work)
    plan = replace(plan, seconds=_estimate(plan, work, costs, speed))
    if budget is None:
        return plan
    plan = _fit(plan, work, budget, lambda shorter: _estimate(shorter, work, costs, speed))
    if plan.total <= budget:
        return plan
    raise ValueError(
        f"`budget` must be at least {math.ceil(plan.total / 60)}min for the shortest plan, a "
        f"localizer alone and its evaluation, got {budget / 60:.3g}min; give more time or fewer "
        "rows (`max_rows`)."
    )


def _start(work: Work) -> Plan:
    """The plan without a budget."""
    test_rows = min(MOST_TEST_ROWS, work.num_rows[2])
    if work.classifier is None:
        return Plan(test_rows=test_rows)
    batch_size, accumulation = plan_batches(
        AutoConfig.from_pretrained(work.classifier), FULL, PRETRAINED.batch_size
    )
    return Plan(
        teach=work.is_trained and work.modality == "text",
        adapt_rows=work.num_rows[0],
        adapt_epochs=2 if work.is_trained else PRETRAINED.num_epochs,
        budgets=(*(size for size in PARTS if size < work.readable), FULL),
        batch_size=batch_size,
        accumulation=accumulation,
        test_rows=test_rows,
        use_classifier=True,
    )


def fit_rest(
    plan: Plan, work: Work, budget: float, taken: Mapping[str, float], speed: float | None = None
) -> Plan:
    """The plan with what is left of it shortened, by what the finished steps really took.

    Args:
        plan: The plan so far.
        work: What there is to do.
        budget: Longest time of all steps, in seconds.
        taken: Seconds of the finished steps.
        speed: See `make_plan`.

    Returns:
        The longest plan that fits, or the shortest, whose `total` tells by how much it does not.
    """
    speed = speed or measure_speed()
    costs = None if work.classifier is None else make_costs(work.classifier, work.modality)

    def estimate(plan: Plan) -> dict[str, float]:
        """Seconds: taken, or expected if the rest is as much slower as what was done."""
        expected = _estimate(plan, work, costs, speed)
        done = {name: taken[name] for name in expected if name in taken}
        slower = sum(done.values()) / sum(expected[name] for name in done) if done else 1.0
        return {name: done.get(name, seconds * slower) for name, seconds in expected.items()}

    return _fit(replace(plan, seconds=estimate(plan)), work, budget, estimate, set(taken))


def _fit(
    plan: Plan,
    work: Work,
    budget: float,
    estimate: Callable[[Plan], dict[str, float]],
    finished: Set[str] = frozenset(),
) -> Plan:
    """The first of shorter and shorter plans that fits, otherwise the shortest."""
    if plan.total <= budget:
        return plan
    for shorter, sentence in _shorten(plan, work, finished):
        said = (*plan.shortened, sentence)
        plan = replace(shorter, seconds=estimate(shorter), shortened=said)
        if plan.total <= budget:
            break
    return plan


def _shorten(plan: Plan, work: Work, finished: Set[str]) -> Iterator[tuple[Plan, str]]:
    """Shorter and shorter plans, each with a sentence that says what it leaves out.

    Args:
        plan: The plan.
        work: What there is to do.
        finished: Names of steps that cannot be shortened any more.
    """
    is_adapted = "classifier" in finished
    if plan.adapt_epochs > 1 and not is_adapted:
        plan = replace(plan, adapt_epochs=1)
        yield plan, "the classifier is adapted for 1 epoch"
    if plan.use_classifier and plan.test_rows > 500:
        plan = replace(plan, test_rows=500)
        yield plan, "models are compared on 500 rows"
    if is_adapted or "calibration" in finished:
        return
    while plan.adapt_rows > LEAST_ADAPTED:
        plan = replace(plan, adapt_rows=max(LEAST_ADAPTED, plan.adapt_rows // 2))
        yield plan, f"the classifier is adapted on {plan.adapt_rows:,} rows"
    if plan.teach and "localizer" not in finished:
        plan = replace(plan, teach=False)
        yield plan, "the classifier does not teach the localizer"
    if plan.use_classifier and work.is_trained:
        plan = replace(plan, adapt_rows=0, adapt_epochs=0)
        yield plan, "the classifier is not adapted to parts of inputs"
    if plan.use_classifier:
        plan = replace(plan, use_classifier=False, adapt_rows=0, adapt_epochs=0)
        yield plan, "the classifier is left out"


def _estimate(
    plan: Plan, work: Work, costs: Callable[[float], float] | None, speed: float
) -> dict[str, float]:
    """Expected seconds of each step.

    Args:
        plan: The plan.
        work: What there is to do.
        costs: Multiply-adds of the classifier for an input of a size.
        speed: Multiply-adds per second of a matrix product.
    """
    train, validation, test = work.num_rows
    if work.modality == "text":
        once = min(work.size, CROP_TOKENS) * TOKEN_SECONDS * TYPICAL_SPEED / speed
        learning = choose_learning(work, plan.teach)
        step = STEP_SECONDS * TYPICAL_SPEED / speed
        rows = count_learned(work, plan.teach)
        epoch = train * once * (2 if plan.teach else 1) + rows / learning.batch_size * step
        localizer = learning.num_epochs * epoch + 15.0
    else:
        once = work.size**2 * PIXEL_ADDS * TRAINING / speed / EFFICIENCY
        localizer = IMAGE_EPOCHS * train * once + 15.0
    seconds = {"localizer": localizer}
    tested = min(plan.test_rows, test)
    measured = tested * once + 20.0 + train * once
    if plan.use_classifier and costs is not None:
        full = costs(work.size) / speed / EFFICIENCY
        parts = sum(costs(min(work.size, size)) for size in plan.budgets) / speed / EFFICIENCY
        if work.modality == "image":
            parts = 4 * full
        if plan.teach:
            seconds["localizer"] += train * full * 1.2
        if work.modality == "text" and train < FEW_ROWS:
            seconds["localizer"] += VOCABULARY * costs(5) / speed / EFFICIENCY
        if plan.adapt_rows:
            rows = plan.adapt_epochs * (TRAINING * plan.adapt_rows + validation)
            seconds["classifier"] = rows * parts + 10.0
        both = 2 if work.is_trained and plan.adapt_rows else 1
        seconds["calibration"] = 2 * both * validation * (parts + once) + 10.0
        measured += tested * 1.5 * full
    seconds["evaluation"] = measured
    return seconds


def count_learned(work: Work, teach: bool) -> float:
    """Rows that a text localizer learns from: the texts and, with a teacher, pieces of them."""
    return work.num_rows[0] * (1 + (work.size / PIECE_TOKENS if teach else 0))


def choose_learning(work: Work, teach: bool) -> Defaults:
    """Epochs and batches of a text localizer, by all that it learns from."""
    return choose_defaults(round(count_learned(work, teach)))


def measure_speed() -> float:
    """Multiply-adds per second of a matrix product of a usual size, the best of a few."""
    left, right = torch.ones(512, 384), torch.ones(384, 1536)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 512 * 384 * 1536 / min(times)


def make_costs(classifier: str, modality: str) -> Callable[[float], float]:
    """A function from the size of an input, see `Work`, to the classifier's multiply-adds."""
    config = AutoConfig.from_pretrained(classifier)
    with torch.device("meta"):
        model = CLASSES[modality][0].from_config(config).eval()
    if modality == "text":
        longest = int(getattr(config, "max_position_embeddings", FULL)) - 2
        texts = ShapeCosts(model, torch.long, longest)
        return lambda size: texts.count_tokens(max(3, min(int(size), longest, FULL)))
    images = ShapeCosts(model, torch.float32)
    side = int(getattr(config, "image_size", 224) or 224)
    return lambda size: images.count(1, getattr(config, "num_channels", 3), side, side)
