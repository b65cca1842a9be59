"""Training batches whose order and randomness follow from the seed and the place in training alone.

So a training that was interrupted sees, from the batch on where it stopped, what it would have
seen: nothing hangs on the state of a generator, on prefetched batches or on worker processes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from transformers.trainer_pt_utils import get_length_grouped_indices

Collator = Callable[[list[dict[str, Any]]], dict[str, Tensor]]


class EpochOrder(Sampler[int]):
    """Keys of all rows in an order that follows from the seed and the epoch.

    A key is `epoch * num_rows + row`, so that a worker process knows the epoch, too; `SeededRows`
    reads it. Each pass is the next epoch; `epoch` sets which.

    Args:
        num_rows: How many rows there are.
        seed: At least 0.
        lengths: Of each row: rows of similar length stand together. `None`: any order.
        batch_size: Rows of a step, of all processes together, that should be of similar length.
    """

    def __init__(
        self, num_rows: int, seed: int, lengths: Sequence[int] | None = None, batch_size: int = 1
    ) -> None:
        self.num_rows, self.seed, self.epoch = num_rows, seed, 0
        self.lengths, self.batch_size = lengths, batch_size

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[int]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
        if self.lengths is None:
            rows = torch.randperm(self.num_rows, generator=generator).tolist()
        else:
            rows = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        yield from (epoch * self.num_rows + row for row in rows)


class SeededRows(TorchDataset[Any]):
    """Rows by the keys of `EpochOrder`; what is random about one follows from the seed and its key.

    Args:
        rows: A `datasets` data set, or one whose items are drawn at random.
        collate: From rows to a batch, at random, too.
        seed: At least 0.
    """

    def __init__(self, rows: Any, collate: Collator, seed: int) -> None:
        self.rows, self.collate, self.seed = rows, collate, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: Sequence[int]) -> Any:
        """The batch of these keys: PyTorch asks for all of them at once."""
        with seeded(mix_seed(self.seed, keys[0], 1)):
            return self.collate(self._draw_rows(keys))

    def _draw_rows(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        rows = [key % len(self.rows) for key in keys]
        if isinstance(self.rows, Dataset):
            found: list[dict[str, Any]] = self.rows.__getitems__(rows)
            return found
        items = []
        for key, row in zip(keys, rows, strict=True):
            with seeded(mix_seed(self.seed, key, 0)):
                items.append(self.rows[row])
        return items


def mix_seed(*parts: int) -> int:
    """A seed of 64 bits from numbers of at least 0; other numbers give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's random numbers on the processor start from `seed` and go on after it as before."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def make_batches(
    rows: Any, collate: Collator, batch_size: int, order: EpochOrder, num_workers: int = 0
) -> DataLoader[Any]:
    """Training batches in an order, with the randomness that belongs to it.

    Args:
        rows: See `SeededRows`.
        collate: From rows to a batch.
        batch_size: Rows a batch, of one process.
        order: Of all rows.
        num_workers: Processes that draw rows; 0: the training process does.
    """
    return DataLoader(
        SeededRows(rows, collate, order.seed),
        batch_size=batch_size,
        sampler=order,
        collate_fn=_keep,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        # Else each pass would take the seed of its workers from what dropout draws from, too.
        generator=torch.Generator().manual_seed(order.seed),
    )


def _keep(batch: Any) -> Any:
    return batch


def make_loader(
    rows: Dataset,
    collate: Collator,
    batch_size: int,
    seed: int | None = None,
    batches_per_step: int = 1,
) -> DataLoader[dict[str, Tensor]]:
    """Batches of texts of similar length; `seed`: shuffled, `None`: from short to long.

    Args:
        rows: Has a column `length`.
        collate: From rows to a batch.
        batch_size: Rows a batch, of one process.
        seed: At least 0.
        batches_per_step: Of all processes, accumulated ones included. They are of similar length,
            too: together what one batch of `batches_per_step * batch_size` rows would be.
    """
    lengths = list(rows["length"])
    if seed is not None:
        order = EpochOrder(len(lengths), seed, lengths, batch_size * batches_per_step)
        return make_batches(rows, collate, batch_size, order)
    sampler: Iterable[int] = sorted(range(len(lengths)), key=lengths.__getitem__)
    return DataLoader(rows, batch_size=batch_size, sampler=sampler, collate_fn=collate)
