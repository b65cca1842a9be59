"""Times side by side, and multiply-adds."""

import pytest
import torch
from torch import nn

from hf_anchornet.model.costs import ShapeCosts, count_multiply_adds
from scripts.benchmarks.timing import compare_times, time_interleaved


def test_functions_run_in_turn_once_a_round_after_a_round_that_is_not_counted():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = time_interleaved(functions, rounds=3)
    assert "".join(calls) == "abababab"
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"a": 3, "b": 3}


def test_a_function_that_works_ten_times_as_much_takes_longer():
    seconds = time_interleaved(
        {"long": lambda: sum(range(200_000)), "short": lambda: sum(range(20_000))}, rounds=5
    )
    assert compare_times(seconds["long"], seconds["short"])["median"] > 3


def test_times_are_compared_round_by_round():
    ratio = compare_times([2.0, 30.0, 8.0], [1.0, 10.0, 8.0])
    assert ratio == pytest.approx({"median": 2.0, "min": 1.0, "max": 3.0})


def test_rounds_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="longer"):
        compare_times([1.0], [1.0, 2.0])


def test_multiply_adds_are_those_of_convolutions_and_linear_maps():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2)
    )
    assert count_multiply_adds(network, torch.zeros(1, 3, 8, 8)) == 36 * 4 * 27 + 144 * 2


class Attending(nn.Module):
    """Token embeddings that attend to each other; then perhaps windows of 5 tokens."""

    def __init__(self, stride=None):
        super().__init__()
        self.embed = nn.Embedding(4, 8)
        self.windows = None if stride is None else nn.Conv1d(8, 8, 5, stride=stride)

    def forward(self, ids):
        hidden = self.embed(ids)
        hidden = hidden @ hidden.transpose(1, 2) @ hidden
        return hidden if self.windows is None else self.windows(hidden.transpose(1, 2))


@pytest.mark.parametrize("stride", [None, 1, 3])
def test_multiply_adds_of_any_length_are_exact(stride):
    network = Attending(stride)
    costs = ShapeCosts(network, torch.long)
    for length in [5, 31, 32, 33, 40, 64, 65, 100, 128, 129, 200, 255]:
        ids = torch.ones(1, length, dtype=torch.long)
        assert costs.count_tokens(length) == count_multiply_adds(network, ids)


def test_most_lengths_need_no_count_of_their_own():
    costs = ShapeCosts(Attending(), torch.long)
    for length in range(65, 513):
        costs.count_tokens(length)
    assert len(costs._counts) == 3 * 4


def test_no_length_is_counted_that_the_network_cannot_read():
    costs = ShapeCosts(Attending(), torch.long, longest=70)
    assert costs.count_tokens(68) == costs.count(1, 68)
    assert max(length for _, length in costs._counts) == 70


def test_an_empty_input_costs_nothing():
    assert ShapeCosts(Attending(), torch.long).count(1, 0) == 0
    assert ShapeCosts(Attending(), torch.long).count_tokens(0) == 0


def test_counting_leaves_the_network_where_it_is():
    network = Attending()
    assert ShapeCosts(network, torch.long).count(1, 8) == 2 * 8 * 8 * 8
    assert network.embed.weight.device.type == "cpu"
