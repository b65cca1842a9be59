"""The model's input made of pictures, boxes back to them. For opening, see test_image_files."""

import io
import json

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

WHITE = (255, 255, 255)


@pytest.fixture
def pixels():
    """A random colour picture, (height, width, 3), uint8."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def encode(image, kind="PNG", **options):
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


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


def test_a_line_of_pixels_is_opened_and_too_long_for_the_model(image_processor):
    line = open_image(encode(Image.new("RGB", (100_000, 1))))
    assert line.size == (100_000, 1)
    with pytest.raises(ValueError, match="image 0 must have at most"):
        image_processor(line)


def test_a_long_image_is_refused_as_what_it_would_cost(image_processor):
    """One of 77 bytes can be enlarged to a strip that takes gigabytes to rank windows on."""
    strip = Image.new("RGB", (1000, 1))
    message = r"image 0 must have a longer side of at most 16,384 pixels .* got 1000 x 1 px"
    with pytest.raises(
        ValueError, match=rf"{message}.*; crop it or lower the image processor's `size`\.$"
    ):
        image_processor(strip)
    message = r"got 100 x 20000 px.*; crop it or read it with `full_resolution=True`\.$"
    with pytest.raises(ValueError, match=message):
        image_processor(Image.new("RGB", (100, 20_000)), size={"shortest_edge": 100})


def test_the_limit_of_pixels_may_be_raised_and_lowered(image_processor):
    image = Image.new("RGB", (40, 20_000))
    assert image_processor(image)["pixel_values"][0].shape == (3, 16_000, 32)
    with pytest.raises(ValueError, match=r"at most 1,000 pixels .* raise its `max_pixels`"):
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
