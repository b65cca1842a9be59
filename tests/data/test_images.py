"""Images of a split, and the boxes that people drew in them."""

import struct
from io import BytesIO

import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import ExifTags, Image

from hf_anchornet.data import images
from hf_anchornet.data.images import MOST_SHOWN, check_pictures, open_row_image, read_boxes
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model import image_files


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


@pytest.mark.parametrize(
    "error",
    [SyntaxError, struct.error, NotImplementedError, IndexError, Image.DecompressionBombError],
)
def test_a_format_that_cannot_be_decoded_is_named_with_its_row(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(images, "open_image", fail)
    with pytest.raises(ValueError, match=f"in row 3 of `photo` cannot be used: {error.__name__}"):
        open_row_image(b"", "photo", 3)


def test_many_broken_pictures_are_counted_and_the_first_described():
    rows = Dataset.from_dict({"image": [b"no picture"] * 8})
    with pytest.raises(ValueError, match=r"all 8 images of split test .* got 8 that") as caught:
        check_pictures(rows, DataOptions("set"), "test")
    assert str(caught.value).count("cannot be used: ") == MOST_SHOWN
    assert str(caught.value).endswith(f"and {8 - MOST_SHOWN} more")


def test_formats_without_a_decoder_are_named_with_their_row():
    broken = [
        b"DDS |\0\0\0" + b"\xff" * 200,
        b"BLP2" + b"\0" * 200,
        b"\x00\x00\x01\x00\x01\x00" * 9,
    ]
    for content in broken:
        with pytest.raises(ValueError, match="the image in row 0 of `image` cannot be used: "):
            open_row_image(content, "image", 0)


@pytest.mark.parametrize(
    "file", ["http://127.0.0.1:9/x.png", {"bytes": None, "path": "https://a/b"}]
)
def test_a_url_in_a_dataset_is_opened_only_if_it_is_allowed(file, monkeypatch):
    message = r"the image in row 4 of `photo` cannot be used: .* set `allow_urls`"
    with pytest.raises(ValueError, match=message):
        open_row_image(file, "photo", 4)
    asked = []
    monkeypatch.setattr(image_files, "download_image", lambda url: asked.append(url) or b"")
    with pytest.raises(ValueError, match="in row 4 of `photo` cannot be used"):
        open_row_image(file, "photo", 4, allow_urls=True)
    assert len(asked) == 1
