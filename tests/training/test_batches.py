"""Training batches: their order and randomness follow from the seed and the place in training."""

from collections import Counter

import pytest
import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from hf_anchornet.training.batches import (
    EpochOrder,
    draw_balanced,
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


# Balanced classes

RARE = [0] * 3 + [1] * 30 + [4] * 7  # class of each row


def draw_rows(order):
    return [key % order.num_rows for key in order]


def test_every_class_is_drawn_equally_often_and_an_epoch_has_as_many_rows_as_before():
    rows = draw_rows(EpochOrder(40, seed=0, classes=RARE))
    counted = Counter(RARE[row] for row in rows)
    assert sorted(counted) == [0, 1, 4]
    assert sorted(counted.values()) == [13, 13, 14]


def test_rows_of_a_class_are_used_up_before_one_comes_again():
    rows = Counter(draw_rows(EpochOrder(40, seed=0, classes=RARE)))
    assert {rows[row] for row in range(3)} <= {4, 5}
    assert max(rows[row] for row in range(3, 33)) == 1


def test_balanced_epochs_differ_and_can_be_drawn_again():
    order = EpochOrder(40, seed=3, classes=RARE)
    passes = [list(order) for _ in range(3)]
    assert sorted(passes[0]) != sorted(key - 40 for key in passes[1])
    order.epoch = 1
    assert list(order) == passes[1]
    assert list(EpochOrder(40, seed=4, classes=RARE)) != passes[0]


def test_a_row_that_comes_again_in_an_epoch_is_augmented_anew():
    loader = make_image_loader(Noisy(), collate, 4, seed=0, targets=[0] + [1] * 9)
    noise = {}
    for batch in loader:
        for row, value in zip(batch["row"].tolist(), batch["noise"].tolist(), strict=True):
            noise.setdefault(row, []).append(value)
    assert len(noise[0]) == 5
    assert len(set(noise[0])) == 5


def test_balanced_batches_hold_texts_of_similar_length():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 1000, (400,), generator=generator).tolist()
    labels = [int(row % 10 == 0) for row in range(400)]
    rows = Dataset.from_dict({"length": lengths, "labels": labels})
    loader = make_text_loader(rows, list, 8, seed=0, balance=True)
    batches = [[row["length"] for row in batch] for batch in loader]
    assert sum(max(batch) - min(batch) < 200 for batch in batches) > len(batches) * 0.9
    drawn = Counter(row["labels"] for batch in loader for row in batch)
    assert drawn == {0: 200, 1: 200}


def test_fewer_rows_than_classes_are_drawn_from_some_of_them():
    drawn = draw_balanced([5, 3], torch.Generator().manual_seed(0))
    assert sorted(drawn) == [0, 1]


@pytest.mark.parametrize("targets", [[[0.0, 1.0]] * 10, [[0.2, 0.8]] * 10])
def test_rows_without_a_single_label_cannot_be_balanced(targets):
    with pytest.raises(ValueError, match="`balance` must be False unless each row has exactly one"):
        make_image_loader(Noisy(), collate, 4, seed=0, targets=targets)
    rows = Dataset.from_dict({"length": [1] * 10, "labels": targets})
    with pytest.raises(ValueError, match="`balance` must be False unless each row has exactly one"):
        make_text_loader(rows, list, 4, seed=0, balance=True)


def read_order(order):
    return [key % order.num_rows for key in order]


@pytest.mark.parametrize("classes", [None, [0, 1] * 6])
def test_a_batch_holds_rows_of_one_group_and_every_row_comes(classes):
    groups = [[0, 2, 4, 6, 8, 10, 11], [1, 3, 5, 7, 9]]
    order = EpochOrder(12, 0, batch_size=4, classes=classes, groups=groups)
    keys = list(order)
    rows = [key % 12 for key in keys]
    assert len(rows) == len(order) == 16
    for start in range(0, 16, 4):
        assert any(set(rows[start : start + 4]) <= set(group) for group in groups)
    assert len(set(keys)) == 16  # a row that comes again is augmented anew
    if classes is None:
        assert set(rows) == set(range(12))


def test_batches_of_different_groups_are_mixed_and_each_epoch_differs():
    order = EpochOrder(64, 0, batch_size=4, groups=[list(range(32)), list(range(32, 64))])
    first, second = read_order(order), read_order(order)
    assert first != second
    kinds = [row < 32 for row in first[::4]]
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True))
    order.epoch = 0
    assert read_order(order) == first
