"""Epochs of a training: passes over all rows, or equal parts of a stream."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.utils import send_to_device
from torch.utils.data import DataLoader

from .batches import EpochOrder
from .options import CompleteOptions
from .streams import CHECKED_ROWS, StreamLoader


class RowEpochs:
    """Epochs that are passes over all rows.

    Args:
        loader: Not yet prepared.
        options: Options of the training.
    """

    def __init__(self, loader: DataLoader[Any], options: CompleteOptions) -> None:
        if options.max_steps:
            raise ValueError(
                f"`max_steps` must be 0 without `streaming`, got {options.max_steps}; set "
                "`num_epochs`."
            )
        self.loader, self.order, self.options = loader, loader.sampler, options
        self.unprepared, self.device = loader, torch.device("cpu")

    def describe(self) -> dict[str, Any]:
        """The number of rows and a checksum of some, by which a resumed training recognises them.

        Raises:
            ValueError: if the order of the loader cannot be restored within an epoch.
        """
        if not isinstance(self.order, EpochOrder):
            raise ValueError(
                "`loader` must have the order `EpochOrder` to write checkpoints or to resume, got "
                f"{type(self.order).__name__}; make it with `make_text_loader` and a seed, or set "
                "`checkpoint_steps=0` and `resume=False`."
            )
        rows: Any = self.loader.dataset
        batch = rows.__getitems__(range(0, len(rows), max(1, len(rows) // CHECKED_ROWS)))
        check = 0
        for name in sorted(set(batch) - {"labels"}):  # a teacher's may differ in the last bit
            check = zlib.crc32(batch[name].contiguous().numpy().tobytes(), check)
        return {"num_rows": len(rows), "rows": check}

    def prepare(self, accelerator: Accelerator, *parts: Any) -> Any:
        """`parts` as Accelerate prepares them, together with the loader."""
        *prepared, self.loader = accelerator.prepare(*parts, self.loader)
        self.device = accelerator.device
        return prepared

    def sample(self, num_rows: int) -> Iterable[Any]:
        """Batches of about this many rows, always the same ones and in all processes."""
        if isinstance(self.order, EpochOrder):
            self.order.epoch = 0
        count = -(-num_rows // self.options.batch_size)
        batches: DataLoader[Any] = DataLoader(
            self.unprepared.dataset,
            batch_sampler=list(islice(self.unprepared.batch_sampler or [], count)),
            collate_fn=self.unprepared.collate_fn,
            num_workers=self.unprepared.num_workers,
            generator=torch.Generator(),  # otherwise this pass advances the generator of dropout
        )
        return (send_to_device(batch, self.device) for batch in batches)

    def count_steps(self) -> int:
        """Steps of the whole training."""
        steps = math.ceil(len(self.loader) / self.options.gradient_accumulation_steps)
        return steps * self.options.num_epochs

    def count_batches(self, epoch: int) -> int:
        """Batches of an epoch, counted from 1, in each process."""
        return len(self.loader)

    def rest(self, epoch: int, done: int) -> Iterable[Any]:
        """The batches of an epoch, counted from 1, after the first `done`."""
        if isinstance(self.order, EpochOrder):
            self.order.epoch = epoch - 1
        rest: Iterable[Any] = skip_first_batches(self.loader, done) if done else self.loader
        return rest

    def place(self) -> None:
        """Nothing: the epoch and its number of finished batches identify the position."""


class StreamEpochs:
    """Epochs that are equal parts of all steps; each starts where the previous one ended.

    Args:
        loader: Batches of this process.
        options: Options of the training.
    """

    def __init__(self, loader: StreamLoader, options: CompleteOptions) -> None:
        if loader.max_steps < options.num_epochs:
            raise ValueError(
                f"`max_steps` must be at least `num_epochs`, {options.num_epochs}, got "
                f"{loader.max_steps}; an epoch is an equal part of all steps: lower `num_epochs`."
            )
        self.loader, self.options = loader, options

    def describe(self) -> dict[str, Any]:
        """See `StreamLoader.describe`."""
        return self.loader.describe()

    def prepare(self, accelerator: Accelerator, *parts: Any) -> Any:
        """`parts` as Accelerate prepares them; the stream is that of this process already."""
        self.loader.device = accelerator.device
        return accelerator.prepare(*parts)

    def sample(self, num_rows: int) -> Iterable[Any]:
        """The first batches of the stream with about this many rows.

        They are always the same ones, in all processes: those of the first process.
        """
        settings = replace(self.loader.settings, process=0, num_workers=0)
        count = -(-num_rows // settings.batch_size)
        return replace(self.loader, settings=settings, places=[], turn=0).take(count)

    def count_steps(self) -> int:
        """Steps of the whole training."""
        return self.loader.max_steps

    def count_batches(self, epoch: int) -> int:
        """Batches of an epoch, counted from 1, in each process."""
        before, after = (
            self.loader.max_steps * number // self.options.num_epochs
            for number in (epoch - 1, epoch)
        )
        return (after - before) * self.options.gradient_accumulation_steps

    def rest(self, epoch: int, done: int) -> Iterable[Any]:
        """The batches of an epoch, counted from 1, after the first `done`, already read."""
        return self.loader.take(self.count_batches(epoch) - done)

    def place(self) -> dict[str, Any]:
        """The position in the stream."""
        return self.loader.state_dict()
