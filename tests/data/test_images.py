"""Images of a split."""

import struct
from io import BytesIO

import pytest
from datasets import Dataset
from PIL import Image

from hf_anchornet.data import images
from hf_anchornet.data.images import MOST_SHOWN, Pictures, check_pictures, open_row_image
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model import image_files


def test_pictures_are_decoded_on_access_one_or_some():
    files = []
    for width in (3, 4, 5):
        stream = BytesIO()
        Image.new("L", (width, 2)).save(stream, "PNG")
        files.append(stream.getvalue())
    pictures = Pictures(Dataset.from_dict({"image": [*files, b"torn"]}), "image")
    assert len(pictures) == 4
    assert (pictures[1].size, pictures[1].mode) == ((4, 2), "RGB")
    assert [picture.width for picture in pictures[1:3]] == [4, 5]
    with pytest.raises(ValueError, match="the image in row 3 of `image` cannot be used"):
        pictures[2:]


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
    splits = {"train": rows.select([0]), "test": rows.select(range(1, 8))}
    with pytest.raises(ValueError, match=r"must be whole, got 8 that cannot be used: ") as caught:
        check_pictures(splits, DataOptions("set"))
    said = str(caught.value)
    assert said.count("the image in row") == MOST_SHOWN
    assert said.index("(1) split train: the image in row 0") < said.index("(2) split test: ")
    assert said.endswith(f"and {8 - MOST_SHOWN} more")


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
