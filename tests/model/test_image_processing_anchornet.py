"""Pictures of any kind and any fault, the model's input made of them, boxes back to them."""

import http.server
import io
import json
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor, ViTImageProcessorPil
from transformers.image_utils import SizeDict

from hf_anchornet import AnchorNetForImageClassification, AnchorNetImageProcessor
from hf_anchornet.model.image_processing_anchornet import open_image, restore_boxes

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


def test_a_line_of_pixels_is_opened_and_too_long_for_the_model(image_processor):
    line = open_image(encode(Image.new("RGB", (100_000, 1))))
    assert line.size == (100_000, 1)
    with pytest.raises(ValueError, match="image 0 must have at most"):
        image_processor(line)


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


# The model's input


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 32), (32, 64)), ((100, 50), (32, 64)), ((20, 33), (52, 32)), ((1, 1), (32, 32)),
     ((1, 50), (1600, 32)), ((32, 32), (32, 32)), ((3000, 40), (32, 2400))],
)  # fmt: skip
def test_the_shorter_side_is_resized_and_the_aspect_ratio_kept(image_processor, size, expected):
    batch = image_processor(Image.new("RGB", size), return_tensors="pt")
    assert batch["pixel_values"].shape == (1, 3, *expected)
    assert batch["pixel_mask"].shape == (1, *expected)
    assert batch["pixel_values"].dtype == torch.float32


def test_values_are_rescaled_and_normalised(pixels):
    processor = AnchorNetImageProcessor(do_resize=False, image_mean=[0.5, 0.25, 0.0])
    batch = processor(pixels, return_tensors="np")
    expected = (pixels / 255 - [0.5, 0.25, 0.0]) / processor.image_std
    assert np.allclose(batch["pixel_values"][0], np.moveaxis(expected, -1, 0), atol=1e-6)


def test_smaller_images_are_padded_at_the_far_end_and_masked(image_processor, pixels):
    images = [Image.new("RGB", (32, 40), WHITE), Image.new("RGB", (48, 32), WHITE)]
    batch = image_processor(images, return_tensors="pt")
    for row, (width, height) in enumerate([(32, 40), (48, 32)]):
        mask = batch["pixel_mask"][row]
        assert mask[:height, :width].all()
        assert mask.sum() == height * width
        assert (batch["pixel_values"][row, :, :height, :width] == 1).all()
        assert not batch["pixel_values"][row].sum(dim=0)[mask == 0].any()


def test_a_batch_is_prepared_as_one_by_one(image_processor):
    sizes = [(40, 60), (33, 20), (64, 64)]
    images = [Image.effect_noise(size, 80).convert("RGB") for size in sizes]
    together = image_processor(images, return_tensors="pt")
    for row, image in enumerate(images):
        alone = image_processor(image, return_tensors="pt")
        height, width = alone["pixel_mask"].shape[1:]
        own = together["pixel_values"][row, :, :height, :width]
        assert torch.equal(own, alone["pixel_values"][0])


def test_the_processor_takes_every_form_that_open_image_takes(image_processor, pixels, tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    expected = image_processor(pixels, return_tensors="pt")["pixel_values"]
    struct = {"bytes": path.read_bytes(), "path": None}
    for form in (str(path), path, path.read_bytes(), struct, pixels[None], [pixels], (path,)):
        assert torch.equal(image_processor(form, return_tensors="pt")["pixel_values"], expected)
    grey = image_processor(pixels[..., 0], return_tensors="pt")["pixel_values"]
    assert grey.shape == expected.shape


def test_a_16_bit_file_given_by_path_is_not_clipped(image_processor, tmp_path):
    Image.fromarray(np.full((32, 32), 32896, dtype=np.uint16)).save(tmp_path / "deep.png")
    batch = image_processor(str(tmp_path / "deep.png"), return_tensors="pt")
    assert batch["pixel_values"].unique().tolist() == pytest.approx([128 / 255])


def test_a_bad_picture_among_good_ones_is_named_by_its_place(image_processor, pixels):
    with pytest.raises(ValueError, match=r"image 1: an image must be a whole picture file"):
        image_processor([pixels, b"no picture", pixels])


@pytest.mark.parametrize(("width", "height"), [(30_000, 1), (1, 30_000)])
def test_a_picture_too_large_for_the_model_is_refused_before_it_is_enlarged(width, height):
    message = rf"image 1 must have at most 16,777,216 pixels .* got {width} x {height} px"
    with pytest.raises(ValueError, match=message):
        AnchorNetImageProcessor()([Image.new("RGB", (9, 9)), Image.new("RGB", (width, height))])


def test_a_long_image_is_refused_as_what_it_would_cost(image_processor):
    """One of 77 bytes can be enlarged to a strip that takes gigabytes to rank windows on."""
    strip = Image.new("RGB", (1000, 1))
    message = r"image 0 must have a longer side of at most 16,384 pixels .* got 1000 x 1 px"
    with pytest.raises(ValueError, match=rf"{message}.*; crop it or lower `size`\.$"):
        image_processor(strip)
    message = r"got 100 x 20000 px.*; crop it or read it with `full_resolution=True`\.$"
    with pytest.raises(ValueError, match=message):
        image_processor(Image.new("RGB", (100, 20_000)), size={"shortest_edge": 100})


def test_the_limit_of_pixels_may_be_raised_and_lowered(image_processor):
    image = Image.new("RGB", (40, 20_000))
    assert image_processor(image)["pixel_values"][0].shape == (3, 16_000, 32)
    with pytest.raises(ValueError, match=r"at most 1,000 pixels .* raise `max_pixels`"):
        image_processor(image, max_pixels=1000)


def test_a_centre_crop_is_refused_because_boxes_would_be_wrong(image_processor, pixels):
    with pytest.raises(
        ValueError, match=r"`do_center_crop` must be left out, got True: boxes are in the whole"
    ):
        image_processor(pixels, do_center_crop=True, crop_size={"height": 8, "width": 8})


# Options of stock processors


@pytest.fixture(params=[(20, 30), (45, 30)])
def floats(request):
    """A random picture, (height, width, 3), float32 in [0, 1], in steps of 1 / 255."""
    values = np.random.default_rng(0).integers(0, 256, (*request.param, 3))
    return (values / 255).astype(np.float32)


def as_by_vit(image, **options):
    """`pixel_values` of transformers' own processor for the same size, mean and deviation."""
    height, width = image.shape[:2]
    size = {"height": height * 32 // min(height, width), "width": width * 32 // min(height, width)}
    processor = ViTImageProcessorPil(
        size=size, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    return processor(image, return_tensors="np", **options)["pixel_values"]


@pytest.mark.parametrize("do_resize", [False, True])
@pytest.mark.parametrize("do_normalize", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
def test_values_that_need_no_rescaling_are_what_transformers_own_processor_makes_of_them(
    floats, do_resize, do_normalize, first, make
):
    options = {"do_rescale": False, "do_resize": do_resize, "do_normalize": do_normalize}
    image = make(floats.transpose(2, 0, 1) if first else floats)
    processor = AnchorNetImageProcessor(size={"shortest_edge": 32})
    found = processor(image, return_tensors="np", **options)["pixel_values"]
    assert found.max() < 3
    np.testing.assert_allclose(found, as_by_vit(floats, **options), atol=1e-6)


def test_bytes_that_are_not_rescaled_are_what_transformers_own_processor_makes_of_them(floats):
    image = (floats * 255).round().astype(np.uint8)
    processor = AnchorNetImageProcessor(size={"shortest_edge": 32})
    for form in (image, Image.fromarray(image)):
        found = processor(form, return_tensors="np", do_rescale=False)["pixel_values"]
        np.testing.assert_allclose(found, as_by_vit(image, do_rescale=False), rtol=1e-5)


def test_values_that_are_normalised_already_are_kept(floats):
    options = {"do_resize": False, "do_rescale": False, "do_normalize": False}
    found = AnchorNetImageProcessor(**options)(floats * 4 - 2, return_tensors="pt")
    np.testing.assert_array_equal(found["pixel_values"][0], (floats * 4 - 2).transpose(2, 0, 1))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_their_place(image_processor, floats, value):
    floats[3, 3, 0] = value
    with pytest.raises(ValueError, match=r"image 1: an image array with .* must hold finite"):
        image_processor([np.zeros_like(floats), floats], do_rescale=False)


@pytest.mark.parametrize("do_rescale", [False, True])
def test_the_input_data_format_says_where_the_channels_are(image_processor, do_rescale):
    image = np.random.default_rng(0).random((3, 40, 3))  # ambiguous
    last, first = (
        image_processor(image, input_data_format=layout, do_rescale=do_rescale)["pixel_values"][0]
        for layout in ("channels_last", "channels_first")
    )
    assert last.shape == (3, 32, 32 * 40 // 3)
    assert first.shape == (3, 32 * 40 // 3, 32)
    guessed = image_processor(image, do_rescale=do_rescale)["pixel_values"][0]
    np.testing.assert_array_equal(guessed, last)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("channels_first", r"image 0: `input_data_format` must fit .* shape \(20, 30, 3\)"),
        ("channels", '`input_data_format` must be "channels_first" or "channels_last", got'),
    ],
)
def test_an_input_data_format_that_does_not_fit_is_refused(image_processor, layout, message):
    with pytest.raises(ValueError, match=message):
        image_processor(np.zeros((20, 30, 3)), input_data_format=layout)


def test_without_padding_images_of_one_size_are_stacked_and_others_listed(image_processor):
    small, large = Image.new("RGB", (40, 32)), Image.new("RGB", (50, 32))
    same = image_processor([small, small], do_pad=False, return_tensors="pt")
    assert same["pixel_values"].shape == (2, 3, 32, 40)
    assert same["pixel_mask"].all()
    listed = image_processor([small, large], do_pad=False)
    assert [pixels.shape for pixels in listed["pixel_values"]] == [(3, 32, 40), (3, 32, 50)]
    assert [mask.shape for mask in listed["pixel_mask"]] == [(32, 40), (32, 50)]
    with pytest.raises(ValueError, match=r"`do_pad` must be True .* \(32, 40\) and \(32, 50\)"):
        image_processor([small, large], do_pad=False, return_tensors="pt")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"do_convert_rgb": False}, "`do_convert_rgb` must be left out, got False: pictures are"),
        ({"pad_size": {"height": 99, "width": 99}}, "`pad_size` must be left out, got .*99"),
        ({"data_format": "channels_last"}, "`data_format` must be left out, got 'channels_last'"),
        ({"num_channels": 2}, "`num_channels` must be 1 .* or 3 .*, got 2"),
        ({"image_mean": [0.5]}, "`image_mean` must have one number for each .* 3, got"),
        ({"image_std": [0.5] * 4}, "`image_std` must have one number for each .* 3, got"),
        ({"no_such_option": 1}, "no_such_option"),
        ({"return_tensors": "tf"}, "tf is not a valid"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(image_processor, pixels, option, message):
    with pytest.raises((ValueError, TypeError), match=message):
        image_processor(pixels, **option)


@pytest.mark.parametrize("size", [{"height": 9000, "width": 9000}, {"height": 9, "width": 20_000}])
def test_a_size_that_is_too_large_for_the_model_is_refused(image_processor, pixels, size):
    with pytest.raises(ValueError, match=r"image 0 must have .* got 7 x 5 px, resized to"):
        image_processor(pixels, size=size)


# Models of one channel


@pytest.fixture
def grey_processor():
    return AnchorNetImageProcessor(num_channels=1, size={"shortest_edge": 32})


def test_a_model_of_one_channel_gets_grey_pictures(image_config, grey_processor, pixels, tmp_path):
    grey_processor.save_pretrained(tmp_path)
    image_config.num_channels = 1
    model = AnchorNetForImageClassification(image_config).eval()
    for processor in (grey_processor, AutoImageProcessor.from_pretrained(tmp_path)):
        inputs = processor([pixels, Image.fromarray(pixels).convert("L")], return_tensors="pt")
        assert inputs["pixel_values"].shape == (2, 1, 32, 44)
        torch.testing.assert_close(*inputs["pixel_values"], rtol=0, atol=0)
        assert model(**inputs).logits.shape == (2, 2)


def test_grey_is_what_pillow_calls_grey(pixels):
    processor = AnchorNetImageProcessor(num_channels=1, do_resize=False, do_normalize=False)
    grey = np.asarray(Image.fromarray(pixels).convert("L")) / 255
    np.testing.assert_allclose(processor(pixels)["pixel_values"][0][0], grey, atol=1e-6)
    own = processor(pixels / 255, do_rescale=False)["pixel_values"][0][0]
    np.testing.assert_allclose(own, grey, atol=1 / 255)


def test_grey_values_are_normalised_around_the_mean_grey_unless_others_are_given(pixels):
    black = np.zeros((32, 32), np.uint8)
    value = AnchorNetImageProcessor(num_channels=1)(black)["pixel_values"][0]
    np.testing.assert_allclose(value, -0.449 / 0.226, rtol=1e-5)
    own = AnchorNetImageProcessor(num_channels=1, image_mean=[0.5], image_std=0.25)
    np.testing.assert_allclose(own(black)["pixel_values"][0], -2.0, rtol=1e-5)


def test_grey_arrays_feed_models_of_three_channels_also_without_rescaling(image_processor):
    grey = np.random.default_rng(0).random((32, 40)).astype(np.float32)
    (found,) = image_processor(grey, do_rescale=False, do_resize=False)["pixel_values"]
    np.testing.assert_allclose(found, np.stack([grey] * 3), rtol=1e-6)


# Saving; boxes of the original


def test_a_saved_processor_loads_by_its_auto_class(image_processor, image_config, tmp_path):
    image_processor.max_pixels = 12345
    image_processor.save_pretrained(tmp_path)
    image_config.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is AnchorNetImageProcessor
    assert loaded.to_dict() == image_processor.to_dict()
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["max_pixels"] == 12345


# Boxes back to the original


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_restored_boxes_lie_in_the_original_and_cover_the_models_to_one_pixel(data):
    side = st.integers(1, 4000)
    model_height, model_width, width, height = (data.draw(side) for _ in range(4))
    x0 = data.draw(st.integers(0, model_width - 1))
    y0 = data.draw(st.integers(0, model_height - 1))
    x1 = data.draw(st.integers(x0 + 1, model_width))
    y1 = data.draw(st.integers(y0 + 1, model_height))
    boxes = np.array([[x0, y0, x1, y1]])
    ((left, top, right, bottom),) = restore_boxes(
        boxes, (model_height, model_width), (width, height)
    )
    for low, high, first, last, model_side, whole in [
        (left, right, x0, x1, model_width, width),
        (top, bottom, y0, y1, model_height, height),
    ]:
        # in whole numbers: low <= first * whole / model_side < low + 1, and so at the far end
        assert 0 <= low < high <= whole
        assert low * model_side <= first * whole < (low + 1) * model_side
        assert (high - 1) * model_side < last * whole <= high * model_side


def test_boxes_of_an_image_that_was_not_resized_are_unchanged():
    boxes = np.array([[0, 0, 8, 8], [3, 1, 11, 9]])
    assert restore_boxes(boxes, (9, 11), (11, 9)) == [(0, 0, 8, 8), (3, 1, 11, 9)]
    assert restore_boxes(boxes[:0], (9, 11), (11, 9)) == []


def resize_twice(image_processor, shape, resample):
    """Noise as our processor and as its base class resize it, as integers."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels.flags.writeable = False  # as those of Pillow's pictures are
    size = SizeDict(shortest_edge=24)
    base = super(AnchorNetImageProcessor, image_processor)
    resized = [each.resize(pixels, size, resample) for each in (image_processor, base)]
    assert resized[0].dtype == np.uint8
    return [each.astype(int) for each in resized]


@pytest.mark.parametrize("shape", [(3, 60, 45), (3, 20, 90), (3, 33, 33), (1, 200, 90)])
@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_pictures_are_resized_to_the_pixels_of_the_base_class_up_to_one(
    image_processor, shape, resample
):
    found, expected = resize_twice(image_processor, shape, resample)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.05


@pytest.mark.parametrize("resample", [Image.Resampling.LANCZOS, Image.Resampling.BOX])
def test_resampling_that_torch_lacks_is_that_of_the_base_class(image_processor, resample):
    found, expected = resize_twice(image_processor, (3, 60, 45), resample)
    np.testing.assert_array_equal(found, expected)
