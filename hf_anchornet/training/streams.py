"""Endless batches of a stream of rows, which can be resumed at any batch.

Each process, and each of its workers, reads its own shards, pass after pass. The order of a pass
follows from the seed and its number alone, so a position is two numbers: the pass, and how many of
its batches are done. To resume, the rows of the pass so far are read again but neither tokenized
nor decoded: loading a `state_dict` of `datasets` loses the shuffle buffer, and
`IterableDataset.skip` would fix the order of the shards.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import datasets
import torch
from accelerate.utils import send_to_device
from datasets import IterableDataset
from datasets.distributed import split_dataset_by_node
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import IterableDataset as TorchIterableDataset

from .batches import keep_batch, mix_seed, seeded

Row = dict[str, Any]
Place = tuple[int, int]
"""A pass, from 0, and the number of its finished batches."""

CHECKED_ROWS = 16
"""Rows by which a resumed training recognises its data."""


@dataclass
class StreamSettings:
    """Order and division of a stream.

    Attributes:
        batch_size: Rows per batch.
        seed: At least 0.
        shuffle_buffer: Rows that are shuffled among each other; 0: rows keep their order.
        num_processes: Processes that share the shards, or the rows if there are fewer shards.
        process: Index of this process.
        num_workers: Workers that share the shards of a process; 0: the process reads them itself.
    """

    batch_size: int
    seed: int = 0
    shuffle_buffer: int = 10_000
    num_processes: int = 1
    process: int = 0
    num_workers: int = 0


def order_rows(rows: IterableDataset, settings: StreamSettings, number: int) -> IterableDataset:
    """The rows of one process in the order of a pass.

    Each process has its own shards; with fewer shards than processes, each reads all shards and
    keeps its own rows. The pass is part of the seed because `set_epoch` would change it for all
    workers at once, and each can be in another pass.
    """
    if settings.shuffle_buffer:
        seed = mix_seed(settings.seed, number)
        rows = rows.shuffle(seed=seed, buffer_size=settings.shuffle_buffer)
    if rows.num_shards >= settings.num_processes:
        return rows.shard(settings.num_processes, settings.process)
    return split_dataset_by_node(rows, settings.process, settings.num_processes)


class StreamReader(TorchIterableDataset[Any]):
    """An endless iterator, in one worker, of `(worker, position after the batch, batch)`.

    The arguments are those of `StreamLoader`. Workers before `turn` start with `None`, so that the
    first batch is that of `turn`.
    """

    def __init__(
        self,
        rows: IterableDataset,
        make_batch: Callable[[list[Row]], dict[str, Tensor]],
        settings: StreamSettings,
        places: list[Place],
        turn: int,
    ) -> None:
        self.rows, self.make_batch, self.settings = rows, make_batch, settings
        self.places, self.turn = places, turn

    def __iter__(self) -> Iterator[tuple[int, Place, dict[str, Tensor]] | None]:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        if worker < self.turn:
            yield None
        number, done = self.places[worker]
        while True:
            index = 0
            rows = iter(order_rows(self.rows, self.settings, number))
            while batch := list(islice(rows, self.settings.batch_size)):
                index += 1
                if index > done:
                    yield worker, (number, index), self._make(batch, worker, number, index)
            if not index:
                raise ValueError(
                    f"each process and worker must have rows of `dataset`, got none for worker "
                    f"{worker} of process {self.settings.process}; remove empty shards or use "
                    "fewer processes."
                )
            number, done = number + 1, 0

    def _make(self, rows: list[Row], worker: int, number: int, index: int) -> dict[str, Tensor]:
        place = self.settings.process, worker, number, index
        with seeded(mix_seed(self.settings.seed, *place)):
            try:
                return self.make_batch(rows)
            except (TypeError, ValueError) as error:
                name = f"batch {index} of pass {number}, worker {worker}"
                raise type(error)(f"in {name}, process {self.settings.process}: {error}") from error


@dataclass
class StreamLoader:
    """The batches of one process in a training.

    Attributes:
        rows: All rows, in their original order.
        make_batch: Makes a batch of rows, possibly at random: its seed follows from the position.
        settings: Order and division of the rows.
        max_steps: Steps of the whole training.
        num_rows: Number of rows; `None` if unknown.
        device: Device of the batches.
        places: Position of each worker.
        turn: Worker of the next batch.

    Raises:
        ValueError: if there are more workers than shards.
    """

    rows: IterableDataset
    make_batch: Callable[[list[Row]], dict[str, Tensor]]
    settings: StreamSettings
    max_steps: int
    num_rows: int | None = None
    device: torch.device | str = "cpu"
    places: list[Place] = field(default_factory=list)
    turn: int = 0

    def __post_init__(self) -> None:
        """Check that there are enough shards for the workers."""
        workers = self.settings.num_workers
        shards = order_rows(self.rows, self.settings, 0).num_shards
        if workers > shards:
            raise ValueError(
                f"`num_workers` must be at most the number of shards of a process, {shards}, got "
                f"{workers}; lower it or write the dataset in more files."
            )
        self.places = self.places or [(0, 0)] * max(1, workers)
        self._batches: Iterator[Any] | None = None

    @property
    def info(self) -> Any:
        """The `DatasetInfo` of the rows."""
        return self.rows.info

    def take(self, count: int) -> Iterator[dict[str, Tensor]]:
        """The next batches, on `device`."""
        if self._batches is None:
            self._batches = self._open()
        for worker, place, batch in islice(self._batches, count):
            self.places[worker], self.turn = place, (worker + 1) % len(self.places)
            yield send_to_device(batch, self.device)

    def _open(self) -> Iterator[Any]:
        reader = StreamReader(
            self.rows, self.make_batch, self.settings, list(self.places), self.turn
        )
        loader: DataLoader[Any] = DataLoader(
            reader,
            batch_size=None,
            collate_fn=keep_batch,
            num_workers=self.settings.num_workers,
            generator=torch.Generator().manual_seed(self.settings.seed),
        )
        return (found for found in loader if found is not None)

    def state_dict(self) -> dict[str, Any]:
        """The position of the stream, JSON-ready: `places` and `turn`."""
        return {"places": [list(place) for place in self.places], "turn": self.turn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a position of `state_dict`."""
        self.places = [(number, done) for number, done in state["places"]]
        self.turn, self._batches = state["turn"], None

    def describe(self) -> dict[str, Any]:
        """A checksum of the first rows, and what decides on their order, for a resumed training."""
        first = repr(list(self.rows.take(CHECKED_ROWS)))
        return {
            "num_rows": self.num_rows,
            "num_shards": self.rows.num_shards,
            "rows": zlib.crc32(first.encode("utf-8", "backslashreplace")),
            "num_workers": self.settings.num_workers,
            "datasets": datasets.__version__,
        }
