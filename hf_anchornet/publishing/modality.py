"""The modality of a classifier and the Auto classes that load it."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

CLASSES: dict[str, tuple[Any, Any]] = {
    "text": (AutoModelForSequenceClassification, AutoTokenizer),
    "image": (AutoModelForImageClassification, AutoImageProcessor),
}
SUFFIXES = {"ForSequenceClassification": "text", "ForImageClassification": "image"}


def find_model_modality(config: Any, source: str) -> str:
    """The modality of a classifier, "text" or "image"; `source` names the model in an error.

    Raises:
        ValueError: if the model is not a text or image classifier.
    """
    architecture = (config.architectures or [""])[0]
    for suffix, modality in SUFFIXES.items():
        if architecture.endswith(suffix):
            return modality
    raise ValueError(
        f"`source` must be a text or image classifier, got {architecture or 'no architecture'} "
        f"in {source}; save a model with a classification head there."
    )


def find_classes(source: str) -> tuple[Any, Any]:
    """The Auto classes of a classifier, given by Hub id or folder, and of its processor.

    Raises:
        ValueError: if the model is not a text or image classifier.
    """
    return CLASSES[find_model_modality(AutoConfig.from_pretrained(source), source)]
