"""What the web demo asks of the models: what decided, and what each way of answering costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers import pipeline
from transformers.utils.logging import disable_progress_bar

from hf_anchornet.model.backend import EAGER
from hf_anchornet.model.cascade import Cascade, attach_cascade
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.cascade_rule import FULL, ExitRule
from hf_anchornet.model.cascade_trace import Trace
from hf_anchornet.model.classifier import name_predictions
from hf_anchornet.model.localizer import MODALITIES
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import DEFAULTS, register
from hf_anchornet.views.base import Record

NEVER = 1.0
"""The exit threshold at which no input leaves before the classifier has read."""

ROUNDS = 3
"""How often both ways are taken; the one of median time is shown."""

BUDGETS = {"span-localization": 64, "patch-localization": 1}

FULL_SIZES = {"span-localization": None, "patch-localization": 224}
"""What the shipped classifier reads of a full input: of a photo as many pixels as the localizer."""


@dataclass(frozen=True)
class DemoModels:
    """A localizer and what reads for it.

    Attributes:
        localize: The pipeline that explains, without a classifier.
        cascade: The same localizer and a classifier; `None`: it answers alone.
        calibrated: Whether the cascade has stages and thresholds of its own.
        shipped: Whether both are those of the package.
    """

    localize: LocalizationPipeline
    cascade: Cascade | None = None
    calibrated: bool = False
    shipped: bool = False

    @classmethod
    def load(cls, task: str, localizer: str = "", classifier: str = "") -> "DemoModels":
        """Load a localizer and a classifier; by default those of the package.

        Args:
            task: "span-localization" or "patch-localization".
            localizer: Hub id or folder, that of a cascade, too; empty: the shipped localizer.
            classifier: Hub id or folder, that of a cascade, too; empty: the one of the cascade
                that `localizer` is, the shipped one for the shipped localizer, else none.

        Raises:
            OSError: if a model cannot be found.
            ValueError: if it is of another kind or the labels differ.
        """
        register()
        disable_progress_bar()
        shipped_localizer, shipped_classifier = map(str, DEFAULTS[task])
        source = localizer or shipped_localizer
        shipped = not localizer and not classifier
        if shipped:
            classifier = shipped_classifier
        elif not classifier and find_cascade(source) is not None:
            classifier = source
        localize = _load_localizer(task, source)
        if not classifier:
            return cls(localize)
        cascade = attach_cascade(classifier, localize.localizer, localize.device, EAGER)
        if cascade is not None:
            return cls(localize, cascade, calibrated=True)
        full_size = FULL_SIZES[task] if shipped else None
        reader = MODALITIES[localize.model_type].reader.load(
            classifier, localize.device, full_size=full_size
        )
        rule = ExitRule.make(reader.list_stages(BUDGETS[task]), NEVER)
        return cls(localize, Cascade(localize.localizer, reader, rule), shipped=shipped)

    @property
    def sizes(self) -> list[int]:
        """The window sizes of the localizer, rising."""
        return sorted({window.size for window in self.localize.windows})

    def ask(self, source: Any, options: "DemoOptions") -> "Answer":
        """What the localizer shows and what it takes to answer in two ways.

        Args:
            source: A text or an image.
            options: What the user chose.

        Raises:
            ValueError: naming the option that is out of range.
        """
        shown: dict[str, Any] = {"top_k": options.top_k, "scales": options.scales}
        if self.localize.task_name == "patch-localization":
            shown["return_maps"] = True
        result = self.localize(source, **shown)
        if self.cascade is None:
            return Answer(result)
        chosen = Cascade(self.cascade.localizer, self.cascade.reader, self._choose_rule(options))
        whole = Cascade(chosen.localizer, chosen.reader, ExitRule.make([FULL], NEVER))
        # In turn, so that other work on the machine slows down both alike.
        rounds = [(*chosen.follow([source]), *whole.follow([source])) for _ in range(ROUNDS)]
        ways, full_ways = zip(*rounds, strict=True)
        ways_sorted = sorted(ways, key=lambda trace: trace.milliseconds)
        full_sorted = sorted(full_ways, key=lambda trace: trace.classifier_milliseconds)
        return Answer(
            result, Comparison(chosen, ways_sorted[ROUNDS // 2], full_sorted[ROUNDS // 2])
        )

    def _choose_rule(self, options: "DemoOptions") -> ExitRule:
        assert self.cascade is not None
        if self.calibrated:
            return self.cascade.rule.override(options.exit_threshold)
        threshold = NEVER if options.exit_threshold is None else options.exit_threshold
        return ExitRule.make(self.cascade.reader.list_stages(options.budget), threshold)


@dataclass(frozen=True)
class DemoOptions:
    """What a user of the demo chose.

    Attributes:
        top_k: Spans or patches to show.
        scales: Window sizes to show them of.
        budget: Tokens or patches that the classifier may read; a cascade knows it by itself.
        exit_threshold: How sure the localizer must be to answer alone; `None`: as the cascade was
            calibrated, without one the classifier always reads.
    """

    top_k: int
    scales: Sequence[int]
    budget: int
    exit_threshold: float | None = None


@dataclass(frozen=True)
class Reading:
    """An answer and its cost."""

    label: str
    score: float
    multiply_adds: int
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """The cascade's way to its answer and, measured in the same call, the classifier's on all.

    Attributes:
        cascade: Whose answer it is.
        trace: Its way through the stages.
        whole: The way of the same classifier through the full input.
    """

    cascade: Cascade
    trace: Trace
    whole: Trace

    @property
    def stage(self) -> int:
        """The last stage at which there was something to read."""
        return self.trace.stage

    @property
    def parts(self) -> list[Any]:
        """What the classifier read at last: one text, or boxes, or "full"."""
        return self.trace.last_reading

    @cached_property
    def alone(self) -> Reading:
        """The localizer's answer as the cascade takes it, before the classifier."""
        probs = self.cascade.rule.combine(self.trace.logits, None, 0)
        trace = self.trace
        spent = trace.milliseconds - trace.classifier_milliseconds
        return self._name(probs, trace.localizer_multiply_adds, spent)

    @cached_property
    def selected(self) -> Reading | None:
        """The classifier's own answer to the parts; `None`: it read nothing."""
        return _read(self.cascade, self.trace)

    @cached_property
    def together(self) -> Reading:
        """The cascade's answer, at the cost of both models."""
        trace = self.trace
        multiply_adds = trace.localizer_multiply_adds + trace.classifier_multiply_adds
        return self._name(trace.probs, multiply_adds, trace.milliseconds)

    @cached_property
    def full(self) -> Reading | None:
        """The classifier's answer to the full input; `None`: it has no token to read."""
        return _read(self.cascade, self.whole)

    def _name(self, probs: Any, multiply_adds: int, milliseconds: float) -> Reading:
        label = self.cascade.labels[int(probs.argmax())]
        return Reading(label, float(probs.max()), multiply_adds, milliseconds)


def _load_localizer(task: str, source: str) -> LocalizationPipeline:
    try:
        # The stubs of transformers list its own tasks only.
        loaded: LocalizationPipeline = pipeline(task, model=source)  # type: ignore[call-overload]
    except OSError as error:
        raise OSError(
            f"`localizer` must be the Hub id or folder of an AnchorNet, got {source!r}; check the "
            f"name. {error}"
        ) from error
    return loaded


def _read(cascade: Cascade, trace: Trace) -> Reading | None:
    """The classifier's own answer on a way through the stages, and what it took."""
    if not trace.stage:
        return None
    # The logits are in the order of the localizer's labels, of the same names.
    (answer,) = name_predictions(cascade.localizer.model, trace.average(trace.last_reading)[None])
    cost = trace.classifier_multiply_adds, trace.classifier_milliseconds
    return Reading(answer["label"], answer["score"], *cost)


@dataclass(frozen=True)
class Answer:
    """What the localizer shows of an input and, with a classifier, what both ways cost."""

    result: Record
    comparison: Comparison | None = None
