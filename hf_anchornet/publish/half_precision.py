"""Classifiers saved with float16 weights, at half the size on disk."""

from pathlib import Path

from hf_anchornet.model.loading import load_whole

from .modality import find_classes


def save_half(source: str, target: str | Path) -> None:
    """Copy a classifier and its processor with float16 weights that load as float32.

    Float16 only halves the file: a CPU would compute slowly with it. The weights are rounded once
    (relative error 5e-4).

    Raises:
        ValueError: if `source` is not the Hub id or folder of a text or image classifier.
    """
    model_class, processor_class = find_classes(source)
    model = load_whole(model_class.from_pretrained, source)[0].half()
    model.save_pretrained(target)
    model.config.dtype = "float32"  # `from_pretrained` loads this type, whatever the file holds
    model.config.save_pretrained(target)
    processor_class.from_pretrained(source).save_pretrained(target)
