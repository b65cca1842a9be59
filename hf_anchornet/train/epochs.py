"""Epochs of a training, over rows that can be drawn in any order or over a stream of them."""

import math
from collections.abc import Iterable
from typing import Any

from accelerate import Accelerator, skip_first_batches
from torch.utils.data import DataLoader

from .batches import EpochOrder
from .checkpoints import check_order, describe_rows
from .options import TrainingOptions
from .streams import StreamLoader


class RowEpochs:
    """Each epoch is a pass over all rows.

    Args:
        loader: Not yet prepared.
        options: How to train.
    """

    def __init__(self, loader: DataLoader[Any], options: TrainingOptions) -> None:
        if options.max_steps:
            raise ValueError(
                f"`max_steps` must be 0 without `streaming`, got {options.max_steps}; set "
                "`num_epochs`."
            )
        self.loader, self.order, self.options = loader, loader.sampler, options

    def describe(self) -> dict[str, Any]:
        """What a checkpoint hangs on, by name; see `check_order` for errors."""
        check_order(self.loader)
        return describe_rows(self.loader)

    def prepare(self, accelerator: Accelerator, *parts: Any) -> Any:
        """`parts` as Accelerate prepares them, together with the batches."""
        *prepared, self.loader = accelerator.prepare(*parts, self.loader)
        return prepared

    def count_steps(self) -> int:
        """Steps of the whole training."""
        steps = math.ceil(len(self.loader) / self.options.gradient_accumulation_steps)
        return steps * self.options.num_epochs

    def count_batches(self, epoch: int) -> int:
        """Batches of an epoch, from 1, and process."""
        return len(self.loader)

    def rest(self, epoch: int, done: int) -> Iterable[Any]:
        """The batches of an epoch, from 1, after the first `done`."""
        if isinstance(self.order, EpochOrder):
            self.order.epoch = epoch - 1
        rest: Iterable[Any] = skip_first_batches(self.loader, done) if done else self.loader
        return rest

    def place(self) -> None:
        """Nothing: the epoch and the number of batches that are done say where it is."""

    def go_back(self, place: Any) -> None:
        """Nothing, too."""


class StreamEpochs:
    """Each epoch is an equal part of all steps, and the next one goes on where it ended.

    Args:
        loader: Of this process.
        options: How to train.
    """

    def __init__(self, loader: StreamLoader, options: TrainingOptions) -> None:
        if loader.max_steps < options.num_epochs:
            raise ValueError(
                f"`max_steps` must be at least `num_epochs`, {options.num_epochs}, got "
                f"{loader.max_steps}; an epoch is an equal part of all steps: lower `num_epochs`."
            )
        self.loader, self.options = loader, options

    def describe(self) -> dict[str, Any]:
        """What a checkpoint hangs on, by name."""
        return self.loader.describe()

    def prepare(self, accelerator: Accelerator, *parts: Any) -> Any:
        """`parts` as Accelerate prepares them; the batches are of this process already."""
        self.loader.device = accelerator.device
        return accelerator.prepare(*parts)

    def count_steps(self) -> int:
        """Steps of the whole training."""
        return self.loader.max_steps

    def count_batches(self, epoch: int) -> int:
        """Batches of an epoch, from 1, and process."""
        before, after = (
            self.loader.max_steps * number // self.options.num_epochs
            for number in (epoch - 1, epoch)
        )
        return (after - before) * self.options.gradient_accumulation_steps

    def rest(self, epoch: int, done: int) -> Iterable[Any]:
        """The batches of an epoch, from 1, after the first `done`, which the stream has given."""
        return self.loader.take(self.count_batches(epoch) - done)

    def place(self) -> dict[str, Any]:
        """Where the stream is."""
        return self.loader.state_dict()

    def go_back(self, place: Any) -> None:
        """Go on from a place."""
        self.loader.load_state_dict(place)


def make_epochs(
    loader: DataLoader[Any] | StreamLoader, options: TrainingOptions
) -> RowEpochs | StreamEpochs:
    """The epochs of a training over a loader.

    Raises:
        ValueError: if `options.max_steps` does not suit it.
    """
    if isinstance(loader, StreamLoader):
        return StreamEpochs(loader, options)
    return RowEpochs(loader, options)
