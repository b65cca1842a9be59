"""How good an image localizer is: sums that a reader can check by hand."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pillow

from hf_anchornet import PatchLocalizationPipeline
from hf_anchornet.data.boxes import read_boxes
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.accuracy import score_labels
from hf_anchornet.evaluation.image_localization import (
    evaluate_image_localizer,
    measure_pointing,
)
from hf_anchornet.evaluation.localization import localize_images
from hf_anchornet.model.image_localizer import ImageLocalizer

COLUMNS = DataOptions("unused")
RED, BLUE, GREY, BLACK = (255, 0, 0), (0, 0, 255), (128, 128, 128), (0, 0, 0)


def paint(*squares, size=(64, 64), ground=GREY):
    """A picture with coloured boxes, each `(colour, x0, y0, x1, y1)`."""
    picture = Pillow.new("RGB", size, ground)
    for colour, *box in squares:
        picture.paste(colour, tuple(box))
    return picture


def make_rows(pictures, labels, places, **names):
    """A data set of pictures stored as files, like a real one."""
    columns = {"image": pictures, "label": labels, "boxes": places}
    features = {"image": Image(), "label": Value("string"), "boxes": List(List(Value("int32")))}
    return Dataset.from_dict(
        {names.get(name, name): column for name, column in columns.items()},
        features=Features({names.get(name, name): kind for name, kind in features.items()}),
    )


@pytest.fixture
def rows():
    """A found object, one of the wrong label, one that is missed, and a picture without a box."""
    return make_rows(
        [
            paint((RED, 16, 24, 32, 40)),
            paint((BLUE, 40, 8, 56, 24)),
            paint((RED, 0, 0, 16, 16)),
            paint((RED, 8, 8, 24, 24)),
        ],
        ["warm", "warm", "warm", "warm"],
        [[[16, 24, 32, 40]], [[40, 8, 56, 24]], [[48, 48, 64, 64]], []],
    )


@pytest.fixture
def scores(planted_image_model, image_processor, rows):
    return evaluate_image_localizer(planted_image_model, image_processor, rows, COLUMNS)


def test_labels_are_scored_on_all_images(scores):
    assert scores["num_images"] == 4
    assert scores["accuracy"] == 3 / 4
    # warm: 3 right of 3 found and 4 wanted, 6/7; cold: found once, never wanted, 0.
    assert scores["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_the_best_patch_points_to_the_object_of_the_predicted_label(scores):
    assert scores["num_located"] == 3
    assert scores["pointing"]["localizer"] == 2 / 3
    assert scores["pointing"]["8_px"] == 2 / 3
    assert scores["pointing"]["peak"] == 2 / 3


def test_the_controls_point_where_they_must(scores):
    # The image centre, (32, 32), lies in no box: the first one ends before it.
    assert scores["pointing"]["centre_box"] == scores["pointing"]["whole_image"] == 0
    assert 0 <= scores["pointing"]["random_boxes"] <= 1
    assert scores["max_box_acc_v2"]["whole_image"] == 0


def test_the_patch_of_an_object_as_large_as_a_window_fits_it(scores):
    assert scores["box_iou_recall"]["localizer"] == 2 / 3
    assert scores["box_iou_recall"]["centre_box"] == 0
    assert scores["max_box_acc_v2"]["localizer"] == pytest.approx(2 / 3)
    assert scores["max_box_acc"] == {"0.3": 2 / 3, "0.5": 2 / 3, "0.7": 2 / 3}


def test_the_energy_stands_next_to_the_area(planted_image_model, image_processor):
    # Windows of 8 px every 4. One that is 4 px off the object along an axis has half the evidence,
    # so all have 1 + 4 * 1/2 + 4 * 1/4 = 4 times that of the best. Inside lie all of it, half of
    # the four beside it and a quarter of the four at the corners: 1 + 4 * 1/4 + 4 * 1/16 = 2.25.
    rows = make_rows([paint((RED, 8, 12, 16, 20), size=(32, 32))], ["warm"], [[[8, 12, 16, 20]]])
    scores = evaluate_image_localizer(planted_image_model, image_processor, rows, COLUMNS)
    assert scores["energy"] == pytest.approx(2.25 / 4, abs=1e-5)
    assert scores["box_area"] == 1 / 16


def test_the_report_is_ready_for_json(scores):
    assert json.loads(json.dumps(scores)) == scores


def test_the_size_of_the_batch_changes_nothing(planted_image_model, image_processor):
    pictures = [
        paint((RED, 16, 24, 32, 40)),
        paint((RED, 60, 8, 76, 24), size=(96, 64)),
        paint((RED, 8, 100, 24, 116), size=(64, 128)),
    ]
    boxes = [[[16, 24, 32, 40]], [[60, 8, 76, 24]], [[8, 100, 24, 116]]]
    rows = make_rows(pictures, ["warm"] * 3, boxes)
    together, alone = (
        evaluate_image_localizer(planted_image_model, image_processor, rows, COLUMNS, size)
        for size in (3, 1)
    )
    assert together.pop("energy") == pytest.approx(alone.pop("energy"), abs=1e-6)
    assert together == alone
    assert together["pointing"]["localizer"] == together["pointing"]["peak"] == 1.0


def test_boxes_come_back_in_pixels_of_the_original(planted_image_model, image_processor):
    picture = paint((RED, 48, 72, 96, 120), size=(192, 288))
    (view,) = localize_images(ImageLocalizer(planted_image_model, image_processor), [picture])
    ranked = view.select(1)
    assert view.restore(ranked.boxes, ranked.filled) == [[(48, 72, 96, 120)]]
    assert [scores.shape for scores in view.maps()] == [(48, 32)]


def test_the_pipeline_shows_the_boxes_that_are_judged(image_model, image_processor):
    rng = np.random.default_rng(0)
    pictures = [Pillow.fromarray(x) for x in rng.integers(0, 256, (4, 40, 56, 3), dtype=np.uint8)]
    localize = PatchLocalizationPipeline(model=image_model, image_processor=image_processor)
    shown = localize(pictures, top_k=3, batch_size=4)
    (view,) = localize_images(ImageLocalizer(image_model, image_processor), pictures)
    ranked = view.select(3)
    judged = view.restore(ranked.boxes, ranked.filled)
    assert judged == [[tuple(x["box"].values()) for x in answer["patches"]] for answer in shown]
    assert any(judged)


def test_a_multi_label_localizer_is_right_if_each_label_is(planted_image_model, image_processor):
    planted_image_model.config.problem_type = "multi_label_classification"
    box = (16, 24, 32, 40)
    pictures = [paint((colour, *box), ground=BLACK) for colour in (RED, BLUE)]
    rows = Dataset.from_dict(
        {"image": pictures, "label": [["warm"], ["cold", "warm"]], "boxes": [[box]] * 2}
    )
    scores = evaluate_image_localizer(planted_image_model, image_processor, rows, COLUMNS)
    assert scores["accuracy"] == 1 / 2
    assert scores["pointing"]["localizer"] == 1.0


def test_pointing_alone_is_that_of_the_report(planted_image_model, image_processor, rows, scores):
    pointing = measure_pointing(planted_image_model, image_processor, rows, COLUMNS)
    assert pointing == scores["pointing"]["localizer"] == 2 / 3


def test_macro_f1_equals_the_hand_sum():
    logits = torch.eye(4)[torch.tensor([0, 0, 1, 1, 2])]
    scores = score_labels(logits, torch.tensor([0, 1, 1, 1, 0]))
    # Label 0: 1 right of 2 + 2; label 1: 2 of 2 + 3; label 2: 0 of 1; label 3 does not occur.
    assert scores["macro_f1"] == pytest.approx((2 / 4 + 4 / 5 + 0) / 3)
    assert scores["accuracy"] == 3 / 5


def test_columns_can_be_named_and_missing_ones_are_refused(planted_image_model, image_processor):
    boxes = [[[16, 24, 32, 40]]]
    names = {"image": "picture", "label": "class", "boxes": "objects"}
    rows = make_rows([paint((RED, 16, 24, 32, 40))], ["warm"], boxes, **names)

    def evaluate(**columns):
        data = DataOptions("unused", **{f"{name}_column": columns[name] for name in columns})
        return evaluate_image_localizer(planted_image_model, image_processor, rows, data)

    assert evaluate(image="picture", label="class", boxes="objects")["accuracy"] == 1.0
    with pytest.raises(ValueError, match=r"`image` is not in .* has \['class', 'objects', 'pict"):
        evaluate()
    with pytest.raises(ValueError, match="`boxes` is not in the dataset"):
        evaluate(image="picture", label="class")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[], []], "`boxes` must hold a box in at least one row, got none; choose"),
        ([[], [[4, 0, 4, 2]]], r"`boxes` in row 1 must hold boxes .* got \[4, 0, 4, 2\]; give"),
        ([[[1, 2, 3]], []], r"in row 0 .* got \[1, 2, 3\]; give corners"),
    ],
)
def test_boxes_that_are_none_are_refused(boxes, message):
    with pytest.raises(ValueError, match=message):
        read_boxes(make_rows([paint()] * 2, ["warm"] * 2, boxes), "boxes", "image")


def test_a_row_without_boxes_may_hold_none():
    rows = make_rows([paint()] * 2, ["warm"] * 2, [None, [[1, 2, 3, 4]]])
    assert read_boxes(rows, "boxes", "image")[0] == []


def test_an_image_that_cannot_be_read_is_named(planted_image_model, image_processor):
    sources = [paint(), b"no picture"]
    with pytest.raises(ValueError, match="row 1: an image must be a whole picture file"):
        list(localize_images(ImageLocalizer(planted_image_model, image_processor), sources))


def test_a_label_that_the_model_does_not_know_is_refused(planted_image_model, image_processor):
    rows = make_rows([paint()], ["hot"], [[[0, 0, 9, 9]]])
    with pytest.raises(ValueError, match=r"label 'hot' in row 0 .* \['cold', 'warm'\]"):
        evaluate_image_localizer(planted_image_model, image_processor, rows, COLUMNS)
