"""`pipeline("patch-localization")` from picture to boxes; its options; how pictures reach it."""

import io
import json

import numpy as np
import pytest
import torch
from conftest import assert_same
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image
from transformers.pipelines.pt_utils import KeyDataset

from hf_anchornet import PatchLocalizationPipeline

RED, BLUE = (255, 0, 0), (0, 0, 255)
BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")


@pytest.fixture
def localize(planted_image_model, image_processor):
    """Only red (for warm) and blue (for cold) count, in windows of 8 px every 4 of 32."""
    return PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)


@pytest.fixture
def random_localize(image_model, image_processor):
    """Every pixel counts, in windows of several sizes."""
    return PatchLocalizationPipeline(model=image_model, image_processor=image_processor)


@pytest.fixture
def pictures():
    """Random pictures of several sizes."""
    return [make_noise(*size) for size in [(40, 40), (64, 35), (33, 50), (20, 20), (90, 40)]]


def make_noise(width, height):
    values = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def plant(size, *squares):
    """A black picture with squares, each a colour and a box."""
    image = Image.new("RGB", size)
    for colour, box in squares:
        image.paste(colour, box)
    return image


def boxes(answer):
    return [tuple(patch["box"][side] for side in BOX_SIDES) for patch in answer["patches"]]


# The planted answer, to the exact pixel


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("place", [(0, 0), (24, 0), (40, 24), (12, 20)])
@pytest.mark.parametrize("upright", [True, False])
def test_the_planted_square_is_found_to_the_pixel_of_the_original(localize, factor, place, upright):
    x, y = place
    size, box = (48, 32), (x, y, x + 8, y + 8)
    if not upright:
        size, box = size[::-1], (y, x, y + 8, x + 8)
    box = tuple(side * factor for side in box)
    answer = localize(plant([side * factor for side in size], (RED, box)))
    assert answer["label"] == "warm"
    assert boxes(answer)[0] == box
    assert answer["patches"][0]["scale"] == 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_planted_square_is_found_in_the_picture_as_exif_turns_it(localize, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = io.BytesIO()
    plant((96, 64), (RED, (16, 8, 32, 24))).save(content, "PNG", exif=exif)
    right, bottom = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    (x, y), (width, height) = (16, 8), (96, 64)
    if orientation > 4:
        (x, y), (width, height) = (y, x), (height, width)
    x = width - 16 - x if right else x
    y = height - 16 - y if bottom else y
    assert boxes(localize(content.getvalue()))[0] == (x, y, x + 16, y + 16)


@pytest.mark.parametrize("size", [(100, 45), (57, 80), (31, 31), (300, 500)])
def test_a_square_of_broken_pixels_is_found_to_one_pixel(localize, image_processor, size):
    height, width = image_processor(Image.new("RGB", size))["pixel_values"][0].shape[1:]
    stretch = np.array([size[0] / width, size[1] / height] * 2)
    exact = np.array([8, 12, 16, 20]) * stretch
    found = boxes(localize(plant(size, (RED, tuple(exact.round().astype(int).tolist())))))[0]
    assert np.abs(found - exact).max() < 1


def test_two_squares_and_the_colours_of_both_labels_are_told_apart(localize):
    image = plant((64, 64), (RED, (8, 8, 24, 24)), (BLUE, (40, 32, 56, 48)))
    (warm,) = localize(image, labels="warm", top_k=1)["patches"]
    (cold,) = localize(image, labels="cold", top_k=1)["patches"]
    assert [warm["box"], cold["box"]] == [
        dict(zip(BOX_SIDES, box, strict=True)) for box in [(8, 8, 24, 24), (40, 32, 56, 48)]
    ]
    both = localize(image, labels=["cold", "warm"], top_k=1)["patches"]
    assert_same(both, [cold, warm])


# Evidence and shares


def test_evidence_and_bias_make_the_centred_logits(random_localize, image_processor):
    image, model = make_noise(40, 36), random_localize.model
    torch.nn.init.normal_(model.aggregation.bias)
    localize = PatchLocalizationPipeline(model=model, image_processor=image_processor)
    maps = localize(image, return_maps=True, labels=["cold", "warm"])["maps"]
    with torch.no_grad():
        output = model(**image_processor(image, return_tensors="pt"))
    centred = (output.logits - output.bias)[0]
    centred = (centred - centred.mean()).tolist()
    assert [float(np.sum(maps[label])) for label in ("cold", "warm")] == pytest.approx(centred)


def test_the_map_has_a_cell_a_stride_and_holds_the_evidence_of_a_box(localize):
    image = plant((96, 64), (RED, (24, 40, 40, 56)))
    answer = localize(image, return_maps=True, top_k=1)
    cells = np.array(answer["maps"]["warm"])
    assert cells.shape == (32 // 4, 48 // 4)
    assert answer["patches"][0]["evidence"] == pytest.approx(cells[5:7, 3:5].sum())
    assert answer["patches"][0]["share"] == pytest.approx(cells[5:7, 3:5].sum() / cells.sum())
    assert "maps" not in localize(image)


def test_a_share_counts_what_speaks_for_and_against_the_label(localize):
    image = plant((96, 64), (RED, (24, 40, 40, 56)), (BLUE, (72, 8, 80, 16)))
    answer = localize(image, return_maps=True, labels="warm", top_k=1)
    cells = np.array(answer["maps"]["warm"])
    assert cells.min() < 0
    share = answer["patches"][0]["evidence"] / np.abs(cells).sum()
    assert answer["patches"][0]["share"] == pytest.approx(share)


def test_disjoint_boxes_share_no_more_than_the_whole(random_localize, pictures):
    for answer in random_localize(pictures, top_k=50, iou_threshold=0.0):
        shares = [patch["share"] for patch in answer["patches"]]
        assert all(0 < share <= 1 for share in shares)
        assert sum(shares) <= 1 + 1e-9
        assert all(
            patch["evidence"] / patch["share"] == pytest.approx(first["evidence"] / first["share"])
            for first, patch in zip(answer["patches"], answer["patches"][1:], strict=False)
        )


def test_coverage_is_the_share_of_the_image_in_its_boxes(random_localize):
    image = make_noise(50, 40)
    answer = random_localize(image)
    covered = np.zeros((40, 50), dtype=bool)
    for x0, y0, x1, y1 in boxes(answer):
        covered[y0:y1, x0:x1] = True
    assert answer["coverage"] == pytest.approx(covered.mean())


def test_an_image_without_evidence_has_no_boxes(localize):
    answer = localize(plant((64, 64)))
    assert answer["patches"] == []
    assert answer["coverage"] == 0.0
    assert answer["score"] == pytest.approx(0.5)


def test_a_multi_label_model_keeps_raw_evidence_and_scores_by_sigmoid(
    planted_image_model, image_processor
):
    planted_image_model.config.problem_type = "multi_label_classification"
    with torch.no_grad():
        planted_image_model.aggregation.heads[0].weight[0] = 0  # nothing speaks for "cold"
    localize = PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)
    image = plant((64, 64), (RED, (8, 8, 24, 24)))
    with torch.no_grad():
        logits = planted_image_model(**image_processor(image, return_tensors="pt")).logits
    answer = localize(image, return_maps=True)
    assert answer["score"] == pytest.approx(float(logits[0, 1].sigmoid()))
    assert np.sum(answer["maps"]["warm"]) == pytest.approx(float(logits[0, 1]))
    assert localize(image, labels="cold")["patches"] == []


# One, many, none; lists, generators, datasets


def test_one_picture_gives_a_dict_many_a_list_and_none_an_empty_list(random_localize, pictures):
    many = random_localize(pictures)
    for picture, answer in zip(pictures, many, strict=True):
        assert_same(random_localize(picture), answer)
    assert_same(random_localize(tuple(pictures)), many)
    assert random_localize([]) == []
    assert list(random_localize(picture for picture in [])) == []


@pytest.mark.parametrize("options", [{}, {"labels": ["cold", "warm"], "return_maps": True}])
@pytest.mark.parametrize("batch_size", [2, 3, 16])
def test_batches_of_ragged_pictures_change_nothing(random_localize, pictures, batch_size, options):
    together = random_localize(pictures, batch_size=batch_size, **options)
    assert_same(together, random_localize(pictures, **options))


def test_every_form_of_a_picture_gives_the_same_answer(random_localize, tmp_path):
    image, path = make_noise(40, 36), tmp_path / "image.png"
    image.save(path)
    expected = random_localize(image)
    struct = {"bytes": path.read_bytes(), "path": None}
    array = np.asarray(image)
    for form in (str(path), path, path.read_bytes(), struct, array, torch.tensor(array)):
        assert_same(random_localize(form), expected)
        assert_same(random_localize([form]), [expected])


def test_generators_datasets_and_columns_stream(random_localize, pictures):
    dataset = Dataset.from_dict({"image": pictures}, features=Features({"image": ImageFeature()}))
    expected = random_localize(pictures)
    for source in (
        (picture for picture in pictures),
        iter(pictures),
        KeyDataset(dataset, "image"),
        dataset["image"],
        dataset.cast_column("image", ImageFeature(decode=False))["image"],
        (row["image"] for row in dataset.to_iterable_dataset()),
    ):
        answers = random_localize(source, batch_size=2)
        assert not isinstance(answers, list)
        assert_same(list(answers), expected)


def test_a_stream_takes_no_more_pictures_than_it_needs(random_localize):
    def stream():
        for count in range(1000):
            assert count < 8
            yield make_noise(20, 20)

    assert next(iter(random_localize(stream(), batch_size=2)))["label"]


def test_answers_are_plain_python_and_survive_json(
    image_model, image_processor, image_classifier_folder, pictures
):
    localize = PatchLocalizationPipeline(
        model=image_model, image_processor=image_processor, classifier=image_classifier_folder
    )
    for answer in localize(pictures, return_maps=True, batch_size=2):
        assert json.loads(json.dumps(answer)) == answer


# Options


def test_scales_choose_the_windows(random_localize):
    image = make_noise(60, 50)
    for scale in (3, 7, 11):
        answer = random_localize(image, scales=scale, labels=["cold", "warm"])
        assert {patch["scale"] for patch in answer["patches"]} == {scale}
    both = random_localize(image, scales=(3, 11), top_k=500, iou_threshold=1.0)
    assert {patch["scale"] for patch in both["patches"]} == {3, 11}


def test_top_k_bounds_the_number_of_boxes_for_each_label(random_localize):
    image = make_noise(60, 50)
    assert len(random_localize(image)["patches"]) == 5
    assert len(random_localize(image, top_k=1)["patches"]) == 1
    assert len(random_localize(image, top_k=2, labels=["cold", "warm"])["patches"]) == 4


@pytest.mark.parametrize("limit", [0.0, 0.3, [0.0, 0.0, 0.5, 1.0, 1.0]])
def test_boxes_overlap_better_ones_no_more_than_allowed(random_localize, limit):
    found = boxes(random_localize(make_noise(32, 32), iou_threshold=limit))
    assert len(found) == 5
    for rank, (x0, y0, x1, y1) in enumerate(found):
        for a0, b0, a1, b1 in found[:rank]:
            shared = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
            union = (x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - shared
            assert shared / union <= (limit[rank] if isinstance(limit, list) else limit)


def test_options_of_the_pipeline_hold_unless_a_call_says_otherwise(
    planted_image_model, image_processor
):
    localize = PatchLocalizationPipeline(
        model=planted_image_model, image_processor=image_processor, top_k=1, labels="cold"
    )
    image = plant((64, 64), (RED, (8, 8, 24, 24)), (BLUE, (40, 32, 56, 48)))
    assert boxes(localize(image)) == [(40, 32, 56, 48)]
    assert boxes(localize(image, labels="warm")) == [(8, 8, 24, 24)]
    assert boxes(localize(image, top_k=None)) == [(40, 32, 56, 48)]
