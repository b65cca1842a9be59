"""Endless batches of a stream: each row once a pass, orders from seed and pass, exact places."""

import json
from collections import Counter

import pytest
import torch
from datasets import Dataset, load_dataset

from hf_anchornet.training.defaults import complete_options
from hf_anchornet.training.epochs import StreamEpochs
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.streams import StreamLoader, StreamSettings, order_rows

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "short_passes")

ROWS = 60


def write_shards(folder, sizes):
    folder.mkdir(exist_ok=True)
    start = 0
    for shard, size in enumerate(sizes):
        rows = Dataset.from_dict({"row": list(range(start, start + size))})
        rows.to_parquet(folder / f"train-{shard:03d}.parquet")
        start += size
    files = str(folder / "train-*.parquet")
    return load_dataset("parquet", data_files={"train": files}, streaming=True)["train"]


@pytest.fixture
def rows(tmp_path):
    """60 rows in four shards of unequal sizes."""
    return write_shards(tmp_path / "shards", [10, 22, 16, 12])


def make_batch(rows):
    return {"row": torch.tensor([row["row"] for row in rows]), "noise": torch.rand(())}


def open_batches(rows, steps=1, make_batch=make_batch, **settings):
    return StreamLoader(rows, make_batch, StreamSettings(**{"batch_size": 7} | settings), steps)


def read_pass(loader, number=0):
    """Rows of the batches that are of one pass; some batches may be of the next one already."""
    found = []
    for batch in loader.take(40):
        if loader.places[(loader.turn - 1) % len(loader.places)][0] == number:
            found += batch["row"].tolist()
    return found


@pytest.mark.parametrize(
    ("num_processes", "num_workers"), [(1, 0), (2, 0), (3, 0), (5, 0), (1, 2), (2, 2), (5, 2)]
)
def test_processes_and_workers_read_each_row_once_a_pass(rows, num_processes, num_workers):
    for number in (0, 1):
        counted = Counter()
        for process in range(num_processes):
            settings = {"num_processes": num_processes, "process": process}
            loader = open_batches(rows, shuffle_buffer=8, num_workers=num_workers, **settings)
            counted.update(read_pass(loader, number))
        assert counted == Counter(range(ROWS))


def test_the_order_follows_from_seed_and_pass_alone(rows):
    def read(seed=0, number=0):
        return [row["row"] for row in order_rows(rows, StreamSettings(1, seed, 8), number)]

    assert read() == read() != sorted(read())
    orders = {tuple(read(seed, number)) for seed in (0, 1) for number in (0, 1)}
    assert len(orders) == 4
    assert all(sorted(order) == list(range(ROWS)) for order in orders)


def test_without_a_buffer_rows_keep_their_order_in_every_pass(rows):
    loader = open_batches(rows, shuffle_buffer=0, batch_size=20)
    assert [batch["row"].tolist() for batch in loader.take(6)] == 2 * [
        list(range(start, start + 20)) for start in (0, 20, 40)
    ]


def test_shards_are_shuffled_even_if_rows_are_not(rows):
    orders = {
        tuple(row["row"] for row in order_rows(rows, StreamSettings(1, 0, 1), number))
        for number in range(4)
    }
    assert len(orders) > 1


def test_what_is_random_about_a_batch_follows_from_its_place(rows):
    def noise(seed=0):
        loader = open_batches(rows, seed=seed)
        return torch.stack([batch["noise"] for batch in loader.take(20)])

    first = noise()
    torch.rand(3)
    assert first.equal(noise())
    assert len(set(first.tolist())) == 20
    assert not first.isclose(noise(seed=1)).any()


def test_reading_leaves_the_random_numbers_of_dropout_alone(rows):
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(open_batches(rows).take(5))
    assert torch.rand(3).equal(expected)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 4, 9, 14, 23])
def test_a_stream_goes_on_where_it_was(rows, num_workers, stop):
    def open_loader():
        return open_batches(rows, batch_size=4, shuffle_buffer=8, num_workers=num_workers)

    whole = list(open_loader().take(30))
    stopped = open_loader()
    list(stopped.take(stop))
    resumed = open_loader()
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    for one, other in zip(resumed.take(30 - stop), whole[stop:], strict=True):
        assert one["row"].equal(other["row"])
        assert one["noise"].equal(other["noise"])


def test_rows_that_are_read_once_more_are_not_made_into_batches(rows):
    made = []

    def count(rows):
        made.append(rows)
        return make_batch(rows)

    loader = open_batches(rows, make_batch=count)
    loader.load_state_dict({"places": [[2, 5]], "turn": 0})
    list(loader.take(2))
    assert len(made) == 2


def test_a_stream_can_be_taken_in_parts(rows):
    loader, other = open_batches(rows), open_batches(rows)
    parts = [batch["row"].tolist() for count in (3, 9, 1) for batch in loader.take(count)]
    assert parts == [batch["row"].tolist() for batch in other.take(13)]


def test_more_workers_than_shards_are_refused(rows):
    with pytest.raises(ValueError, match=r"`num_workers` must be at most .*, 4, got 5; lower it"):
        open_batches(rows, num_workers=5)
    with pytest.raises(ValueError, match=r"`num_workers` must be at most .*, 2, got 3"):
        open_batches(rows, num_workers=3, num_processes=2)


def test_a_process_without_rows_says_so(tmp_path):
    rows = write_shards(tmp_path / "few", [1])
    loader = open_batches(rows, num_processes=2, process=1)
    with pytest.raises(ValueError, match="got none for worker 0 of process 1; remove empty shards"):
        next(iter(loader.take(1)))


def test_an_error_names_the_place_in_the_stream(rows):
    def fail(rows):
        raise TypeError("`text` must hold strings.")

    loader = open_batches(rows, make_batch=fail)
    with pytest.raises(TypeError, match="in batch 1 of pass 0, worker 0, process 0: `text` must"):
        next(iter(loader.take(1)))


def test_other_rows_or_shards_are_another_stream(rows, tmp_path):
    described = open_batches(rows).describe()
    assert described == open_batches(rows).describe()
    assert described["num_shards"] == 4
    other = open_batches(write_shards(tmp_path / "other", [30, 30])).describe()
    assert other["num_shards"] == 2
    assert other["rows"] == described["rows"]
    changed = write_shards(tmp_path / "changed", [10, 22, 16, 12]).map(lambda row: {"row": 1})
    assert open_batches(changed).describe()["rows"] != described["rows"]


def test_a_batch_needs_little_more_than_the_buffer(rows):
    drawn = []
    watched = rows.map(lambda row: drawn.append(row) or row)
    next(iter(open_batches(watched, batch_size=2, shuffle_buffer=8).take(1)))
    assert 8 <= len(drawn) < ROWS / 2


def test_a_sample_is_the_same_in_all_processes_and_moves_no_place(rows):
    options = complete_options(TrainingOptions("unused", num_epochs=1))
    samples = []
    for process in (0, 1):
        settings = {"num_processes": 2, "process": process, "shuffle_buffer": 8}
        loader = open_batches(rows, 9, **settings)
        epochs = StreamEpochs(loader, options)
        list(loader.take(1))
        before = loader.state_dict()
        samples += [[batch["row"].tolist() for batch in epochs.sample(14)] for _ in range(2)]
        assert loader.state_dict() == before
    assert samples[0] == samples[1] == samples[2] == samples[3]
    assert [len(batch) for batch in samples[0]] == [7, 7]
