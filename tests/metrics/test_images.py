import sys

import numpy as np
import pytest

from hf_anchornet.metrics.box_iou_recall import BoxIoURecall
from hf_anchornet.metrics.box_pointing import BoxPointing
from hf_anchornet.metrics.energy_pointing_game import EnergyPointingGame
from hf_anchornet.metrics.max_box_acc_v2 import MaxBoxAccV2, fit_levels

OF_BOXES = {"box_pointing": BoxPointing, "box_iou_recall": BoxIoURecall}
OF_MAPS = {"energy_pointing_game": EnergyPointingGame, "max_box_acc_v2": MaxBoxAccV2}
METRICS = OF_BOXES | OF_MAPS

each = pytest.mark.parametrize(("name", "metric"), METRICS.items())
of_boxes = pytest.mark.parametrize(("name", "metric"), OF_BOXES.items())
of_maps = pytest.mark.parametrize(("name", "metric"), OF_MAPS.items())


def draw(size, *parts):
    """A square map of zeros with values in boxes, each `(value, x0, y0, x1, y1)`."""
    scores = np.zeros((size, size))
    for value, x0, y0, x1, y1 in parts:
        scores[y0:y1, x0:x1] = value
    return scores


def predict(name, boxes):
    """The given box of each image as the metric takes it: a list of it, or a map of it."""
    if name in OF_BOXES:
        return [[box] for box in boxes]
    return [draw(10, (1.0, *map(int, box))) for box in boxes]


def test_box_pointing_equals_the_hand_count():
    # Centres (2, 2) in, (4, 2) on the open side and out, (3.5, 2) in the second object; no box: a
    # miss; only the first box counts.
    result = BoxPointing().compute(
        predictions=[
            [[0, 0, 4, 4]],
            [[2, 0, 6, 4]],
            [[1, 0, 6, 4]],
            [],
            [[8, 8, 9, 9], [0, 0, 4, 4]],
        ],
        references=[
            [[1, 1, 4, 4]],
            [[1, 1, 4, 4]],
            [[8, 8, 9, 9], [1, 1, 4, 4]],
            [[0, 0, 9, 9]],
            [[0, 0, 4, 4]],
        ],
    )
    assert result == {"box_pointing": 2 / 5, "num_images": 5, "num_skipped": 0}


def test_box_iou_recall_equals_the_hand_count():
    # IoU 8/16 = 0.5 is a match, 7/17 is not; the third box of the last image comes too late.
    images = {
        "predictions": [
            [[0, 0, 4, 3]],
            [[0, 0, 7, 1]],
            [[9, 9, 10, 10], [1, 1, 5, 4]],
            [[9, 9, 10, 10], [8, 8, 9, 9], [0, 0, 4, 4]],
        ],
        "references": [
            [[0, 1, 4, 4]],
            [[0, 0, 17, 1]],
            [[20, 20, 21, 21], [1, 1, 5, 4]],
            [[0, 0, 4, 4]],
        ],
    }
    result = BoxIoURecall().compute(**images, top_k=2)
    assert result == {"box_iou_recall": 2 / 4, "num_images": 4, "num_skipped": 0}
    assert BoxIoURecall().compute(**images)["box_iou_recall"] == 3 / 4
    assert BoxIoURecall().compute(**images, top_k=1, iou_threshold=0.51)["box_iou_recall"] == 0


def test_the_energy_is_the_share_of_the_positive_values_inside():
    # 6 of 8 inside, values below 0 do not count; all inside; nothing anywhere.
    maps = [draw(4, (2, 0, 0, 3, 1), (1, 2, 2, 4, 3), (-9, 0, 3, 4, 4)), draw(2, (2, 1, 1, 2, 2))]
    result = EnergyPointingGame().compute(
        predictions=[*maps, draw(2)],
        references=[[[0, 0, 4, 1]], [[1, 1, 2, 2]], [[0, 0, 2, 1]]],
    )
    assert result == {
        "energy_pointing_game": pytest.approx((6 / 8 + 1 + 0) / 3, abs=1e-12),
        "box_area": pytest.approx((1 / 4 + 1 / 4 + 1 / 2) / 3, abs=1e-12),
        "num_images": 3,
        "num_skipped": 0,
    }


def test_a_pixel_counts_once_and_if_its_centre_is_inside():
    result = EnergyPointingGame().compute(
        predictions=[draw(4, (1, 0, 0, 4, 4))], references=[[[0.4, 0, 1.6, 4], [0, 0, 2, 2]]]
    )
    # The first box holds the columns 0 and 1, the second lies within.
    assert result["energy_pointing_game"] == result["box_area"] == 1 / 2


def test_an_even_map_has_the_energy_of_the_area():
    rng = np.random.default_rng(0)
    boxes = [[[*low, *(low + size)]] for low, size in rng.integers(1, 6, (50, 2, 2))]
    result = EnergyPointingGame().compute(predictions=np.ones((50, 12, 12)), references=boxes)
    assert result["energy_pointing_game"] == pytest.approx(result["box_area"], abs=1e-12)


def test_max_box_acc_is_that_of_the_best_common_level():
    # Level 0: the outer boxes, IoU 16/16 and 16/4 the other way: 1 and 1/4.
    # Above the outer value, from level 0.5 on: the inner boxes, IoU 4/16 and 1.
    scores = draw(8, (1, 1, 1, 5, 5), (2, 1, 1, 3, 3))
    images = {"predictions": [scores] * 2, "references": [[[1, 1, 5, 5]], [[1, 1, 3, 3]]]}
    result = MaxBoxAccV2().compute(**images, num_thresholds=4)
    assert result == {
        "max_box_acc_v2": 0.5,
        "max_box_acc": [0.5, 0.5, 0.5],
        "best_levels": [0.0, 0.0, 0.0],
        "num_images": 2,
        "num_skipped": 0,
    }
    assert MaxBoxAccV2().compute(**images, iou_thresholds=[0.25])["max_box_acc_v2"] == 1.0


def test_max_box_acc_averages_the_overlaps_each_at_its_own_level():
    # IoU 8/16 at level 0, 10/20 above: fits at 0.3 and 0.5, not at 0.7.
    scores = draw(8, (1, 0, 0, 4, 4))
    result = MaxBoxAccV2().compute(predictions=[scores], references=[[[0, 0, 4, 2]]])
    assert result["max_box_acc"] == [1.0, 1.0, 0.0]
    assert result["max_box_acc_v2"] == pytest.approx(2 / 3)


def test_of_the_parts_of_a_map_the_best_counts_or_the_largest():
    scores = draw(9, (1, 0, 0, 5, 5), (1, 7, 7, 9, 9))
    image = {"predictions": [scores], "references": [[[7, 7, 9, 9]]]}
    assert MaxBoxAccV2().compute(**image)["max_box_acc_v2"] == 1.0
    assert MaxBoxAccV2().compute(**image, components="largest")["max_box_acc_v2"] == 0.0


def test_parts_that_touch_at_a_corner_are_one():
    scores = draw(6, (1, 0, 0, 2, 2), (1, 2, 2, 4, 4))
    assert fit_levels(scores, [[0, 0, 4, 4]], num_thresholds=2).tolist() == [1.0, 1.0]


def test_a_map_of_one_value_fits_nothing():
    result = MaxBoxAccV2().compute(predictions=[np.ones((4, 4))], references=[[[0, 0, 4, 4]]])
    assert result["max_box_acc_v2"] == 0.0


@pytest.mark.parametrize("scale", [1e-6, 1.0, -3.0])
def test_scale_and_offset_of_a_map_change_nothing_but_its_sign_does(scale):
    rng = np.random.default_rng(1)
    scores, boxes = rng.random((12, 12)), [[2, 3, 7, 9]]
    same = np.array_equal(fit_levels(5 + scale * scores, boxes), fit_levels(scores, boxes))
    assert same == (scale > 0)


@each
def test_images_without_a_human_box_are_left_out_and_counted(name, metric):
    box = [2, 2, 6, 6]
    result = metric().compute(predictions=predict(name, [box, box]), references=[[], [box]])
    assert result[name] == 1.0
    assert (result["num_images"], result["num_skipped"]) == (1, 1)


@each
@pytest.mark.parametrize(
    ("references", "message"),
    [
        ([[[3, 0, 3, 4]]], r"`references` must hold boxes .* got \[3.0, 0.0, 3.0, 4.0\] for image"),
        ([[[0, 0, 4]]], r"`references` must hold boxes .* for image 0; give corners"),
        ([[[0, 0, 4, float("nan")]]], "`references` must hold boxes .*nan"),
        ([[]], "got 1 images without any; check the column of references"),
        ([[[0, 0, 2, 2]]] * 2, r"number of predictions \(1\) and references \(2\)"),
    ],
)
def test_bad_human_boxes_are_named(name, metric, references, message):
    with pytest.raises(ValueError, match=message):
        metric(keep_in_memory=True).compute(
            predictions=predict(name, [[2, 2, 6, 6]]), references=references
        )


@of_boxes
def test_bad_boxes_are_named(name, metric):
    with pytest.raises(ValueError, match=r"`predictions` must hold boxes .* for image 1"):
        metric(keep_in_memory=True).compute(
            predictions=[[], [[4, 0, 0, 4]]], references=[[[0, 0, 2, 2]]] * 2
        )


@of_maps
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "`predictions` must hold rows of one length"),
        ([[]], r"got rows of \[0\] values for image 0"),
        ([[1.0], [1.0, 2.0]], r"got rows of \[1, 2\] values for image 0"),
        ([[1.0, float("nan")]], "`predictions` must be finite, got nan for image 0"),
        ([[1.0, None]], "`predictions` must be finite, got nan for image 0"),
    ],
)
def test_bad_maps_are_named(name, metric, scores, message):
    with pytest.raises(ValueError, match=message):
        metric(keep_in_memory=True).compute(predictions=[scores], references=[[[0, 0, 1, 1]]])


@pytest.mark.parametrize(
    ("metric", "option", "message"),
    [
        (BoxIoURecall, {"top_k": 0}, "`top_k` must be at least 1, got 0"),
        (BoxIoURecall, {"iou_threshold": 0}, r"`iou_threshold` must be in \(0, 1\], got 0"),
        (MaxBoxAccV2, {"iou_thresholds": []}, "`iou_thresholds` must be one or more"),
        (MaxBoxAccV2, {"iou_thresholds": [0.5, 2]}, "`iou_thresholds` must be one or more"),
        (MaxBoxAccV2, {"num_thresholds": 0}, "`num_thresholds` must be at least 1, got 0"),
        (MaxBoxAccV2, {"components": "first"}, '`components` must be "all" or "largest"'),
    ],
)
def test_options_out_of_range_are_refused(metric, option, message):
    (name,) = [name for name, other in METRICS.items() if other is metric]
    with pytest.raises(ValueError, match=message):
        metric(keep_in_memory=True).compute(
            predictions=predict(name, [[2, 2, 6, 6]]), references=[[[2, 2, 6, 6]]], **option
        )


def test_max_box_acc_without_scipy_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[eval\]'"):
        fit_levels(draw(4, (1, 0, 0, 2, 2)), [[0, 0, 2, 2]])


@each
def test_human_boxes_in_fractions_are_refused(name, metric):
    images = {"predictions": predict(name, [[0, 0, 5, 5]]), "references": [[[0.1, 0.2, 0.5, 1]]]}
    with pytest.raises(ValueError, match=r"in pixels, got \[0.1, .* for image 0, .* fractions"):
        metric().compute(**images)


@each
def test_human_boxes_with_negative_edges_are_refused(name, metric):
    images = {"predictions": predict(name, [[0, 0, 5, 5]]), "references": [[[-1, 0, 5, 5]]]}
    with pytest.raises(ValueError, match=r"inside the image, got \[-1.0, 0.0, 5.0, 5.0\] for im"):
        metric().compute(**images)


@of_maps
def test_human_boxes_outside_the_map_are_refused(name, metric):
    images = {"predictions": predict(name, [[0, 0, 5, 5]]), "references": [[[0, 0, 5, 11]]]}
    with pytest.raises(ValueError, match=r"inside the image of 10 x 10 pixels, got .* for image 0"):
        metric().compute(**images)
    metric().compute(**images | {"references": [[[0, 0, 5, 10 + 1e-12]]]})
