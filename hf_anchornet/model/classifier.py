"""Any transformers classifier: loading it in any of its forms, its labels and probabilities."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import Pipeline, PreTrainedModel, PreTrainedTokenizerBase

from .loading import load_processor, load_whole

Classifier = str | PathLike[str] | Pipeline | PreTrainedModel
"""A Hub id, a folder, a classification pipeline or a model that knows its folder."""


@dataclass(frozen=True)
class ClassifierKind:
    """The transformers classes for classifiers of one modality.

    Attributes:
        task: Name of its pipeline's task.
        pipeline_class: Class of that pipeline.
        model_class: Auto class of its models.
        processor_class: Auto class of the tokenizer or image processor.
        processor_name: Its name in pipelines: "tokenizer" or "image_processor".
        input_name: Name of the models' main input.
    """

    task: str
    pipeline_class: type[Pipeline]
    model_class: Any
    processor_class: Any
    processor_name: str
    input_name: str


def load_classifier(
    classifier: Classifier,
    kind: ClassifierKind,
    device: torch.device | None = None,
    subfolder: str = "",
    name: str = "classifier",
    **hub: Any,
) -> tuple[PreTrainedModel, Any]:
    """A classifier and its tokenizer or image processor.

    Args:
        classifier: In any of its forms.
        kind: The classes of its modality.
        device: Device of a model that is loaded here.
        subfolder: Subfolder of a model that is loaded here.
        name: What errors call it.
        hub: For the `from_pretrained` of a model that is loaded here: `revision`, `token`.

    Raises:
        TypeError: if `classifier` has none of these forms.
        ValueError: if a model has another modality or was not loaded from a folder.
        OSError: if there is no model under that id or in that folder, or it is damaged.
    """
    if isinstance(classifier, kind.pipeline_class):
        return classifier.model, getattr(classifier, kind.processor_name)
    if isinstance(classifier, PreTrainedModel):
        if classifier.main_input_name != kind.input_name:
            raise ValueError(
                f"`{name}` must be a model for {kind.task}, which reads `{kind.input_name}`, "
                f"got a {type(classifier).__name__}, which reads `{classifier.main_input_name}`; "
                "choose one of the localizer's modality."
            )
        if not classifier.name_or_path:
            raise ValueError(
                f"`{name}` must be a model loaded from a Hub id or folder, got a "
                f"{type(classifier).__name__} made from a config; pass "
                f'`pipeline("{kind.task}", model=..., {kind.processor_name}=...)` instead.'
            )
        return classifier, kind.processor_class.from_pretrained(classifier.name_or_path)
    if not isinstance(classifier, str | PathLike):
        raise TypeError(
            f"`{name}` must be a Hub id, a folder, a pipeline for {kind.task} or a model, got "
            f"{type(classifier).__name__}; load it first."
        )
    try:
        model, _ = load_whole(
            kind.model_class.from_pretrained, classifier, subfolder=subfolder, **hub
        )
        processor = load_processor(
            kind.processor_class.from_pretrained, classifier, subfolder=subfolder, **hub
        )
    except (OSError, ValueError) as error:
        raise OSError(
            f"`{name}` must be the Hub id or folder of a model for {kind.task} with its "
            f"{kind.processor_name}, got {str(Path(classifier, subfolder))!r}; check the path. "
            f"{error}"
        ) from error
    return model.to(device or "cpu"), processor


def check_labels(model: PreTrainedModel, name: str) -> None:
    """Check that a model tells labels apart, at least two.

    Args:
        model: The model.
        name: What errors call it.

    Raises:
        ValueError: if it has a single output or is a regression.
    """
    config = model.config
    if len(label_names(model)) < 2 or config.problem_type == "regression":
        raise ValueError(
            f"`{name}` must tell at least two labels apart, got a {type(model).__name__} with "
            f"{config.num_labels} output(s) and `problem_type` {config.problem_type!r}; explain a "
            "score p in [0, 1] as a function that returns rows of 1 - p and p "
            "(`explain_classifier`)."
        )


def check_truncation(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Check that a tokenizer keeps the beginning of a text that is too long, not its end.

    Args:
        tokenizer: The tokenizer.
        name: What errors call it.

    Raises:
        ValueError: if it keeps the end: what is read is told by the first words.
    """
    if tokenizer.truncation_side != "right":
        raise ValueError(
            f"`{name}` must have a tokenizer with `truncation_side` 'right', got "
            f"{tokenizer.truncation_side!r}; set it, and pass a pipeline with this tokenizer."
        )


def is_multi_label(model: PreTrainedModel) -> bool:
    """Whether a model is multi-label: its classes are independent, its probabilities sigmoids."""
    return bool(model.config.problem_type == "multi_label_classification")


def label_names(model: PreTrainedModel) -> list[str]:
    """Names of the labels in the model's own order."""
    names = cast(dict[int, str], model.config.id2label)
    return [names[index] for index in range(len(names))]


def match_labels(
    localizer: PreTrainedModel, classifier: PreTrainedModel, name: str = "classifier"
) -> list[int]:
    """The classifier's index of each label of the localizer, matched by name.

    Args:
        localizer: The localizer.
        classifier: The classifier.
        name: What errors call it.

    Raises:
        ValueError: if they do not have the same labels.
    """
    known, found = label_names(localizer), label_names(classifier)
    if sorted(known) != sorted(found):
        raise ValueError(
            f"`{name}` must have the labels of the localizer, {known}, got {found}; rename "
            "them in its config (`id2label`) or train it on the same labels."
        )
    return [found.index(name) for name in known]


def count_readable_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, at_most: int = 2**31 - 1
) -> int:
    """The most tokens, special ones included, that a model can read of one text."""
    positions = getattr(model.config, "max_position_embeddings", at_most)
    # Models of RoBERTa's kind number positions from the one after that of padding.
    padding = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    if padding is not None:
        positions -= padding + 1
    return int(min(at_most, positions, tokenizer.model_max_length))


def predict_probs(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """Probabilities of the labels from a model's logits, (batch, labels)."""
    return logits.float().sigmoid() if is_multi_label(model) else logits.float().softmax(dim=-1)


def name_predictions(model: PreTrainedModel, logits: Tensor) -> list[dict[str, Any]]:
    """The best label and its probability for each row of logits, (batch, labels).

    The best is that of the highest logit: several probabilities may be rounded to 1.
    """
    names, labels = label_names(model), logits.argmax(dim=-1).tolist()
    probs = predict_probs(model, logits).tolist()
    return [
        {"label": names[label], "score": row[label]}
        for label, row in zip(labels, probs, strict=True)
    ]
