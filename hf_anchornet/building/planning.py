"""How the plan of a build is made, and shortened for a budget."""

import math
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace

from transformers import AutoConfig

from hf_anchornet.training.defaults import PRETRAINED, choose_pretrained_epochs
from hf_anchornet.training.memory import plan_batches

from .expected_time import ExpectedTime
from .journal import say_seconds
from .plan import FULL, MOST_TEST_ROWS, PARTS, Plan, Work

LEAST_ADAPTED = 300
"""Fewest rows that it makes sense to adapt a classifier on."""


def make_plan(work: Work, budget: float | None = None, speed: float | None = None) -> Plan:
    """The plan of a build, shortened until it fits into a budget.

    Args:
        work: What there is to do.
        budget: Longest time, in seconds.
        speed: See `ExpectedTime`.

    Raises:
        ValueError: if even the shortest plan takes longer.
    """
    estimate = ExpectedTime(work, speed)
    plan = _start(work)
    plan = replace(plan, seconds=estimate(plan))
    if budget is None:
        return plan
    plan = _fit(plan, work, budget, estimate)
    if plan.total <= budget:
        return plan
    raise ValueError(
        f"`budget` must be at least {math.ceil(plan.total / 60)}min for the shortest plan, a "
        f"localizer alone and its evaluation, got {say_seconds(budget)}; give more time or fewer "
        "rows (`max_rows`)."
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
        speed: See `ExpectedTime`.

    Returns:
        The longest plan that fits, or the shortest, whose `total` tells by how much it does not.
    """
    expect = ExpectedTime(work, speed)

    def estimate(plan: Plan) -> dict[str, float]:
        """Seconds: taken, or expected if the rest is as much slower as what was done."""
        expected = expect(plan)
        done = {name: taken[name] for name in expected if name in taken}
        slower = sum(done.values()) / sum(expected[name] for name in done) if done else 1.0
        return {name: done.get(name, seconds * slower) for name, seconds in expected.items()}

    return _fit(replace(plan, seconds=estimate(plan)), work, budget, estimate, set(taken))


def _start(work: Work) -> Plan:
    """The plan without a budget."""
    test_rows = min(MOST_TEST_ROWS, work.num_rows[2])
    if work.classifier is None:
        return Plan(test_rows=test_rows)
    batch_size, accumulation = plan_batches(
        AutoConfig.from_pretrained(work.classifier), FULL, PRETRAINED.batch_size
    )
    return Plan(
        start=work.is_backbone,
        teach=work.is_trained and (work.modality == "text" or work.is_backbone),
        adapt_rows=work.num_rows[0],
        adapt_epochs=2
        if work.is_trained
        else choose_pretrained_epochs(work.num_rows[0], work.modality),
        budgets=(*(size for size in PARTS if size < work.readable), FULL),
        batch_size=batch_size,
        accumulation=accumulation,
        test_rows=test_rows,
        use_classifier=True,
    )


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
