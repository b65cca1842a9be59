"""The part that both localization pipelines share: options, checks, streaming, the classifier."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, cast

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset
from transformers import Pipeline

from .backend import EAGER
from .cascade import Cascade, attach_cascade
from .cascade_rule import ExitRule, Stage
from .cascade_trace import count_milliseconds
from .classifier import Classifier, label_names, name_predictions
from .geometry import Window
from .localizer import Batch
from .reader import Reader
from .selection import check_count, check_iou_threshold


@dataclass
class LocalizationOptions:
    """Options for choosing and showing patches; the pipelines' docstrings explain each."""

    top_k: int = 5
    scales: Sequence[int] | None = None
    iou_threshold: float | Sequence[float] = 0.0
    labels: Sequence[str] | None = None
    exit_threshold: float | Sequence[float] | None = None

    least_shown: ClassVar[int] = 1
    """Smallest `top_k`."""

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options against each other and against the model.

        Args:
            sizes: The model's window sizes.
            labels: The model's labels.

        Raises:
            ValueError: naming the option, its value and the remedy.
        """
        none = not self.least_shown and type(self.top_k) is int and self.top_k == 0
        check_iou_threshold(self.iou_threshold, 1 if none else check_count("top_k", self.top_k))
        _check_choice("scales", self.scales, sizes, "window sizes")
        _check_choice("labels", self.labels, labels, "labels")


class Verdict(NamedTuple):
    """A classifier's part of an answer.

    Attributes:
        classifier: Its label, score and stage; `None` if there is no classifier.
        cost: Entries for the answer's `cost`.
    """

    classifier: dict[str, Any] | None
    cost: Mapping[str, Any]


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
        classifier: Classifier | Cascade | None = None,
        backend: str = EAGER,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
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
        self._exits = self.cascade
        self._check_options()

    def _make_localizer(self, backend: str) -> Any:
        """The localizer of the model and its processor, which is checked."""
        raise NotImplementedError

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
        self, options: Any, batch: Batch, sources: Sequence[Any], probs: Tensor, started: float
    ) -> list[Verdict]:
        """The answer of the classifier or cascade, if there is one, to each input.

        Args:
            options: Those of this call.
            batch: The localized inputs.
            sources: The texts or images.
            probs: (batch, labels), of the localizer.
            started: When the localizer began, by `perf_counter`.
        """
        rule = self._choose_rule(options)
        if self.reader is None:
            return [Verdict(None, {}) for _ in sources]
        if rule is None or self._exits is None:
            return self._read(*self._open(batch, len(sources), options), probs)
        traces = self._exits.start(batch, count_milliseconds(started), rule)
        self._exits.read(traces, rule=rule)
        verdicts = []
        for trace, answer in zip(traces, self._exits.describe(traces, sources), strict=True):
            cost = answer.pop("cost")
            shown = self.reader.describe_pieces(trace.last_reading)
            verdicts.append(Verdict(answer | shown, cost))
        return verdicts

    def _open(self, batch: Any, count: int, options: Any) -> tuple[Sequence[Any], Stage]:
        """Views of all inputs of a batch, and the stage at which a plain classifier reads them."""
        raise NotImplementedError

    def _read(self, views: Sequence[Any], stage: Stage, probs: Tensor) -> list[Verdict]:
        """The answers of a plain classifier; the localizer's where there is nothing to read.

        Args:
            views: The inputs, opened for reading.
            stage: What is read of each.
            probs: (batch, labels), of the localizer.
        """
        assert self.reader is not None
        verdicts = []
        readings = self.reader.read(views, stage)
        for reading, view, row in zip(readings, views, probs, strict=True):
            answer = self._name(row)
            if reading.logits is not None:
                (answer,) = name_predictions(self.reader.model, reading.logits[None])
            shown = self.reader.describe_pieces(reading.pieces)
            classifier = answer | {"stage": int(reading.logits is not None)} | shown
            verdicts.append(Verdict(classifier, self.reader.describe_cost(reading, view)))
        return verdicts

    def _name(self, probs: Tensor) -> dict[str, Any]:
        """The best label and its probability, from (labels,)."""
        score, label = probs.max(dim=-1)
        return {"label": self.labels[int(label)], "score": float(score)}

    def check_input(self, item: Any, name: str) -> Any:
        """The input as `preprocess` takes it.

        Raises:
            TypeError: if it is of the wrong type; the message calls it `name`.
        """
        raise NotImplementedError

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
            inputs = _CheckedInputs(self, inputs)
        else:
            inputs = self._check_each(inputs)
        answers = super().__call__(inputs, *args, **options)  # type: ignore[no-untyped-call]
        return list(answers) if listed else answers

    def _check_each(self, inputs: Iterable[Any]) -> Iterator[Any]:
        return (self.check_input(item, _name_place(index)) for index, item in enumerate(inputs))

    def postprocess(self, model_outputs: Any, **_: Any) -> Any:
        """The answer for one input."""
        results = model_outputs["results"]
        return results[0] if isinstance(results, list) else results

    def _number_labels(self, labels: Sequence[str] | None, probs: Tensor) -> Tensor:
        """Labels to explain of each input, the predicted one by default: (batch, explained)."""
        if labels is None:
            return probs.argmax(dim=-1, keepdim=True)
        indices = [self.labels.index(label) for label in labels]
        return probs.new_tensor(indices).long().expand(len(probs), -1)


class _CheckedInputs(Dataset[Any]):
    """Inputs that are checked when they are read; errors name their place."""

    def __init__(self, pipeline: LocalizationPipeline, inputs: Any) -> None:
        self.pipeline = pipeline
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline.check_input(self.inputs[index], _name_place(index))


def _name_place(index: int) -> str:
    return f"item {index} of `inputs`"


def _check_choice(name: str, chosen: Any, known: Sequence[Any], what: str) -> None:
    if chosen is None:
        return
    if not chosen or any(item not in known for item in chosen):
        raise ValueError(
            f"`{name}` must be one or more of this model's {what} {sorted(set(known))}, got "
            f"{list(chosen)}; leave it out for the default."
        )
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"`{name}` must name each once, got {list(chosen)}; leave out repeats.")
