"""Training batches whose order and randomness follow from the seed and the position alone.

An interrupted training therefore sees the same batches once it is resumed: nothing depends on the
state of a generator, on prefetched batches or on worker processes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from transformers.trainer_pt_utils import get_length_grouped_indices

Collator = Callable[[list[dict[str, Any]]], dict[str, Tensor]]


class EpochOrder(Sampler[int]):
    """Keys of all rows in an order that follows from the seed and the epoch.

    A key is `epoch * num_rows + row`, from which worker processes learn the epoch; `SeededRows`
    decodes it. Each pass is the next epoch; set `epoch` to choose one.

    Args:
        num_rows: Number of rows.
        seed: At least 0.
        lengths: Length of each row, to put rows of similar length together; `None`: any order.
        batch_size: Rows per step, of all processes together, that should be of similar length.
        classes: Class of each row, to draw as many rows of every class; see `draw_balanced`.
            `None`: every row once.
        groups: Rows by what can be in one batch of `batch_size`: such as images of one size. The
            last batch of each group is filled up with rows that come again.
    """

    def __init__(
        self,
        num_rows: int,
        seed: int,
        lengths: Sequence[int] | None = None,
        batch_size: int = 1,
        classes: Sequence[int] | None = None,
        groups: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.num_rows, self.seed, self.epoch = num_rows, seed, 0
        self.lengths, self.batch_size, self.classes = lengths, batch_size, classes
        self.groups = groups

    def __len__(self) -> int:
        if self.groups is None:
            return self.num_rows
        return sum(-(-len(rows) // self.batch_size) for rows in self.groups) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
        if self.groups is None:
            rows = self._shuffle(range(self.num_rows), generator)
        else:
            size = self.batch_size
            filled = [self._fill(self._shuffle(group, generator)) for group in self.groups]
            batches = [some[i : i + size] for some in filled for i in range(0, len(some), size)]
            order = torch.randperm(len(batches), generator=generator).tolist()
            rows = [row for place in order for row in batches[place]]
        times: Counter[int] = Counter()
        for row in rows:
            # A row that comes again is augmented anew: for its key this is another epoch.
            yield ((times[row] << 32) + epoch) * self.num_rows + row
            times[row] += 1

    def _shuffle(self, rows: Sequence[int], generator: Generator) -> list[int]:
        """These rows, or others of them by class, in random order."""
        drawn: Sequence[int] = range(len(rows))
        if self.classes is not None:
            drawn = draw_balanced([self.classes[row] for row in rows], generator)
        if self.lengths is None:
            order = torch.randperm(len(rows), generator=generator).tolist()
        else:
            lengths = [self.lengths[rows[place]] for place in drawn]
            order = get_length_grouped_indices(lengths, self.batch_size, generator=generator)
        return [rows[drawn[place]] for place in order]

    def _fill(self, rows: list[int]) -> list[int]:
        """Rows for whole batches: as many of them as are missing come again."""
        wanted = -(-len(rows) // self.batch_size) * self.batch_size
        return list(islice(cycle(rows), wanted))


def draw_balanced(classes: Sequence[int], generator: Generator) -> list[int]:
    """As many rows as there are, an equal number of each class that occurs, in no useful order.

    Rows of a class are used up before one comes again, so that a large class shows as many
    different rows as possible. A remainder goes to classes at random.

    Args:
        classes: Class of each row.
        generator: Source of all randomness.
    """
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(classes):
        rows_of.setdefault(label, []).append(row)
    share, rest = divmod(len(classes), len(rows_of))
    lucky = set(torch.randperm(len(rows_of), generator=generator)[:rest].tolist())
    drawn: list[int] = []
    for number, (_, rows) in enumerate(sorted(rows_of.items())):
        wanted = share + (number in lucky)
        rounds = -(-wanted // len(rows))
        orders = [torch.randperm(len(rows), generator=generator) for _ in range(rounds)]
        places = torch.cat([*orders, torch.empty(0, dtype=torch.long)])[:wanted]
        drawn.extend(rows[place] for place in places.tolist())
    return drawn


def read_classes(values: Sequence[Any]) -> list[int]:
    """The class of each row, for `EpochOrder`.

    Raises:
        ValueError: if a row can have several labels, or has probabilities.
    """
    if values and not isinstance(values[0], int):
        raise ValueError(
            "`balance` must be False unless each row has exactly one label, got rows with lists of "
            "labels or with a teacher's probabilities; leave it out."
        )
    return list(values)


class SeededRows(TorchDataset[Any]):
    """Batches by the keys of `EpochOrder`; their randomness follows from the seed and the keys.

    Args:
        rows: A `datasets` data set, or a torch data set with random items.
        collate: Makes a batch of rows, possibly at random.
        seed: At least 0.
    """

    def __init__(self, rows: Any, collate: Collator, seed: int) -> None:
        self.rows, self.collate, self.seed = rows, collate, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: Sequence[int]) -> Any:
        """The batch of these keys; PyTorch asks for all of them at once."""
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
    """A 64-bit seed from non-negative numbers; other numbers give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which PyTorch's CPU generator starts from `seed`; its state is restored."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def make_text_loader(
    rows: Dataset,
    collate: Collator,
    batch_size: int,
    seed: int | None = None,
    batches_per_step: int = 1,
    balance: bool = False,
) -> DataLoader[Any]:
    """Batches of texts of similar length: shuffled by `seed`, without it from short to long.

    Args:
        rows: Tokenized texts with a column `length`.
        collate: Makes a batch of rows.
        batch_size: Rows per batch and process.
        seed: At least 0.
        batches_per_step: Batches of all processes in a step, accumulated ones included. All of
            them are of similar length, as one batch of `batches_per_step * batch_size` rows is.
        balance: Whether every class is drawn equally often, by a column `labels`.

    Raises:
        ValueError: if classes are to be balanced and a row has not exactly one label.
    """
    lengths = list(rows["length"])
    if seed is not None:
        classes = read_classes(list(rows["labels"])) if balance else None
        step = batch_size * batches_per_step
        order = EpochOrder(len(lengths), seed, lengths, step, classes)
        return _make_shuffled_loader(rows, collate, batch_size, order)
    sampler = sorted(range(len(lengths)), key=lengths.__getitem__)
    return DataLoader(rows, batch_size=batch_size, sampler=sampler, collate_fn=collate)


def make_image_loader(
    images: TorchDataset[Any],
    collate: Collator,
    batch_size: int,
    seed: int | None = None,
    num_workers: int = 0,
    targets: Sequence[Any] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
) -> DataLoader[Any]:
    """Batches of images: shuffled and augmented by `seed`, without it in order.

    Args:
        images: Images that are decoded on access.
        collate: Makes a batch of images.
        batch_size: Images per batch and process.
        seed: At least 0.
        num_workers: Processes that decode images; 0: the training process does.
        targets: Label of each image, to draw every class equally often; `None`: every image once.
        groups: See `EpochOrder`.

    Raises:
        ValueError: if classes are to be balanced and an image has not exactly one label.
    """
    if seed is not None:
        classes = None if targets is None else read_classes(targets)
        count: int = len(images)  # type: ignore[arg-type]
        order = EpochOrder(count, seed, None, batch_size, classes, groups)
        return _make_shuffled_loader(images, collate, batch_size, order, num_workers)
    return DataLoader(
        images,
        batch_size=batch_size,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        generator=torch.Generator(),  # otherwise each pass advances the generator of dropout
    )


def _make_shuffled_loader(
    rows: Any, collate: Collator, batch_size: int, order: EpochOrder, num_workers: int = 0
) -> DataLoader[Any]:
    return DataLoader(
        SeededRows(rows, collate, order.seed),
        batch_size=batch_size,
        sampler=order,
        collate_fn=keep_batch,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        generator=torch.Generator().manual_seed(order.seed),  # not that of dropout, see above
    )


def keep_batch(batch: Any) -> Any:
    """The batch itself, for loaders whose rows are batches already."""
    return batch
