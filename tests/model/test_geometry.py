"""Windows to tokens and pixels."""

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.model.geometry import (
    Window,
    list_runs,
    receptive_windows,
    spread_evidence,
    spread_over_pixels,
    valid_positions,
    window_overlaps,
)


def test_window_arithmetic_matches_sums_by_hand():
    windows = receptive_windows([3, 3, 5], [1, 2, 1], [1, 2, 1])
    # 1; 1 + 2 * 1 = 3; 3 + 2 * 2 = 7, then stride 2; 7 + 4 * 2 = 15
    assert [(w.size, w.stride) for w in windows] == [(1, 1), (3, 1), (7, 2), (15, 2)]


@pytest.mark.parametrize("window", [Window(1, 1), Window(3, 1), Window(5, 2), Window(4, 3)])
def test_a_window_counts_if_all_its_tokens_are_real_and_a_short_text_has_one(window):
    lengths = [0, 1, 2, 4, 5, 9, 14]
    mask = torch.arange(14) < torch.tensor(lengths)[:, None]
    valid = valid_positions(mask, window)
    assert valid.shape == (len(lengths), window.num_positions(14))
    for row, length in enumerate(lengths):
        expected = max(window.num_positions(length), min(length, 1))
        assert valid[row].tolist() == [p < expected for p in range(valid.shape[1])]


@pytest.mark.parametrize("window", [Window(1, 1), Window(3, 1), Window(5, 2), Window(4, 3)])
def test_spread_evidence_gives_each_token_an_even_part_of_its_windows(window):
    lengths = torch.tensor([0, 1, 3, 6, 17])
    mask = torch.arange(17) < lengths[:, None]
    valid = valid_positions(mask, window)
    evidence = torch.randn(*valid.shape, 2) * valid[..., None]
    attribution = spread_evidence(evidence, window, lengths, 17)
    expected = torch.zeros(5, 17, 2, dtype=torch.float64)
    for row, position in valid.nonzero().tolist():
        start = position * window.stride
        end = min(start + window.size, int(lengths[row]))
        expected[row, start:end] += evidence[row, position].double() / (end - start)
    assert_close(attribution, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [Window(1, 1), Window(9, 1), Window(5, 3)])
def test_attribution_sums_to_the_evidence(window):
    lengths = torch.tensor([2, 40])
    valid = valid_positions(torch.arange(40) < lengths[:, None], window)
    evidence = torch.randn(*valid.shape, 3) * valid[..., None]
    attribution = spread_evidence(evidence, window, lengths, 40)
    assert_close(attribution.sum(dim=1), evidence.double().sum(dim=1), rtol=0, atol=1e-12)
    assert not attribution[0, 2:].any()


def test_spread_over_pixels_gives_each_pixel_an_even_part_of_its_windows():
    windows, sizes = Window(5, 2), torch.tensor([[9, 12], [7, 11]])
    evidence = torch.randn(2, 3, 4, dtype=torch.float64)
    evidence[1, 2:] = evidence[1, :, 3:] = 0  # beyond the second, smaller image
    spread = spread_over_pixels(evidence, windows, sizes)
    assert spread.shape == (2, 9, 12)
    expected = torch.zeros(2, 9, 12, dtype=torch.float64)
    for image, row, column in torch.cartesian_prod(*map(torch.arange, evidence.shape)).tolist():
        here = evidence[image, row, column] / 25
        expected[image, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5] += here
    assert_close(spread, expected, rtol=0, atol=1e-12)


def test_overlaps_are_the_parts_of_the_units_that_windows_share():
    windows, lengths = (Window(3, 2), Window(5, 2)), [9, 4, 0]
    counts = [window.num_positions(9) for window in windows]
    covers = [
        range(position * window.stride, position * window.stride + window.size)
        for window, count in zip(windows, counts, strict=True)
        for position in range(count)
    ]
    expected = [
        [
            [
                sum(unit in other and unit < length for unit in one) / max(1, min(len(one), length))
                for other in covers
            ]
            for one in covers
        ]
        for length in lengths
    ]
    got = window_overlaps(windows, counts, torch.tensor(lengths))
    assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0, 17), (4, 12), (8, 8)])
def test_runs_are_units_that_the_same_windows_cover(low, high):
    windows = [Window(3, 2), Window(7, 4)]
    runs = list_runs(windows, [8, 3], 0, low, high)
    assert int(runs.sizes.sum()) == high - low
    units = torch.arange(17)
    for window, count, shares in zip(windows, [8, 3], runs.shares, strict=True):
        starts = torch.arange(count) * window.stride
        covered = (starts <= units[:, None]) & (units[:, None] < starts + window.size)
        each = shares.repeat_interleave(runs.sizes.long(), dim=0)  # (units, positions)
        assert_close(each, covered[low:high].double() / window.size)
