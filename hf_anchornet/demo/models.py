"""Models of the web demo: explanations, and the answer and cost of each way of answering."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hf_anchornet.model.backend import EAGER
from hf_anchornet.model.cascade import Cascade, attach_cascade
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.cascade_rule import FULL, ExitRule, Stage
from hf_anchornet.model.cascade_trace import Trace
from hf_anchornet.model.classifier import name_predictions
from hf_anchornet.model.localizer import MODALITIES
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import (
    SHIPPED,
    find_shipped,
    find_shipped_cascade,
    load_pipeline,
)
from hf_anchornet.views.base import Record

NEVER = 1.0
"""The exit threshold at which the classifier is always asked."""

ROUNDS = 3
"""Runs of each way of answering; the one of median time is shown."""

LEAST_SAVING = 1.2
"""How many times faster the cascade must be for its saving to be told: below, it may be noise."""

BUDGETS = {"span-localization": 64, "patch-localization": 1}


@dataclass(frozen=True)
class DemoModels:
    """A localizer and perhaps a classifier behind it.

    Attributes:
        localize: The pipeline of the localizer alone, which explains.
        cascade: The localizer with the classifier; `None` if it answers alone.
        calibrated: Whether the cascade has its own stages and thresholds.
    """

    localize: LocalizationPipeline
    cascade: Cascade | None = None
    calibrated: bool = False

    @classmethod
    def load(cls, task: str, localizer: str = "", classifier: str = "") -> "DemoModels":
        """A localizer and a classifier, by default the shipped ones.

        Args:
            task: "span-localization" or "patch-localization".
            localizer: Hub id or folder of a localizer or cascade; empty: the shipped localizer.
            classifier: Hub id or folder of a classifier or cascade; empty: the one of the cascade
                `localizer`, the shipped cascade or classifier for the shipped localizer, otherwise
                no classifier.

        Raises:
            OSError: if a model cannot be found.
            ValueError: if a model is of the wrong kind or the labels differ.
        """
        source, shipped_classifier = find_shipped(task, localizer or SHIPPED, SHIPPED)
        if not localizer and not classifier:
            classifier = str(find_shipped_cascade(task) or shipped_classifier)
        elif not classifier and find_cascade(source) is not None:
            classifier = source
        localize = _load_localizer(task, source)
        if not classifier:
            return cls(localize)
        cascade = attach_cascade(classifier, localize.localizer, localize.device, EAGER)
        if cascade is not None:
            return cls(localize, cascade, calibrated=True)
        reader = MODALITIES[localize.model_type].reader.load(classifier, localize.device)
        rule = ExitRule.make(reader.list_stages(BUDGETS[task]), NEVER)
        return cls(localize, Cascade(localize.localizer, reader, rule))

    @property
    def sizes(self) -> list[int]:
        """The window sizes of the localizer in ascending order."""
        return sorted({window.size for window in self.localize.windows})

    @property
    def usual_sizes(self) -> list[int]:
        """The window sizes that are shown unless others are named, in ascending order."""
        if self.localize.task_name == "span-localization":
            return self.sizes
        return sorted(self.localize.model.config.reading_scales) or self.sizes

    def ask(self, source: Any, options: "DemoOptions") -> "Answer":
        """The explanation of a text or an image, and the cost of two ways to answer.

        Raises:
            ValueError: if an option is out of range.
        """
        shown: dict[str, Any] = {
            "top_k": options.top_k,
            # Named scales are read, also those of a stage that was not reached.
            "scales": None if set(options.scales) == set(self.usual_sizes) else options.scales,
            "explain_answer": options.explain,
        }
        if self.localize.task_name == "patch-localization":
            shown["return_maps"] = True
        if self.cascade is None:
            return Answer(self.localize(source, **shown))
        chosen = self.cascade.follow_rule(self._choose_rule(options))
        result = self._attach(chosen)(source, **shown)
        whole = self.cascade.follow_rule(ExitRule.make([FULL], NEVER))
        # Alternating, so that other work on the machine slows down both ways equally.
        rounds = [(*chosen.follow([source]), *whole.follow([source])) for _ in range(ROUNDS)]
        ways, full_ways = zip(*rounds, strict=True)
        ways_sorted = sorted(ways, key=lambda trace: trace.milliseconds)
        full_sorted = sorted(full_ways, key=lambda trace: trace.classifier_milliseconds)
        return Answer(
            result, Comparison(chosen, ways_sorted[ROUNDS // 2], full_sorted[ROUNDS // 2])
        )

    def _attach(self, cascade: Cascade) -> LocalizationPipeline:
        """The pipeline of a cascade of the same models."""
        alone, processor = self.localize, cascade.localizer.processor
        name = "tokenizer" if alone.task_name == "span-localization" else "image_processor"
        return type(alone)(
            alone.model, device=alone.device, classifier=cascade, **{name: processor}
        )

    def _choose_rule(self, options: "DemoOptions") -> ExitRule:
        assert self.cascade is not None
        if self.calibrated:
            return self.cascade.rule.override(options.exit_threshold)
        threshold = NEVER if options.exit_threshold is None else options.exit_threshold
        return ExitRule.make(self.cascade.reader.list_stages(options.budget), threshold)


@dataclass(frozen=True)
class DemoOptions:
    """The choices of a user of the demo.

    Attributes:
        top_k: Maximum number of spans or patches to show.
        scales: Window sizes to show.
        budget: Tokens or patches that the classifier may read; not used by a calibrated cascade.
        exit_threshold: Confidence from which the localizer answers alone. `None`: the thresholds
            of a calibrated cascade; otherwise the classifier is always asked.
        explain: Whether to explain the answer of whoever gave it, part by part.
    """

    top_k: int
    scales: Sequence[int]
    budget: int
    exit_threshold: float | None = None
    explain: bool = False


@dataclass(frozen=True)
class Reading:
    """An answer and its cost."""

    label: str
    score: float
    multiply_adds: int
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """The cascade and its classifier on the full input, measured in the same call.

    Attributes:
        cascade: The cascade.
        trace: Its trace of the input.
        whole: The trace of the same classifier on the full input.
    """

    cascade: Cascade
    trace: Trace
    whole: Trace

    @property
    def first(self) -> Stage:
        """The last opening stage reached: "glance", "ngrams" or "localizer"."""
        return self.cascade.rule.stages[len(self.trace.opened) - 1]

    @property
    def parts(self) -> list[Any]:
        """The parts that the classifier read last: a `TextPiece`, boxes, or "full"; or none."""
        return self.trace.last_reading

    @cached_property
    def alone(self) -> Reading:
        """The answer at the last opening stage, as calibrated in the cascade."""
        trace, last = self.trace, len(self.trace.opened) - 1
        probs = self.cascade.rule.combine([one.logits for one in trace.opened], None, last)
        spent = trace.glance_multiply_adds + trace.localizer_multiply_adds
        return self._name(probs, spent, trace.opening_milliseconds)

    @cached_property
    def selected(self) -> Reading | None:
        """The classifier's own answer for the parts; `None` if it read nothing."""
        return _read(self.cascade, self.trace)

    @cached_property
    def together(self) -> Reading:
        """The cascade's answer, with the cost of all models."""
        return self._name(self.trace.probs, self.trace.multiply_adds, self.trace.milliseconds)

    @cached_property
    def full(self) -> Reading | None:
        """The classifier's answer for the full input; `None` if that has no token."""
        return _read(self.cascade, self.whole)

    @property
    def times_faster(self) -> float | None:
        """Time of the classifier on the full input over that of the cascade, if measurably more."""
        if self.full is None:
            return None
        times = self.full.milliseconds / self.together.milliseconds
        return times if times >= LEAST_SAVING else None

    def _name(self, probs: Any, multiply_adds: int, milliseconds: float) -> Reading:
        label = self.cascade.labels[int(probs.argmax())]
        return Reading(label, float(probs.max()), multiply_adds, milliseconds)


def _load_localizer(task: str, source: str) -> LocalizationPipeline:
    try:
        return load_pipeline(task, source, None)
    except OSError as error:
        raise OSError(
            f"`localizer` must be the Hub id or folder of an AnchorNet, got {source!r}; check the "
            f"name. {error}"
        ) from error


def _read(cascade: Cascade, trace: Trace) -> Reading | None:
    """The classifier's own answer in a trace, with its cost; `None` if it read nothing."""
    if not trace.last_reading:
        return None
    # The logits are in the order of the localizer's labels.
    (answer,) = name_predictions(cascade.localizer.model, trace.average(trace.last_reading)[None])
    cost = trace.classifier_multiply_adds, trace.classifier_milliseconds
    return Reading(answer["label"], answer["score"], *cost)


@dataclass(frozen=True)
class Answer:
    """The localizer's result for an input and, with a classifier, the comparison of both ways."""

    result: Record
    comparison: Comparison | None = None
