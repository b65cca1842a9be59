"""A classifier behind a localizer: any transformers classifier, in any of its forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from transformers import Pipeline, PreTrainedModel

Classifier = str | PathLike[str] | Pipeline | PreTrainedModel
"""A Hub id, a folder, a classification pipeline or a model that knows its folder."""


@dataclass(frozen=True)
class ClassifierKind:
    """Which classes of transformers make a classifier of one modality.

    Attributes:
        task: Name of its pipeline's task.
        pipeline_class: Class of that pipeline.
        model_class: Auto class of its models.
        processor_class: Auto class of what makes the model's input.
        processor_name: What pipelines call that: "tokenizer" or "image_processor".
    """

    task: str
    pipeline_class: type[Pipeline]
    model_class: Any
    processor_class: Any
    processor_name: str


def load_classifier(
    classifier: Classifier, kind: ClassifierKind, device: torch.device | None = None
) -> tuple[PreTrainedModel, Any]:
    """A classifier and what makes its input; `device` is for one that is loaded here.

    Raises:
        TypeError: if `classifier` is something else.
        ValueError: if a model does not say where its processor is.
        OSError: if there is no model under that id or in that folder.
    """
    if isinstance(classifier, kind.pipeline_class):
        return classifier.model, getattr(classifier, kind.processor_name)
    if isinstance(classifier, PreTrainedModel):
        if not classifier.name_or_path:
            raise ValueError(
                f"`classifier` must be a model loaded from a Hub id or folder, got a "
                f"{type(classifier).__name__} made from a config; pass "
                f'`pipeline("{kind.task}", model=..., {kind.processor_name}=...)` instead.'
            )
        return classifier, kind.processor_class.from_pretrained(classifier.name_or_path)
    if not isinstance(classifier, str | PathLike):
        raise TypeError(
            f"`classifier` must be a Hub id, a folder, a pipeline for {kind.task} or a model, got "
            f"{type(classifier).__name__}; load it first."
        )
    try:
        model = kind.model_class.from_pretrained(classifier)
        processor = kind.processor_class.from_pretrained(classifier)
    except (OSError, ValueError) as error:
        raise OSError(
            f"`classifier` must be the Hub id or folder of a model for {kind.task} with its "
            f"{kind.processor_name}, got {str(classifier)!r}; check the path. {error}"
        ) from error
    return model.to(device or "cpu"), processor


def name_predictions(model: PreTrainedModel, logits: Tensor) -> list[dict[str, Any]]:
    """Best label and its probability of each row of logits, (batch, labels)."""
    config: Any = model.config
    multi_label = config.problem_type == "multi_label_classification"
    probs = logits.float().sigmoid() if multi_label else logits.float().softmax(dim=-1)
    scores, labels = probs.max(dim=-1)
    names: Sequence[str] = config.id2label
    return [
        {"label": names[label], "score": score}
        for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
    ]
