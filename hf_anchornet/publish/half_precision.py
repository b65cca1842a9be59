"""Classifiers saved with float16 weights: half the size on disk."""

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from hf_anchornet.model.loading import load_whole


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


def save_half(source: str, target: str | Path) -> None:
    """Copy a classifier and its processor with float16 weights that load as float32.

    Half the size on disk; a float16 model would be slow on a processor. The weights are rounded
    once (relative error 5e-4).

    Args:
        source: Hub id or folder of a text or image classifier.
        target: Folder to write.

    Raises:
        ValueError: if `source` holds another kind of model.
    """
    model_class, processor_class = find_classes(source)
    model = load_whole(model_class.from_pretrained, source)[0].half()
    model.save_pretrained(target)
    config = model.config
    config.dtype = "float32"  # what `from_pretrained` loads, whatever the file holds
    config.save_pretrained(target)
    processor_class.from_pretrained(source).save_pretrained(target)
