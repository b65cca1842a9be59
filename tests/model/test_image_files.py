"""Pictures of any kind and any fault; sources and formats that may be opened."""

import http.server
import io
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from hf_anchornet.model.image_files import BAND_PIXELS, FORMATS, open_file, open_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def pixels():
    """A random colour picture, (height, width, 3), uint8."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def encode(image, kind="PNG", **options):
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(source):
    image = open_image(source)
    assert image.mode == "RGB"
    return np.asarray(image)


# Forms of a picture


@pytest.mark.parametrize(
    "form",
    [
        lambda image, path: image,
        lambda image, path: str(path),
        lambda image, path: path,
        lambda image, path: path.read_bytes(),
        lambda image, path: bytearray(path.read_bytes()),
        lambda image, path: memoryview(path.read_bytes()),
        lambda image, path: {"bytes": path.read_bytes(), "path": None},
        lambda image, path: {"bytes": path.read_bytes(), "path": "gone.png"},
        lambda image, path: {"bytes": None, "path": str(path)},
        lambda image, path: {"path": path},
        lambda image, path: np.asarray(image),
        lambda image, path: np.asarray(image).transpose(2, 0, 1),
        lambda image, path: torch.tensor(np.asarray(image)),
        lambda image, path: torch.tensor(np.asarray(image)).permute(2, 0, 1),
        lambda image, path: np.asarray(image).astype(np.int64),
        lambda image, path: np.asarray(image).astype(np.float32),
        lambda image, path: np.asarray(image) / 255,
        lambda image, path: (np.asarray(image) / 255).astype(np.float32).transpose(2, 0, 1),
        lambda image, path: torch.tensor(np.asarray(image) / 255, dtype=torch.float64),
        lambda image, path: torch.tensor(np.asarray(image) / 255, requires_grad=True),
        lambda image, path: np.asarray(image).astype(np.uint16) * 257,
        lambda image, path: np.asarray(image).astype(np.int32) * 257,
    ],
)
def test_every_form_of_a_picture_gives_the_same_pixels(pixels, tmp_path, form):
    image, path = Image.fromarray(pixels), tmp_path / "image.png"
    image.save(path)
    assert np.array_equal(opened(form(image, path)), pixels)


def test_a_small_file_of_a_huge_picture_is_refused_before_it_is_decoded():
    content = make_png_header(30_000, 30_000)
    assert len(content) < 200
    with pytest.raises(ValueError, match=r"must be small enough to decode, .*900000000 pixels"):
        open_image(content)


def make_png_header(width, height):
    """A PNG that says how large it is and holds hardly anything."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_a_large_exif_block_is_read_over():
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000  # the description
    exif[0x0112] = 6  # to be turned
    out = io.BytesIO()
    Image.new("RGB", (8, 4)).save(out, "JPEG", exif=exif)
    assert open_image(out.getvalue()).size == (4, 8)


def test_a_text_bomb_in_a_png_is_refused():
    content = make_png_header(4, 4)
    data = b"k\x00\x00" + zlib.compress(bytes(2**26))
    bomb = struct.pack(">I", len(data)) + b"zTXt" + data
    bomb += struct.pack(">I", zlib.crc32(b"zTXt" + data))
    with pytest.raises(ValueError, match="an image must be a whole picture file"):
        open_image(content[:33] + bomb + content[33:])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (1, 5, 7)])
def test_grey_arrays_are_grey_pictures(pixels, shape):
    grey = pixels[..., 0]
    assert np.array_equal(opened(grey.reshape(shape)), np.stack([grey] * 3, axis=-1))


def test_a_boolean_array_is_black_and_white():
    assert opened(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


def test_a_dark_float_picture_stays_dark():
    assert opened(np.full((2, 2, 3), 0.2)).max() == 51
    assert opened(np.zeros((2, 2, 3), dtype=np.float32)).max() == 0


def test_alpha_of_arrays_and_files_shows_white_behind():
    layers = np.zeros((1, 5, 4), dtype=np.uint8)
    layers[0, :, 0], layers[0, :, 3] = 255, [255, 0, 51, 0, 255]
    expected = [[255, shade, shade] for shade in (0, 255, 204, 255, 0)]
    assert opened(layers)[0].tolist() == expected
    assert opened(layers.transpose(2, 0, 1))[0].tolist() == expected
    assert opened(encode(Image.fromarray(layers)))[0].tolist() == expected


def test_a_url_is_fetched_once_and_opened_like_a_file(pixels):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            content = files.get(self.path)
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(content or b"<html>gone</html>")

        def log_message(self, *_):
            pass

    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    files = {"/image": encode(Image.fromarray(pixels)), "/clear": encode(clear), "/text": b"hello"}
    paths = []
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            assert np.array_equal(opened(f"{url}/image"), pixels)
            assert opened(f"{url}/clear").min() == 255
            with pytest.raises(OSError, match=f"image URL must answer, got {url}/gone: .*404"):
                open_image(f"{url}/gone")
            with pytest.raises(ValueError, match=f"must be a whole picture file .* got {url}/text"):
                open_image(f"{url}/text")
        finally:
            server.shutdown()
            thread.join()
    assert paths == ["/image", "/clear", "/gone", "/text"]


def test_a_url_that_nobody_answers_is_named():
    with pytest.raises(OSError, match=r"an image URL must answer, got http://127.0.0.1:1/x.png"):
        open_image("http://127.0.0.1:1/x.png")


# Kinds of files


def test_a_cmyk_file_has_its_colours():
    red = opened(encode(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG"))
    assert red[8, 8, 0] > 200
    assert red[8, 8, 1:].max() < 40


def test_a_palette_file_has_its_colours_and_white_where_it_is_transparent():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    image.putdata([0, 1, 2])
    assert opened(encode(image))[0].tolist() == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]
    clear = opened(encode(image, transparency=1))
    assert clear[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 255, 0]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("values", [[0, 257, 32896, 65535], [0, 100, 200, 255]])
def test_a_16_bit_grey_file_is_scaled_whatever_its_largest_value(kind, values):
    image = Image.fromarray(np.array([values], dtype=np.uint16))
    grey = opened(encode(image, kind))[0, :, 0]
    assert grey.tolist() == [round(value / 257) for value in values]


def test_a_one_bit_and_a_float_file_are_read():
    assert opened(encode(Image.new("1", (2, 2), 1))).min() == 255
    assert opened(encode(Image.fromarray(np.full((2, 2), 0.2, np.float32)), "TIFF")).max() == 51


def test_of_an_animation_the_first_frame_is_shown():
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 0, 255))]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert opened(content)[0, 0].tolist() == [*RED]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_puts_a_planted_corner_where_a_viewer_shows_it(orientation):
    stored = Image.new("RGB", (48, 32), WHITE)
    stored.paste((0, 0, 0), (0, 0, 16, 16))  # the stored first corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = opened(encode(stored, "JPEG", exif=exif, quality=100))
    # EXIF 2.3, tag 274: which edges of the picture the stored first row and column are.
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    assert shown.shape[:2] == ((32, 48) if orientation <= 4 else (48, 32))
    dark = np.argwhere(shown[..., 0] < 128)
    height, width = shown.shape[:2]
    assert dark.min(axis=0).tolist() == [height - 16 if bottom else 0, width - 16 if right else 0]
    assert len(dark) == 256


# Faults


def jpeg():
    return encode(Image.effect_noise((64, 64), 100), "JPEG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got 0 bytes"),
        (b"just text", "got 9 bytes: cannot identify image file"),
        (jpeg()[:2000], "got 2000 bytes: .*truncated"),
        (encode(Image.effect_noise((64, 64), 100))[:2000], "got 2000 bytes"),
    ],
)
def test_a_file_that_is_no_whole_picture_is_refused(content, message):
    with pytest.raises(ValueError, match=f"an image must be a whole picture file .*{message}"):
        open_image(content)


def test_a_text_file_named_jpg_is_refused_by_its_path(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("not a picture")
    with pytest.raises(ValueError, match=rf"an image must be a whole picture file .*{path}"):
        open_image(path)


def test_a_truncated_picture_that_pillow_opened_is_refused():
    with (
        Image.open(io.BytesIO(jpeg()[:2000])) as lazy,
        pytest.raises(ValueError, match=r"whole picture file .* got a PIL image: .*truncated"),
    ):
        open_image(lazy)


@pytest.mark.parametrize("path", ["missing.png", "", "."])
def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=f"an image file must exist, got {path}; check"):
        open_image(path)


def test_a_decompression_bomb_is_refused_and_a_large_picture_below_the_limit_read(monkeypatch):
    content = encode(Image.new("RGB", (50, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(
        ValueError, match=r"must be small enough to decode, got \d+ bytes: .*2500.*`PIL.Image.MAX_"
    ):
        open_image(content)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # Pillow only warns up to twice this
    assert opened(content).shape == (50, 50, 3)


@pytest.mark.parametrize("shape", [(7,), (5, 7, 2), (2, 5, 7), (1, 5, 7, 3), (0, 7, 3), (0,), ()])
def test_an_array_of_another_shape_is_refused(shape):
    message = r"an image array must be \(height, width\).* got shape \(.*; pass one image"
    with pytest.raises(ValueError, match=message):
        open_image(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 2), np.nan), r"got float64 in \[nan, nan\]; rescale it"),
        (np.full((2, 2), np.inf), r"got float64 in \[inf, inf\]"),
        (np.full((2, 2), -1), r"got int64 in \[-1, -1\]"),
        (np.full((2, 2), -0.5), r"got float64 in \[-0.5, -0.5\]"),
        (np.full((2, 2), 256.0), r"got float64 in \[256.0, 256.0\]"),
        (np.full((2, 2), 65536), r"got int64 in \[65536, 65536\]"),
    ],
)
def test_an_array_of_values_of_no_picture_is_refused(array, message):
    with pytest.raises(ValueError, match=f"must hold finite numbers in .*{message}"):
        open_image(array)


@pytest.mark.parametrize("source", [None, 3, 1.5, ["a.png"], {"image": "a.png"}, {"bytes": None}])
def test_something_else_is_refused(source):
    with pytest.raises(TypeError, match=r"an image must be a PIL image, .*got \w+; "):
        open_image(source)


# Sources and formats


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
