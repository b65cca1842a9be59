"""The comparison with the authors' code, with stand-ins in its place."""

import json

import pytest
import torch
from torch import nn

from hf_anchornet import AnchorNetForImageClassification
from scripts.reference.authors import (
    Reference,
    choose_boxes,
    choose_published_boxes,
    choose_reference_boxes,
    compare_boxes,
    compare_networks,
    load_reference,
    measure_selection,
    measure_trunks,
    random_maps,
)
from scripts.reference.convert_anchornet import convert_reference_state_dict, reference_config


class StandIn(nn.Module):
    """Our network with the authors' names and outputs; `error` is added to the features."""

    error = 0.0

    def __init__(self):
        super().__init__()
        self.model = AnchorNetForImageClassification(reference_config())

    def load_state_dict(self, state, strict):
        assert not strict
        self.given = state
        self.model.load_state_dict(convert_reference_state_dict(state))

    def state_dict(self):
        return {f"module.{name}": tensor for name, tensor in self.given.items()}

    def forward(self, pixel_values):
        features = self.model.anchornet(pixel_values).features[0].permute(0, 3, 1, 2)
        weight = self.model.aggregation.heads[0].weight * 8
        logits = features.mean(dim=(2, 3)) @ weight.T + self.model.aggregation.bias
        return features + self.error, weight, logits


class Wrong(StandIn):
    error = 0.5


def choose_in_turn(positions, scores, size, stride, top_k, limits):
    """The rules that `scripts.reference.authors` states, one window after the other."""
    width, chosen = size - 1, []

    def iou(one, other):
        sides = [max(0, width - abs(a - b)) for a, b in zip(one, other, strict=True)]
        shared = sides[0] * sides[1]
        return shared / (2 * width**2 - shared)

    for index in scores.flatten().argsort(descending=True).tolist():
        if len(chosen) == top_k:
            break
        place = tuple(stride * one for one in positions[index])
        if index == 0 or all(iou(place, other) <= limits[len(chosen) - 1] for other in chosen):
            chosen.append(place)
    return [(row, column, row + width, column + width) for row, column in chosen]


REFERENCE = Reference(StandIn, choose_in_turn)


def test_the_authors_code_is_run_from_their_files(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/anchornet.py").write_text("class AnchorNet: name = 'net'\n")
    (tmp_path / "utils.py").write_text("def localize_bbox(): return 'boxes'\n")
    reference = load_reference(tmp_path)
    assert reference.network_class.name == "net"
    assert reference.localize() == "boxes"


def test_a_folder_without_the_authors_code_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`reference` must be a checkout of .*AnchorNet"):
        load_reference(tmp_path)


def test_the_same_network_shows_rounding_only():
    report = compare_networks(REFERENCE, 0, 103, 95)
    assert set(report) == {"features", "class_map", "logits"}
    assert all(one["difference"] < 1e-4 < one["largest"] for one in report.values())


def test_another_network_shows_its_difference():
    report = compare_networks(Reference(Wrong, choose_in_turn), 0, 95, 95)
    assert report["features"]["difference"] == pytest.approx(0.5, abs=1e-4)
    assert report["logits"]["difference"] < 1e-4


@pytest.mark.parametrize("blur", [1, 5, 9])
@pytest.mark.parametrize("limit", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_the_authors_rules_are_kept_at_any_limit(blur, limit):
    maps = random_maps(blur, 16, 9, blur)
    expected = choose_reference_boxes(REFERENCE, maps, 5, limit)
    assert torch.equal(choose_published_boxes(maps, 5, limit), expected)


def test_boxes_are_columns_before_rows_and_half_open():
    maps = torch.zeros(1, 3, 4)
    maps[0, 1, 2] = 1.0
    boxes = torch.tensor([[[16, 8, 111, 103]]])
    assert torch.equal(choose_boxes(maps, 1, 0.3), boxes)
    assert torch.equal(choose_reference_boxes(REFERENCE, maps, 1, 0.3), boxes)


def test_a_rank_without_a_box_is_marked():
    maps = torch.arange(1.0, 5.0).view(1, 2, 2)
    for choose in (choose_boxes, choose_published_boxes):
        assert (choose(-maps, 3, 0.3)[0, 1:] == -1).all()


def test_the_window_in_the_corner_is_theirs_whatever_it_overlaps():
    maps = torch.tensor([[[0.5, 0.2], [0.1, 1.0]]])
    assert compare_boxes(REFERENCE, maps, 2, 0.3) == {
        "equal": 0.0,
        "equal_with_their_rule_for_position_0": 1.0,
    }


def test_blurred_maps_are_smooth():
    rough, smooth = random_maps(0, 4, 17), random_maps(0, 4, 17, blur=9)
    assert rough.shape == smooth.shape == (4, 17, 17)
    assert smooth.diff(dim=1).std() < 0.2 * rough.diff(dim=1).std()


def test_all_costs_are_numbers_ready_for_json():
    selection = measure_selection(REFERENCE, random_maps(0, 4, 17), 5, 0.3, rounds=1)
    assert set(selection["times_faster"]) == {"ours", "ours_with_their_rule"}
    trunks = measure_trunks(REFERENCE, {"small": nn.Conv2d(3, 4, 3, bias=False)}, 95, rounds=1)
    assert trunks["multiply_adds"]["small"] == 93 * 93 * 4 * 27
    assert set(trunks["time_ratio"]) == {"default / small", "authors / small"}
    json.dumps([selection, trunks])
