"""Boxes that people drew in the images of a split."""

from io import BytesIO

import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import ExifTags, Image

from hf_anchornet.data.boxes import read_boxes


def make_rows(boxes, orientation=1):
    """A picture of 20 x 10 pixels in each row."""
    stream, exif = BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (20, 10)).save(stream, "JPEG", exif=exif)
    rows = Dataset.from_dict({"image": [stream.getvalue()] * len(boxes), "boxes": boxes})
    return rows.cast_column("image", ImageFeature())


def test_boxes_reach_the_edges_of_their_picture():
    boxes = [[[0, 0, 20, 10]], [[19, 9, 20, 10]]]
    assert read_boxes(make_rows(boxes), "boxes", "image") == boxes


def test_boxes_lie_in_the_upright_picture():
    assert read_boxes(make_rows([[[0, 0, 10, 20]]], orientation=6), "boxes", "image")
    with pytest.raises(ValueError, match="inside the upright image of 10 x 20 pixels"):
        read_boxes(make_rows([[[0, 0, 20, 10]]], orientation=6), "boxes", "image")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (
            [[0, 0, 21, 10]],
            r"in row 1 must hold boxes .* 20 x 10 pixels, got \[0, 0, 21, 10",
        ),
        ([[0, 0, 20, 11]], "in row 1 must hold boxes inside the upright image of 20 x 10 pixels"),
        ([[-1, 0, 20, 10]], "in row 1 must hold boxes inside the upright image of 20 x 10 pixels"),
        ([[30, 30, 40, 40]], "in row 1 must hold boxes inside the upright image of 20 x 10 pixels"),
    ],
)
def test_boxes_outside_their_picture_are_refused_with_the_row(boxes, message):
    with pytest.raises(ValueError, match=message):
        read_boxes(make_rows([[[0, 0, 5, 5]], boxes]), "boxes", "image")


def test_boxes_in_fractions_are_refused_with_the_remedy():
    with pytest.raises(
        ValueError, match=r"in row 0 .* got \[0.1, 0.2, 0.5, 1.0\], .* multiply them"
    ):
        read_boxes(make_rows([[[0.1, 0.2, 0.5, 1.0]]]), "boxes", "image")


@pytest.mark.parametrize(
    "boxes", [[0, 0, 5, 5], "[[0, 0, 5, 5]]", {"x0": 0}, [{"x0": 0}], [[[0, 0, 5, 5]]], [["0"] * 4]]
)
def test_boxes_of_another_shape_are_refused_with_the_row(boxes):
    with pytest.raises(ValueError, match="`boxes` in row 0 must hold "):
        read_boxes(make_rows([boxes]), "boxes", "image")


def test_an_image_without_a_size_is_left_to_be_named_when_it_is_decoded():
    features = Features({"image": Value("binary"), "boxes": [[Value("int64")]]})
    columns = {"image": [b"no picture"], "boxes": [[[0, 0, 5, 5]]]}
    rows = Dataset.from_dict(columns, features=features)
    assert read_boxes(rows, "boxes", "image") == [[[0, 0, 5, 5]]]
