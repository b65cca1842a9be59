"""Sources and formats that may be opened. For the pictures, see test_image_processing_anchornet."""

import io

import numpy as np
import pytest
from PIL import Image

from hf_anchornet.model.image_files import BAND_PIXELS, FORMATS, open_file, open_image


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", [str, lambda path: path, lambda path: {"path": str(path)}])
def test_a_path_is_opened_only_where_paths_are_allowed(tmp_path, form):
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.new("RGB", (3, 2))))
    assert open_image(form(path)).size == (3, 2)
    with pytest.raises(ValueError, match=rf"got the path {path}; .* set `allow_paths`"):
        open_image(form(path), allow_paths=False)
    held = {"bytes": path.read_bytes(), "path": str(path)}
    assert open_image(held, allow_paths=False, allow_urls=False).size == (3, 2)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "https://example.com/a.png"])
def test_a_url_is_opened_only_where_urls_are_allowed(url):
    with pytest.raises(ValueError, match=rf"got the URL {url}; .* set `allow_urls`"):
        open_image({"path": url}, allow_urls=False)


def test_only_formats_that_can_be_decoded_are_tried():
    """Pillow knows more formats: for some it runs programs, others it only recognizes."""
    for kind, mode in {"EPS": "L", "PDF": "L", "MSP": "1", "SPIDER": "F", "XBM": "1"}.items():
        content = encode(Image.new(mode, (8, 8)), kind)
        with pytest.raises(ValueError, match="an image must be a whole picture file"):
            open_image(content)


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO", "PCX", "JPEG2000"])
def test_formats_without_a_walker_are_opened_unless_they_are_left_out(kind):
    content = encode(Image.new("RGBA" if kind == "ICO" else "RGB", (16, 16)), kind)
    assert open_image(content).size == (16, 16)
    with pytest.raises(ValueError, match="cannot identify"), open_file(content, FORMATS):
        pass


def test_large_pictures_are_converted_band_by_band_with_the_result_of_one_piece():
    values = np.random.default_rng(0).integers(0, 256, (2, BAND_PIXELS // 2 + 9, 4), dtype=np.uint8)
    assert values.shape[0] * values.shape[1] > BAND_PIXELS
    whole = np.asarray(open_image(encode(Image.fromarray(values), compress_level=1)))
    for row in range(2):
        alone = open_image(encode(Image.fromarray(values[row : row + 1]), compress_level=1))
        assert np.array_equal(np.asarray(alone)[0], whole[row])
    grey = values[..., 0].astype(np.uint16) * 257
    assert np.array_equal(np.asarray(open_image(grey))[..., 1], values[..., 0])


def test_16_bit_values_are_scaled_by_those_of_the_whole_picture():
    rows = BAND_PIXELS // 1024
    array = np.zeros((2 * rows, 1024), dtype=np.int32)
    array[0], array[-1] = 200, 65_535
    shown = np.asarray(open_image(array))
    assert (shown[0, 0, 0], shown[-1, 0, 0]) == (1, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_once_however_often_it_is_opened(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    once = open_image(encode(Image.new("RGB", (8, 4)), kind, exif=exif))
    assert (once.size, open_image(once).size) == ((4, 8), (4, 8))
    assert open_image(open_image(once)) is once
