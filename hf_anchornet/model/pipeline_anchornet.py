"""The part that both localization pipelines share: options, checks, streaming, the classifier."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset
from transformers import Pipeline
from transformers.utils.logging import get_logger

from .backend import EAGER
from .cascade import Cascade, attach_cascade
from .cascade_file import CASCADE_FILE
from .cascade_rule import ExitRule, Stage
from .cascade_trace import Trace, count_milliseconds
from .classifier import Classifier, label_names, name_predictions
from .explanation import (
    Explanation,
    InputParts,
    describe_explaining,
    explain_classifier_logit,
    explain_trace,
)
from .geometry import Window
from .localization_options import LocalizationOptions
from .pipeline_inputs import CheckedInputs, name_place
from .reader import Reader

logger = get_logger(__name__)

UNSAID: Any = object()
"""Stands for a classifier of which nothing was said."""


class Verdict(NamedTuple):
    """A classifier's part of an answer.

    Attributes:
        classifier: Its label, score and stage; `None` if there is no classifier.
        cost: Entries for the answer's `cost`.
        explanation: That of the classifier's answer; `None` if the localizer answered, or if
            nobody asked for it.
    """

    classifier: dict[str, Any] | None
    cost: Mapping[str, Any]
    explanation: Explanation | None = None


class LocalizationPipeline(Pipeline):
    """Options, checks, streaming and the classifier of a localization pipeline."""

    task_name: ClassVar[str]
    model_type: ClassVar[str]
    options_type: ClassVar[type[LocalizationOptions]]
    reader_class: ClassVar[type[Reader]]
    single_types: ClassVar[tuple[type, ...]]
    """Types of a single input, among those that could be taken for several."""
    budget_name: ClassVar[str]
    """The option that limits what a classifier reads; a cascade has its own stages instead."""
    preprocess_options: ClassVar[tuple[str, ...]] = ()
    """Options that `preprocess` needs, too."""
    localizer: Any

    _load_tokenizer: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_processor: Any = False

    def __init__(
        self,
        *args: Any,
        classifier: Classifier | Cascade | None = UNSAID,
        backend: str = EAGER,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        is_said = classifier is not UNSAID
        classifier = classifier if is_said else None
        config: Any = self.model.config
        if config.model_type != self.model_type:
            raise ValueError(
                f'`model` of the {self.task_name} pipeline must be of type "{self.model_type}", '
                f'got "{config.model_type}"; choose such an AnchorNet.'
            )
        self.windows = cast(tuple[Window, ...], self.model.windows)
        self.labels = label_names(self.model)
        self.localizer = self._make_localizer(backend)
        self.cascade = attach_cascade(classifier, self.localizer, self.device, backend)
        self.reader: Reader | None = None
        if self.cascade is not None:
            self.reader = self.cascade.reader
        elif classifier is not None:
            plain = cast(Classifier, classifier)
            self.reader = self.reader_class.load(plain, self.device, backend=backend)
        elif not is_said and Path(self.model.name_or_path or "/", CASCADE_FILE).is_file():
            logger.warning(
                "%s is the folder of a cascade, whose localizer answers alone here: pass it as "
                "`classifier`, too, or load it with `hf_anchornet.load`",
                self.model.name_or_path,
            )
        self._exits = self.cascade
        self._check_options()

    @abstractmethod
    def _make_localizer(self, backend: str) -> Any:
        """The localizer of the model and its processor, which is checked."""

    def _choose_rule(self, options: Any) -> ExitRule | None:
        """The exit rule of this call; `None` if the classifier reads every input."""
        if self.cascade is not None:
            return self.cascade.rule.override(options.exit_threshold)
        if self.reader is None or options.exit_threshold is None:
            return None
        stages = self.reader.list_stages(getattr(options, self.budget_name))
        rule = ExitRule.make(stages, options.exit_threshold)
        if self._exits is None:
            self._exits = Cascade(self.localizer, self.reader, rule)
        return rule

    def _ask(
        self, options: Any, batch: Any, sources: Sequence[Any], logits: Tensor, started: float
    ) -> list[Verdict]:
        """The answer of the classifier or cascade, if there is one, to each input.

        Args:
            options: Those of this call.
            batch: The localized inputs, a `Batch`.
            sources: The texts or images.
            logits: (batch, labels), of the localizer.
            started: When the localizer began, by `perf_counter`.
        """
        rule = self._choose_rule(options)
        if self.reader is None:
            return [Verdict(None, {}) for _ in sources]
        if rule is None or self._exits is None:
            stage = self.reader.list_stages(getattr(options, self.budget_name))[-1]
            views = self._open(batch, range(len(sources)), [stage], options)
            return self._read(views, stage, logits, options.explain_answer)

        def open_views(batch: Any, rows: Sequence[int]) -> Sequence[Any]:
            return self._open(batch, rows, rule.readings, options)

        opening = None if self.cascade is not None else open_views
        traces = self._exits.start(batch, count_milliseconds(started), rule, opening)
        self._exits.read(traces, rule=rule)
        answers = self._exits.describe(traces, sources)
        verdicts = []
        for row, (trace, answer) in enumerate(zip(traces, answers, strict=True)):
            cost = answer.pop("cost")
            explanation = None
            parts = self._find_parts(trace, rule, batch, row, options)
            if parts is not None:
                order = self._exits.order
                explanation = explain_trace(self.reader, order, rule, self.labels, trace, parts)
                cost |= describe_explaining(trace.explaining)
            shown = self.reader.describe_pieces(trace.last_reading)
            verdicts.append(Verdict(answer | shown, cost, explanation))
        return verdicts

    def _find_parts(
        self, trace: Trace, rule: ExitRule, batch: Any, row: int, options: Any
    ) -> InputParts | None:
        """What a cascade read of an input; `None` if its localizer answered alone."""
        if not options.explain_answer or not trace.last_reading:
            return None
        stage = rule.stages[trace.stage]
        return self._list_parts(trace.view, trace.last_reading, stage, rule, batch.take([row]))

    def _open(
        self, batch: Any, rows: Sequence[int], stages: Sequence[Stage], options: Any
    ) -> Sequence[Any]:
        """Some inputs of a batch, opened for a classifier that is no calibrated cascade's."""
        assert self.reader is not None
        views: Sequence[Any] = self.reader.open(batch, rows, stages)
        return views

    @abstractmethod
    def _list_parts(
        self, view: Any, pieces: Sequence[Any], stage: Stage, rule: ExitRule | None, batch: Any
    ) -> InputParts:
        """The parts of an input that the classifier read.

        Args:
            view: The input.
            pieces: What was read.
            stage: The stage at which it was read.
            rule: That of the cascade; `None` for a plain classifier.
            batch: The localized input alone; `None` for a plain classifier.
        """

    def _read(
        self, views: Sequence[Any], stage: Stage, logits: Tensor, explain: bool
    ) -> list[Verdict]:
        """The answers of a plain classifier; the localizer's where there is nothing to read.

        Args:
            views: The inputs, opened for reading.
            stage: What is read of each.
            logits: (batch, labels), of the localizer.
            explain: Whether to explain the classifier's answers.
        """
        assert self.reader is not None
        verdicts = []
        readings = self.reader.read(views, stage)
        own = name_predictions(self.model, logits)
        for reading, view, answer in zip(readings, views, own, strict=True):
            if reading.logits is not None:
                (answer,) = name_predictions(self.reader.model, reading.logits[None])
            shown = self.reader.describe_pieces(reading.pieces)
            classifier = answer | {"stage": int(reading.logits is not None)} | shown
            cost = self.reader.describe_cost(reading, view)
            explanation = None
            if explain and reading.logits is not None:
                parts = self._list_parts(view, reading.pieces, stage, None, None)
                explanation, read = explain_classifier_logit(self.reader, parts)
                cost |= describe_explaining(read.asked)
            verdicts.append(Verdict(classifier, cost, explanation))
        return verdicts

    @abstractmethod
    def check_input(self, item: Any, name: str) -> Any:
        """The input as `preprocess` takes it.

        Raises:
            TypeError: if it is of the wrong type; the message calls it `name`.
        """

    def _sanitize_parameters(
        self, local_files_only: bool | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = [field.name for field in fields(self.options_type)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise TypeError(
                f"`{unknown[0]}` is not an option of the {self.task_name} pipeline; it knows "
                f"{', '.join(f'`{name}`' for name in known)} and, when it is made, "
                "`classifier` and `backend`."
            )
        for name in ("scales", "labels"):
            value = options.get(name)
            if isinstance(value, str) or not isinstance(value, Iterable | None):
                options[name] = [value]
        chosen = {name: value for name, value in options.items() if value is not None}
        early = {name: chosen[name] for name in self.preprocess_options if name in chosen}
        return early, chosen, {}

    def _check_options(self, **options: Any) -> Any:
        """The options of this call on top of those of the pipeline, checked."""
        given = self._forward_params | self._sanitize_parameters(**options)[1]
        chosen = self.options_type(**given)
        chosen.validate([window.size for window in self.windows], self.labels)
        if chosen.exit_threshold is not None and self.reader is None:
            raise ValueError(
                "`exit_threshold` must come with a `classifier`, got "
                f"{chosen.exit_threshold!r} without; pass one when the pipeline is made."
            )
        if self.cascade is not None and self.budget_name in given:
            raise ValueError(
                f"`{self.budget_name}` must be left out with a cascade, got "
                f"{given[self.budget_name]!r}; its stages are {list(self.cascade.rule.stages)}."
            )
        rule = self._choose_rule(chosen)
        if rule is not None and self.reader is not None:
            self.reader.check_stages(rule.readings)
        return chosen

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        num_workers: int | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Localize one input or several.

        Args:
            inputs: One input gives a dict, a list a list; a generator or dataset streams.
            args: Not used; as in every pipeline.
            num_workers: Processes that prepare the inputs of a dataset.
            batch_size: Inputs in one forward pass.
            options: As for the pipeline; they hold for this call.

        Raises:
            TypeError: if an input is of the wrong type, naming its place.
            ValueError: if an option is out of range or an input cannot be read.
        """
        self._check_options(**options)
        options |= {"num_workers": num_workers, "batch_size": batch_size}
        listed = isinstance(inputs, list | tuple)
        if isinstance(inputs, self.single_types) or not isinstance(inputs, Iterable | Dataset):
            inputs = self.check_input(inputs, "`inputs`")
        elif isinstance(inputs, Sequence | Dataset) and not isinstance(inputs, IterableDataset):
            inputs = CheckedInputs(self, inputs)
        else:
            inputs = self._check_each(inputs)
        answers = super().__call__(inputs, *args, **options)  # type: ignore[no-untyped-call]
        return list(answers) if listed else answers

    def _check_each(self, inputs: Iterable[Any]) -> Iterator[Any]:
        return (self.check_input(item, name_place(index)) for index, item in enumerate(inputs))

    def postprocess(self, model_outputs: Any, **_: Any) -> Any:
        """The answer for one input."""
        results = model_outputs["results"]
        return results[0] if isinstance(results, list) else results

    def _number_labels(self, labels: Sequence[str] | None, logits: Tensor) -> Tensor:
        """Labels to explain of each input, the predicted one by default: (batch, explained)."""
        if labels is None:
            return logits.argmax(dim=-1, keepdim=True)
        indices = [self.labels.index(label) for label in labels]
        return logits.new_tensor(indices).long().expand(len(logits), -1)
