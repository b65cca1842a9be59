"""The Auto classes of a classifier and of its processor."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)


def find_classes(source: str) -> tuple[Any, Any]:
    """The Auto classes of a classifier and of its processor.

    Args:
        source: Hub id or folder of a text or image classifier.

    Raises:
        ValueError: if `source` holds another kind of model.
    """
    (architecture,) = AutoConfig.from_pretrained(source).architectures or [""]
    kinds: dict[str, tuple[Any, Any]] = {
        "ForSequenceClassification": (AutoModelForSequenceClassification, AutoTokenizer),
        "ForImageClassification": (AutoModelForImageClassification, AutoImageProcessor),
    }
    found = [kind for suffix, kind in kinds.items() if architecture.endswith(suffix)]
    if not found:
        raise ValueError(
            f"`source` must be a text or image classifier, got {architecture or 'no architecture'} "
            f"in {source}; save a model with its head there."
        )
    return found[0]
