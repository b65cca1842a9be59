"""Inputs of a localization pipeline, checked when they are read."""

from typing import Any

from torch.utils.data import Dataset


class CheckedInputs(Dataset[Any]):
    """Inputs that are checked when they are read; errors name their place.

    Args:
        pipeline: A `LocalizationPipeline`.
        inputs: A list or a dataset.
    """

    def __init__(self, pipeline: Any, inputs: Any) -> None:
        self.pipeline = pipeline
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline.check_input(self.inputs[index], name_place(index))


def name_place(index: int) -> str:
    """What errors call the input at this place."""
    return f"item {index} of `inputs`"
