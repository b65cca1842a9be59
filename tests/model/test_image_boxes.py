"""Attribution of pixels, ranked boxes, controls: against sums and searches by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.evaluation.image_controls import select_centre_box, select_random_boxes
from hf_anchornet.model.geometry import Window
from hf_anchornet.model.image_boxes import ImageEvidence, pool_cells, sum_union

WINDOWS = (Window(3, 2), Window(5, 2))


def locate(sizes, num_labels=2):
    """Images of these sizes with random evidence, zero where a window is not inside."""
    sizes = torch.tensor(sizes)
    evidence, masks = [], []
    for window in WINDOWS:
        counts = [[window.num_positions(int(side)) for side in size] for size in sizes]
        rows, columns = (max(axis) for axis in zip(*counts, strict=True))
        mask = torch.zeros(len(sizes), rows, columns, dtype=torch.bool)
        for row, (down, across) in enumerate(counts):
            mask[row, :down, :across] = True
        masks.append(mask)
        evidence.append(torch.randn(*mask.shape, num_labels) * mask[..., None])
    return ImageEvidence(evidence, masks, WINDOWS, sizes)


def cut(located, row):
    """One image of a batch alone."""
    one = ImageEvidence([], [], WINDOWS, located.sizes[row : row + 1])
    for window, branch, mask in zip(WINDOWS, located.branches, located.masks, strict=True):
        down, across = (window.num_positions(int(side)) for side in located.sizes[row])
        one.branches.append(branch[row : row + 1, :down, :across])
        one.masks.append(mask[row : row + 1, :down, :across])
    return one


def areas(boxes):
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def iou(one, other):
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    shared = int((high - low).clamp(min=0).prod())
    return shared / (int(areas(one)) + int(areas(other)) - shared)


def stand_out_by_hand(located, row, label):
    """What exceeds its scale's mean by more than a standard deviation, window by window."""
    height, width = located.sizes[row].tolist()
    outstanding = torch.zeros(height, width, dtype=torch.float64)
    for window, branch, mask in zip(WINDOWS, located.branches, located.masks, strict=True):
        values = branch[row, ..., label].double()
        inside = values[mask[row]]
        excess = values - inside.mean() - inside.std(correction=0)
        for y, x in mask[row].nonzero().tolist():
            top, left = y * window.stride, x * window.stride
            pixels = outstanding[top : top + window.size, left : left + window.size]
            pixels += excess[y, x].clamp(min=0) / window.size**2
    return outstanding


def rank_by_hand(located, attribution, row, label, limits, scales):
    """Boxes of one image, best first, and what they hold, by trying every window."""
    height, width = located.sizes[row].tolist()
    outstanding = stand_out_by_hand(located, row, label)
    candidates = []
    for window in WINDOWS:
        for y in range(0, height - window.size + 1, window.stride):
            for x in range(0, width - window.size + 1, window.stride):
                square = (slice(y, y + window.size), slice(x, x + window.size))
                held = float(attribution[row][square].sum())
                box = torch.tensor([x, y, x + window.size, y + window.size])
                if held > 0 and window.size in scales:
                    candidates.append((float(outstanding[square].sum()) / window.size, held, box))
    chosen = []
    for _, held, box in sorted(candidates, key=lambda candidate: -candidate[0]):
        if len(chosen) < len(limits) and all(
            iou(box, other) <= limits[len(chosen)] for other, _ in chosen
        ):
            chosen.append((box, held))
    return chosen


def select(located, labels, top_k, iou_threshold=0.0, scales=None):
    return located.select(top_k, iou_threshold, scales, torch.tensor(labels))


# Attribution


def test_attribution_sums_to_the_evidence_of_the_label_of_each_image():
    located, labels = locate([(9, 12), (7, 5), (8, 12)]), torch.tensor([1, 0, 1])
    attribution = located.attribute(labels)
    assert attribution.shape == (3, 9, 12)
    for row, label in enumerate(labels):
        evidence = sum(branch[row, ..., label].double().sum() for branch in located.branches)
        assert_close(attribution[row].sum(), evidence, rtol=1e-9, atol=1e-9)


def test_no_attribution_lies_outside_a_smaller_image():
    located = locate([(9, 12), (7, 5)])
    attribution = located.attribute(torch.tensor([0, 0]))
    assert not attribution[1, 7:].any()
    assert not attribution[1, :, 5:].any()
    assert attribution[1, :7, :5].any()


# Boxes


def test_a_box_holds_the_attribution_of_its_pixels_in_images_of_any_size():
    located, labels = locate([(300, 170), (31, 300)]), torch.tensor([1, 0])
    attribution, ranked = located.attribute(labels), located.select(5, 0.0, None, labels)
    for row, held in enumerate(ranked.evidence):
        for (left, top, right, bottom), value in zip(ranked.boxes[row].tolist(), held, strict=True):
            inside = attribution[row, top:bottom, left:right].sum()
            assert_close(value, inside, rtol=0, atol=1e-9)


@pytest.mark.parametrize("limit", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("scales", [[3], [5], [3, 5]])
@pytest.mark.parametrize("seed", range(3))
def test_selected_boxes_are_those_of_a_greedy_search_by_hand(limit, scales, seed):
    torch.manual_seed(seed)
    located, labels = locate([(9, 12), (7, 5), (11, 8)]), [0, 1, 1]
    attribution = located.attribute(torch.tensor(labels))
    ranked = select(located, labels, 4, limit, scales)
    for row, label in enumerate(labels):
        expected = rank_by_hand(located, attribution, row, label, [limit] * 4, scales)
        filled = ranked.filled[row]
        assert int(filled.sum()) == len(expected)
        assert ranked.boxes[row, filled].tolist() == [box.tolist() for box, _ in expected]
        held = ranked.evidence[row, filled].tolist()
        assert held == pytest.approx([value for _, value in expected])
        sides = (ranked.boxes[row, filled, 2] - ranked.boxes[row, filled, 0]).tolist()
        assert ranked.scales[row, filled].tolist() == sides


def test_all_scales_are_chosen_from_by_default():
    located = locate([(9, 12)])
    one, other = select(located, [0], 6, 0.5), select(located, [0], 6, 0.5, [3, 5])
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_no_box_lies_outside_a_smaller_image_of_the_batch():
    located = locate([(15, 19), (7, 9), (19, 5)])
    ranked = select(located, [0, 1, 0], 40, 1.0)
    for row, (height, width) in enumerate(located.sizes.tolist()):
        boxes = ranked.boxes[row, ranked.filled[row]]
        assert len(boxes) > 0
        assert int(boxes.min()) >= 0
        assert (boxes[:, 2:] <= torch.tensor([width, height])).all()


def test_a_batch_is_selected_as_one_by_one():
    located, labels = locate([(15, 19), (7, 9), (19, 5)]), [0, 1, 0]
    together = select(located, labels, 5, 0.3)
    for row in range(3):
        alone = select(cut(located, row), labels[row : row + 1], 5, 0.3)
        filled = alone.filled[0]
        assert torch.equal(together.filled[row], filled)
        assert torch.equal(together.boxes[row, filled], alone.boxes[0, filled])
        assert_close(together.evidence[row, filled], alone.evidence[0, filled], rtol=1e-9, atol=0)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_planted_square_is_found_exactly(window):
    located = locate([(15, 19)])
    for branch in located.branches:
        branch.zero_()
    located.branches[WINDOWS.index(window)][0, 3, 2, 1] = 1.0
    ranked = select(located, [1], 3)
    y, x = 3 * window.stride, 2 * window.stride
    assert ranked.boxes[0, 0].tolist() == [x, y, x + window.size, y + window.size]
    assert float(ranked.evidence[0, 0]) == pytest.approx(1.0)


def test_a_larger_box_of_even_evidence_does_not_win_by_its_area():
    located = locate([(15, 15)])
    for branch in located.branches:
        branch.fill_(0.001)
    located.branches[0][0, 2, 2, 0] += 0.2
    ranked = select(located, [0], 1)
    assert ranked.boxes[0, 0].tolist() == [4, 4, 7, 7]


def test_boxes_of_evidence_against_the_label_or_of_none_are_never_selected():
    located = locate([(9, 9)])
    for value in (0.0, -1.0):
        for branch in located.branches:
            branch.fill_(value)
        ranked = select(located, [0], 5, 1.0)
        assert not ranked.filled.any()


def test_boxes_without_overlap_hold_no_more_than_all_positive_evidence():
    located = locate([(19, 19)])
    attribution = located.attribute(torch.tensor([0]))
    ranked = select(located, [0], 50)
    assert float(ranked.evidence[ranked.filled].sum()) <= float(attribution.clamp(min=0).sum())


# Controls and cells


def test_random_boxes_lie_in_each_image_everywhere_and_follow_their_seed():
    sizes = torch.tensor([[9, 5], [5, 9], [5, 5]])
    boxes = select_random_boxes(sizes, 5, 200, seed=1)
    assert boxes.shape == (3, 200, 4)
    assert torch.equal(boxes[..., 2:] - boxes[..., :2], torch.full((3, 200, 2), 5))
    assert {tuple(low) for low in boxes[0, :, :2].tolist()} == {(0, y) for y in range(5)}
    assert {tuple(low) for low in boxes[1, :, :2].tolist()} == {(x, 0) for x in range(5)}
    assert not boxes[2, :, :2].any()
    assert torch.equal(boxes, select_random_boxes(sizes, 5, 200, seed=1))
    assert not torch.equal(boxes, select_random_boxes(sizes, 5, 200, seed=2))


def test_the_centre_box_has_the_same_room_on_both_sides():
    boxes = select_centre_box(torch.tensor([[9, 15], [6, 5]]), 5)
    assert boxes.tolist() == [[[5, 2, 10, 7]], [[0, 0, 5, 5]]]


@pytest.mark.parametrize("shape", [(8, 12), (9, 13), (3, 3), (1, 1)])
def test_cells_sum_the_pixels_in_them_and_together_all(shape):
    attribution = torch.randn(shape, dtype=torch.float64)
    cells = pool_cells(attribution, 4)
    assert cells.shape == (-(-shape[0] // 4), -(-shape[1] // 4))
    for (row, column), cell in zip(
        torch.cartesian_prod(*map(torch.arange, cells.shape)).tolist(),
        cells.flatten(),
        strict=True,
    ):
        inside = attribution[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert_close(cell, inside.sum())


def test_pixels_of_several_boxes_count_once():
    attribution = torch.tensor([[1.0, 2.0, 4.0], [8.0, -16.0, 32.0]])
    boxes = torch.tensor([[0, 0, 2, 1], [1, 0, 3, 1], [1, 0, 2, 2]])
    assert sum_union(attribution, boxes) == 1 + 2 + 4 - 16
    assert sum_union(attribution, boxes[:0]) == 0
