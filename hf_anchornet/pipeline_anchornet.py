"""What the two localization pipelines share: their options and how inputs reach them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset
from transformers import Pipeline

from .geometry_anchornet import Window, center_evidence
from .selection_anchornet import check_count, check_iou_threshold


@dataclass
class LocalizationOptions:
    """How patches are chosen and shown; the pipelines' docstrings tell what each one means."""

    top_k: int = 5
    scales: Sequence[int] | None = None
    iou_threshold: float | Sequence[float] = 0.0
    labels: Sequence[str] | None = None

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
        self.labels: list[str] = [config.id2label[index] for index in range(config.num_labels)]
        self.multi_label = config.problem_type == "multi_label_classification"

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
                f"{', '.join(f'`{name}`' for name in known)} and, when it is made, `classifier`."
            )
        for name in ("scales", "labels"):
            value = options.get(name)
            if isinstance(value, str) or not isinstance(value, Iterable | None):
                options[name] = [value]
        return {}, {name: value for name, value in options.items() if value is not None}, {}

    def _check_options(self, **options: Any) -> Any:
        """The options of this call on top of those of the pipeline, checked."""
        chosen = self.options_type(**self._forward_params | self._sanitize_parameters(**options)[1])
        chosen.validate([window.size for window in self.windows], self.labels)
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

    def _read_output(self, output: Any) -> tuple[list[Tensor], Tensor]:
        """Evidence to show, one tensor a branch, and probabilities, (batch, labels)."""
        # Independent classes: a sigmoid sees all of the evidence, a softmax only its differences.
        if self.multi_label:
            return list(output.evidence), output.logits.sigmoid()
        return [*map(center_evidence, output.evidence)], output.logits.softmax(dim=-1)

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
    if chosen is not None and (not chosen or set(chosen) - set(known)):
        raise ValueError(
            f"`{name}` must be one or more of this model's {what} {sorted(set(known))}, got "
            f"{list(chosen)}; leave it out for the default."
        )
