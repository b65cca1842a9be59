"""How long the steps of a build are expected to take on this machine."""

import math
import time
from collections.abc import Callable

import torch
from transformers import AutoConfig

from hf_anchornet.model.costs import ShapeCosts
from hf_anchornet.publishing.modality import CLASSES
from hf_anchornet.training.defaults import LARGE

from .plan import (
    EXPLAINED,
    FEW_ROWS,
    FULL,
    Plan,
    Work,
    choose_learning,
    count_learned,
)

TRAINING = 3.0
"""Work of a training step, in forward passes."""
EFFICIENCY = 0.35
"""Speed of a whole network, as a share of that of a matrix product."""
STEP_SECONDS, WORD_SECONDS, TOKEN_SECONDS = 0.008, 1.8e-6, 3e-5
"""Seconds of a training step of a text localizer, those for each token that its vocabulary knows,
and those for each token in it, at `TYPICAL_SPEED`."""
WORDS = 10.0
"""Tokens of a vocabulary, over the square root of the number of tokens of all texts."""
STOPPED = 0.6
"""Share of the epochs after which a training with `patience` ends, about."""
PIXEL_ADDS = 1_200
"""Multiply-adds of an image localizer for each pixel of its input."""
TYPICAL_SPEED = 7.5e10
"""Multiply-adds per second of a matrix product on one core of a server."""
CROP_TOKENS = 250
SETUP = 5.0
"""Seconds of a step before and after its work."""
ERASED = 20
"""Inputs that are read to judge the evidence of a row."""
VOCABULARY = 30_000
"""About so many tokens an encoder reads alone, for the first embeddings of a localizer."""


class ExpectedTime:
    """Expected seconds of the steps of a plan; called with a plan.

    Args:
        work: What there is to do.
        speed: Multiply-adds per second of a matrix product; measured if left out.
    """

    def __init__(self, work: Work, speed: float | None = None) -> None:
        self.work, self.speed = work, speed or measure_speed()
        self._costs = make_costs(work.classifier, work.modality) if work.classifier else None

    def __call__(self, plan: Plan) -> dict[str, float]:
        """Seconds by the name of the step."""
        train, validation, test = self.work.num_rows
        tested, once = min(plan.test_rows, test), self._localize()
        seconds = {"localizer": self._train_localizer(plan, once)}
        judged = ERASED * min(EXPLAINED, tested) / TRAINING
        evaluation = (tested + train + judged) * once + SETUP
        if plan.use_classifier:
            parts = self._classify_parts(plan)
            if plan.adapt_rows:
                rows = plan.adapt_epochs * (TRAINING * plan.adapt_rows + validation)
                seconds["classifier"] = rows * parts + SETUP
            both = 2 if self.work.is_trained and plan.adapt_rows else 1
            seconds["calibration"] = 2 * both * validation * (parts + once) + SETUP
            evaluation += tested * 1.5 * self._classify(self.work.size)
        return seconds | {"evaluation": evaluation}

    def _localize(self) -> float:
        """Seconds of the localizer for an input, training included."""
        if self.work.modality == "text":
            tokens = min(self.work.size, CROP_TOKENS)
            return tokens * TOKEN_SECONDS * TYPICAL_SPEED / self.speed
        return self.work.size**2 * PIXEL_ADDS * TRAINING / self.speed / EFFICIENCY

    def _train_localizer(self, plan: Plan, once: float) -> float:
        """Seconds of its training, of which an input takes `once`."""
        train, learning = self.work.num_rows[0], choose_learning(self.work, plan.teach)
        if self.work.modality == "image":
            seconds = learning.num_epochs * train * once
        else:
            steps = count_learned(self.work, plan.teach) / learning.batch_size
            epoch = train * once * (2 if plan.teach else 1)
            epoch += steps * self._step() * TYPICAL_SPEED / self.speed
            seconds = learning.num_epochs * epoch * (STOPPED if learning.patience else 1.0)
            if plan.use_classifier and train < FEW_ROWS:
                seconds += VOCABULARY * self._classify(5)
        if plan.teach:
            views = learning.num_epochs if self.work.modality == "image" else 1.2
            seconds += train * views * self._classify(self.work.size)
        return seconds + SETUP

    def _step(self) -> float:
        """Seconds of a training step of a text localizer besides its tokens."""
        tokens = self.work.num_rows[0] * self.work.size
        words = min(LARGE.vocab_size, WORDS * math.sqrt(tokens))
        return STEP_SECONDS + WORD_SECONDS * words

    def _classify(self, size: float) -> float:
        """Seconds of the classifier for an input of a size; 0 without one."""
        return 0.0 if self._costs is None else self._costs(size) / self.speed / EFFICIENCY

    def _classify_parts(self, plan: Plan) -> float:
        """Seconds of the classifier for all parts of an input that it is adapted to."""
        if self.work.modality == "image":
            return 4 * self._classify(self.work.size)
        return sum(self._classify(min(self.work.size, size)) for size in plan.budgets)


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
