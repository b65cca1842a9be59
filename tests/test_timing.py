"""Times side by side, and multiply-adds."""

import pytest
import torch
from torch import nn

from hf_anchornet.timing import compare_times, count_multiply_adds, time_interleaved


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
