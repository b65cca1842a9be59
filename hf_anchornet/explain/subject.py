"""A transformers classifier as explainers use it, of texts or images."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from hf_anchornet.model.classifier import (
    Classifier,
    ClassifierKind,
    check_labels,
    label_names,
    load_classifier,
    predict_probs,
)
from hf_anchornet.model.localizer import Localizer
from hf_anchornet.model.selection import check_count

from .classifier_explanation import Explained

Own = TypeVar("Own", bound="Subject")


class Subject:
    """A classifier to explain: an AnchorNet or any other transformers model.

    Args:
        model: A classifier.
        processor: Its tokenizer or image processor.

    Raises:
        ValueError: if the model has a single output.
    """

    kind: ClassVar[ClassifierKind]
    anchornet_type: ClassVar[str]
    """Model type of the AnchorNets of this modality."""
    localizer_class: ClassVar[Callable[..., Any]]
    _proposer: Localizer | None = None

    def __init__(self, model: PreTrainedModel, processor: Any) -> None:
        check_labels(model, "model")
        self.model = model.eval()
        self.processor = processor
        self.labels = label_names(model)
        self.is_anchornet = model.config.model_type == self.anchornet_type
        self.temperature = 1.0
        """Divisor of the logits before they become probabilities; see `scale_temperature`."""

    @classmethod
    def load(
        cls: type[Own], source: Classifier, device: torch.device | None = None, **hub: Any
    ) -> Own:
        """The classifier of a folder, Hub id or pipeline; see `load_classifier`."""
        return cls(*load_classifier(source, cls.kind, device, **hub))

    def to_probs(self, logits: Tensor) -> NDArray[np.float64]:
        """Probabilities from logits at the temperature: (batch, labels), in [0, 1]."""
        tempered = logits.float() / self.temperature
        probs: NDArray[np.float64] = predict_probs(self.model, tempered).double().cpu().numpy()
        return probs

    @cached_property
    def localizer(self) -> Any:
        """The model as a localizer.

        Raises:
            ValueError: if it is not an AnchorNet.
        """
        if not self.is_anchornet:
            raise ValueError(
                '`subject` must be an AnchorNet for "evidence", got a model of type '
                f'"{self.model.config.model_type}"; choose another explainer or an AnchorNet.'
            )
        return self.localizer_class(self.model, self.processor)

    @property
    def proposer(self) -> Localizer:
        """The localizer that proposes parts, by default the model itself.

        Raises:
            ValueError: if it was not set and the model is not an AnchorNet.
        """
        if self._proposer is not None:
            return self._proposer
        if self.is_anchornet:
            found: Localizer = self.localizer
            return found
        raise ValueError(
            "`proposer` must be an AnchorNet for parts of an input, got none for a model of type "
            f'"{self.model.config.model_type}"; set one (`--parts-localizer`).'
        )

    @proposer.setter
    def proposer(self, localizer: Localizer) -> None:
        self._proposer = localizer

    @cached_property
    def explained(self) -> Explained:
        """The model and what proposes its parts; set `proposer` before."""
        models = {"model": self.model, self.kind.processor_name: self.processor}
        classifier = self.kind.pipeline_class(device=self.model.device, **models)
        return Explained(classifier, self.proposer)


def check_request(
    subject: Subject,
    label: int,
    method: str,
    explainers: Collection[str],
    options: Mapping[str, Any],
) -> None:
    """Check the arguments of an explainer.

    Args:
        subject: The model to explain.
        label: Number of the label.
        method: Name of an explainer.
        explainers: All names.
        options: Options that must be counts, by name.

    Raises:
        ValueError: if there is no such label or explainer, or a count is below 1.
    """
    if method not in explainers:
        raise ValueError(
            f"`method` must be one of {', '.join(explainers)}, got {method!r}; choose one."
        )
    is_number = isinstance(label, Integral) and not isinstance(label, bool)
    if not is_number or not 0 <= label < len(subject.labels):
        raise ValueError(
            f"`label` must be the number of a label, 0 to {len(subject.labels) - 1}, got "
            f"{label!r}; the labels are {subject.labels}."
        )
    for name, value in options.items():
        check_count(name, value)
