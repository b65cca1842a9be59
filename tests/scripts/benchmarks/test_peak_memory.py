"""The most memory that torch holds at once."""

import torch

from scripts.benchmarks.peak_memory import measure_peak

MEGABYTE = 250_000  # numbers in float32


def test_what_is_given_back_does_not_count_twice():
    def run():
        for _ in range(5):
            torch.zeros(MEGABYTE)

    assert measure_peak(run) == 1_000_000


def test_what_is_held_at_once_adds_up_and_what_was_there_before_does_not():
    weights = torch.ones(MEGABYTE)

    def run():
        first = weights + 1
        second = first + weights
        return first, second

    assert measure_peak(run) == 2_000_000
    assert measure_peak(run) == 2_000_000
