"""What the two localization pipelines share: their options and how inputs reach them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset
from transformers import Pipeline
from transformers.utils import cached_file

from .cascade import CASCADE_FILE, Cascade
from .cascade_rule import ExitRule
from .cascade_trace import Localizer, Trace, count_milliseconds
from .classifier import label_names
from .geometry import Window
from .selection import check_count, check_iou_threshold


@dataclass
class LocalizationOptions:
    """How patches are chosen and shown; the pipelines' docstrings tell what each one means."""

    top_k: int = 5
    scales: Sequence[int] | None = None
    iou_threshold: float | Sequence[float] = 0.0
    labels: Sequence[str] | None = None
    exit_threshold: float | Sequence[float] | None = None

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options against each other and against the model.

        Args:
            sizes: The model's window sizes.
            labels: The model's labels.

        Raises:
            ValueError: naming the option, its value and the remedy.
        """
        check_iou_threshold(self.iou_threshold, check_count("top_k", self.top_k))
        _check_choice("scales", self.scales, sizes, "window sizes")
        _check_choice("labels", self.labels, labels, "labels")


class LocalizationPipeline(Pipeline):
    """The options, checks and streaming of a localization pipeline, whatever it reads."""

    task_name: ClassVar[str]
    model_type: ClassVar[str]
    options_type: ClassVar[type[LocalizationOptions]]
    single_types: ClassVar[tuple[type, ...]]
    """Types of one input, among those that could be taken for several."""
    budget_name: ClassVar[str]
    """The option that says how much a classifier reads; a cascade knows it by itself."""
    preprocess_options: ClassVar[tuple[str, ...]] = ()
    """Options that `preprocess` has to know, too."""
    localizer: Any

    _load_tokenizer: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_processor: Any = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config: Any = self.model.config
        if config.model_type != self.model_type:
            raise ValueError(
                f'`model` of the {self.task_name} pipeline must be of type "{self.model_type}", '
                f'got "{config.model_type}"; choose such an AnchorNet.'
            )
        self.windows = cast(tuple[Window, ...], self.model.windows)
        self.labels = label_names(self.model)

    def _attach(self, classifier: Any, reader_class: Any, backend: str) -> None:
        """Take a classifier, or a cascade whose classifier reads for this localizer."""
        self.reader: Any = None
        self.cascade = attach_cascade(classifier, self.localizer, self.device, backend)
        if self.cascade is not None:
            self.reader = self.cascade.reader
        elif classifier is not None:
            self.reader = reader_class.load(classifier, self.device, backend=backend)
        self._check_options()

    def _choose_cascade(self, options: Any) -> Cascade | None:
        """The cascade of this call; `None`: no input leaves before a classifier reads."""
        if self.cascade is not None:
            return self.cascade.override(options.exit_threshold)
        if options.exit_threshold is None:
            return None
        stages = self.reader.list_stages(getattr(options, self.budget_name))
        rule = ExitRule.make(stages, options.exit_threshold)
        return Cascade(self.localizer, self.reader, rule)

    def _follow(
        self, options: Any, batch: Any, sources: Sequence[Any], started: float
    ) -> list[tuple[Trace, dict[str, Any]]]:
        """The cascade's answer to each input and its trace; nothing if this call has no cascade.

        Args:
            options: Those of this call.
            batch: What the localizer says of the inputs.
            sources: The texts or images.
            started: When it began, by `perf_counter`.
        """
        cascade = self._choose_cascade(options)
        if cascade is None:
            return []
        traces = cascade.start(batch, count_milliseconds(started))
        cascade.read(traces)
        return list(zip(traces, cascade.describe(traces, sources), strict=True))

    def check_input(self, item: Any, name: str) -> Any:
        """The input as `preprocess` takes it.

        Raises:
            TypeError: if it is none, naming it by `name`.
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
        self._choose_cascade(chosen)
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
            args: None; as in every pipeline.
            num_workers: Processes that prepare the inputs of a dataset.
            batch_size: Inputs in one forward pass.
            options: As for the pipeline; they hold for this call.

        Raises:
            TypeError: if an input is of another type, naming its place.
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
    """A sequence or dataset of inputs that says which of them is none."""

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


def find_cascade(source: Any) -> str | None:
    """Path of the `cascade.json` of a folder or Hub id; `None` if it has none or is neither."""
    if not isinstance(source, str | PathLike):
        return None
    try:
        return cached_file(str(source), CASCADE_FILE)
    except OSError:  # none there, or no such place: then it is no classifier either
        return None


def attach_cascade(
    classifier: Any, localizer: Localizer, device: torch.device, backend: str
) -> Cascade | None:
    """The cascade that `classifier` is, or is the folder or Hub id of, behind this localizer.

    `None`: it is a plain classifier.
    """
    if hasattr(classifier, "rule"):  # of this class or, in remote code, one of its name
        return Cascade(localizer, classifier.reader, classifier.rule, classifier.record)
    if find_cascade(classifier) is None:
        return None
    return Cascade.attach(classifier, localizer, device, backend)
