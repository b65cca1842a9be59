"""Training batches: their order and randomness follow from the seed and the place in training."""

import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from hf_anchornet.training.batches import (
    EpochOrder,
    make_image_loader,
    make_text_loader,
    mix_seed,
    seeded,
)


class Noisy(TorchDataset):
    """Rows with a random number each."""

    def __len__(self):
        return 10

    def __getitem__(self, row):
        return row, float(torch.rand(()))


def collate(items):
    return {
        "row": torch.tensor([row for row, _ in items]),
        "noise": torch.tensor([noise for _, noise in items]),
        "shift": torch.rand(()),
    }


def draw(num_workers=0, seed=0, epochs=2, batch_size=4):
    loader = make_image_loader(Noisy(), collate, batch_size, seed, num_workers)
    return [list(loader) for _ in range(epochs)]


def noise_of_rows(epoch):
    rows, noise = (torch.cat([batch[name] for batch in epoch]) for name in ("row", "noise"))
    return noise[rows.argsort()]


def test_each_epoch_has_every_row_once_in_an_order_and_with_noise_of_its_own():
    first, second = draw()
    for epoch in (first, second):
        rows = torch.cat([batch["row"] for batch in epoch])
        assert rows.sort().values.tolist() == list(range(10))
    assert not torch.cat([b["row"] for b in first]).equal(torch.cat([b["row"] for b in second]))
    assert not noise_of_rows(first).isclose(noise_of_rows(second)).any()
    assert len({float(batch["shift"]) for batch in first + second}) == 6


def test_worker_processes_draw_what_the_training_process_would_draw():
    for alone, helped in zip(draw(), draw(num_workers=2), strict=True):
        for one, other in zip(alone, helped, strict=True):
            assert all(one[name].equal(other[name]) for name in one)


def test_what_is_random_about_a_row_does_not_hang_on_the_batch_size():
    small, large = draw(batch_size=2), draw(batch_size=5)
    assert noise_of_rows(small[1]).equal(noise_of_rows(large[1]))


def test_another_seed_gives_another_order_and_other_noise():
    one, other = draw(seed=0)[0], draw(seed=1)[0]
    assert not one[0]["row"].equal(other[0]["row"])
    assert not noise_of_rows(one).isclose(noise_of_rows(other)).any()


def test_drawing_batches_leaves_the_random_numbers_of_dropout_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draw()
    assert torch.rand(3).equal(expected)


def test_random_numbers_go_on_as_before_after_an_error():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    try:
        with seeded(0):
            torch.rand(7)
            raise KeyError
    except KeyError:
        pass
    assert torch.rand(3).equal(expected)


def test_an_epoch_can_be_set_and_is_then_as_it_was():
    order = EpochOrder(10, seed=3)
    passes = [list(order) for _ in range(3)]
    order.epoch = 1
    assert list(order) == passes[1]
    assert [key // 10 for key in passes[1]] == [1] * 10


def test_seeds_of_neighbouring_places_differ():
    seeds = {
        mix_seed(seed, key, kind) for seed in range(5) for key in range(200) for kind in (0, 1)
    }
    assert len(seeds) == 2000


def test_two_processes_see_in_a_step_what_one_sees_at_twice_the_batch_size():
    lengths = torch.randint(1, 500, (96,), generator=torch.Generator().manual_seed(0)).tolist()
    rows = Dataset.from_dict({"length": lengths})

    def keep(batch):
        return [row["length"] for row in batch]

    whole = list(make_text_loader(rows, keep, 8, seed=0))
    halves = list(make_text_loader(rows, keep, 4, seed=0, batches_per_step=2))
    assert [a + b for a, b in zip(halves[::2], halves[1::2], strict=True)] == whole
