"""Patches drawn on their picture, the heat map, the table."""

import io

import numpy as np
import pytest
from PIL import Image

from hf_anchornet.views.base import HUES
from hf_anchornet.views.image_view import (
    LEAST_WIDTH_PX,
    RESIZED,
    PatchView,
    color_scale,
    draw_panels,
    render_patches,
    render_table,
)


def patch(box, share=0.31, scale=31, label="nut"):
    sides = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return {"box": sides, "label": label, "evidence": 1.42, "share": share, "scale": scale}


@pytest.fixture
def image():
    return Image.new("RGB", (500, 300), "white")


@pytest.fixture
def result():
    patches = [patch((100, 50, 200, 150)), patch((250, 100, 450, 290), -0.1, 95, "bolt")]
    return {"label": "nut", "score": 0.97, "patches": patches, "coverage": 0.2}


def test_each_box_is_drawn_in_the_colour_of_its_scale(image, result):
    drawn = render_patches(image, result)
    assert drawn.getpixel((199, 120)) == color_scale(31)
    assert drawn.getpixel((150, 149)) == color_scale(31)
    assert drawn.getpixel((449, 200)) == color_scale(95)
    assert drawn.getpixel((150, 120)) == drawn.getpixel((220, 20)) == (255, 255, 255)
    assert drawn.getpixel((10, 325 + 5)) == color_scale(31)  # the key below the picture


def test_the_share_is_written_at_the_corner(image, result):
    tag = np.asarray(render_patches(image, result))[50:66, 103:140]
    assert len(np.unique(tag.reshape(-1, 3), axis=0)) > 2


def test_a_small_picture_is_enlarged_with_its_boxes():
    result = {"label": "nut", "score": 1.0, "coverage": 1.0, "patches": [patch((8, 8, 24, 24))]}
    drawn = render_patches(Image.new("RGB", (48, 32), "white"), result)
    assert drawn.width == 480
    assert drawn.getpixel((239, 160)) == color_scale(31)


def test_a_large_picture_can_be_scaled_down_with_its_boxes():
    box = {"xmin": 100, "ymin": 200, "xmax": 500, "ymax": 600}
    patch = {"box": box, "label": "a", "evidence": 1.0, "share": 0.5, "scale": 9}
    result = {"label": "a", "score": 0.9, "patches": [patch], "coverage": 0.1}
    panel = draw_panels(Image.new("RGB", (1000, 800)), result, longest_px=500)["boxes"]
    assert panel.size == (500, 400)
    assert panel.getpixel((249, 299)) == color_scale(9)
    assert panel.getpixel((252, 302)) == (0, 0, 0)


def test_the_heat_map_is_drawn_beside_the_boxes(image, result):
    drawn = render_patches(image, result | {"maps": {"nut": [[0.0, 1.0], [0.0, 0.0]]}})
    assert drawn.width == 2 * 500 + 8
    assert drawn.getpixel((508 + 490, 5)) == (219, 118, 38)  # 0.85 of (213, 94, 0) on white


def test_a_scale_has_the_same_colour_whatever_other_scales_are_shown(image, result):
    alone = result | {"patches": result["patches"][1:]}
    for shown in (result, alone):
        assert render_patches(image, shown).getpixel((449, 200)) == color_scale(95)
    sizes = (31, 63, 95)
    assert len({color_scale(size) for size in sizes}) == len(sizes)
    assert {color_scale(size) for size in range(1, 20_000)} == {hue.rgb for hue in HUES}


def test_patches_are_shown_in_the_order_of_their_share(result):
    result["patches"] = [patch((0, 0, 9, 9), 0.1), patch((9, 9, 18, 18), 0.5), result["patches"][1]]
    shares = [line.split()[0] for line in render_table(result).splitlines()[2:5]]
    assert shares == ["+50.0%", "+10.0%", "-10.0%"]


def test_the_share_of_all_patches_together_is_told(image, result):
    result["shares"] = {"nut": 0.27}
    lines = render_table(result).splitlines()
    assert "carry 27.0% of the evidence, overlaps counted once." in " ".join(lines)
    assert max(map(len, lines)) <= 80
    one = result | {"patches": result["patches"][:1]}
    assert "Together" not in render_table(one)
    assert render_patches(image, result).height > render_patches(image, one).height


def test_the_key_says_what_the_colours_of_the_heat_map_mean(image, result):
    plain = render_patches(image, result)
    mapped = result | {"maps": {"nut": [[0.0, 1.0], [0.0, 0.0]]}}
    drawn = render_patches(image, mapped)
    assert drawn.height == plain.height + 2 * 23
    assert drawn.getpixel((10, 325 + 2 * 23 + 5)) == (213, 94, 0)
    assert drawn.getpixel((10, 325 + 3 * 23 + 5)) == (0, 114, 178)


def test_labels_of_equal_boxes_do_not_hide_each_other(image, result):
    boxes = [(100, 50, 300, 250)] * 4
    result["patches"] = [patch(box, 0.4 - index / 10) for index, box in enumerate(boxes)]
    drawn = draw_panels(image, result)["boxes"]
    corners = [(102, 52), (260, 52), (102, 232), (260, 232)]
    for x, y in corners:
        tag = np.asarray(drawn.crop((x, y, x + 38, y + 16))).reshape(-1, 3)
        assert len(np.unique(tag, axis=0)) > 2


def test_a_result_of_another_picture_is_refused(result):
    with pytest.raises(ValueError, match=r"`result` must belong to `image`, got a patch 0 at .*"):
        render_patches(Image.new("RGB", (120, 80)), result)


def test_a_picture_without_patches_is_drawn_with_its_answer(image):
    result = {"label": "nut", "score": 0.5, "patches": [], "coverage": 0.0}
    assert render_patches(image, result).size == (500, 323)
    assert render_table(result) == "nut (50.0%), shown by 0 patches, 0.0% of the image."


def test_the_table_names_only_labels_other_than_the_predicted_one(result):
    lines = render_table(result).splitlines()
    assert lines[0] == "nut (97.0%), shown by 2 patches, 20.0% of the image."
    assert lines[2] == " +31.0%    +1.420   31 px  (100, 50, 200, 150)"
    assert lines[3] == " -10.0%    +1.420   95 px  (250, 100, 450, 290)  bolt"


def test_a_picture_read_at_another_size_is_told_so(image, result):
    as_read, fitting = patch((0, 0, 31, 31)), patch((0, 0, 32, 31))
    result["patches"] = [as_read, fitting]
    assert RESIZED not in render_table(result)
    plain = render_patches(image, result)
    result["patches"] = [as_read, patch((0, 0, 62, 62))]
    assert render_table(result).splitlines()[-1] == RESIZED
    assert np.any(np.asarray(render_patches(image, result))[-23:] != np.asarray(plain)[-23:])


def test_a_view_shows_png_in_notebooks_and_saves_the_same(image, result, tmp_path):
    view = PatchView(image, result)
    view.save(tmp_path / "view.png")
    assert str(view) == render_table(result)
    shown = np.asarray(Image.open(io.BytesIO(view._repr_png_())))
    with Image.open(tmp_path / "view.png") as saved:
        assert np.array_equal(shown, np.asarray(saved))


def test_a_hostile_label_is_drawn_as_plain_text(image, result):
    result["label"] = "\x1b[2J<b>nut\n" * 30
    assert render_patches(image, result).width == 500
    assert "\x1b" not in render_table(result)


def test_boxes_of_several_labels_name_theirs(image, result):
    swapped = result | {"patches": [patch | {} for patch in result["patches"]]}
    first, second = swapped["patches"]
    first["label"], second["label"] = second["label"], first["label"]
    boxes = [draw_panels(image, one)["boxes"].tobytes() for one in (result, swapped)]
    assert boxes[0] != boxes[1]


def test_a_box_thinner_than_a_pixel_is_drawn():
    thin = {"label": "nut", "score": 1.0, "coverage": 0.1, "patches": [patch((0, 0, 8, 8))]}
    thin["explanation"] = {"label": "nut", "model": "localizer", "unit": "logit", "base": 0.0}
    thin["explanation"] |= {"parts": [{"box": thin["patches"][0]["box"], "value": 1.0}]}
    thin["explanation"] |= {"total": 1.0, "error": 0.0}
    panels = draw_panels(Image.new("RGB", (9000, 100)), thin, longest_px=640)
    assert {panel.size for panel in panels.values()} == {(640, 7)}


def test_a_large_picture_is_drawn_smaller_and_a_narrow_one_with_a_caption_beside(result):
    result = result | {"patches": []}
    assert render_patches(Image.new("RGB", (100, 4100)), result).height < 2500
    assert render_patches(Image.new("RGB", (3, 900)), result).width == LEAST_WIDTH_PX


@pytest.mark.parametrize(
    ("one", "other"), [("\u6b63\u9762", "\u8d1f\u9762"), (f"{'x' * 100}yes", f"{'x' * 100}no!")]
)
def test_captions_tell_labels_apart(image, one, other):
    answer = {"score": 1.0, "coverage": 0.0, "patches": []}
    drawn = [render_patches(image, answer | {"label": label}).tobytes() for label in (one, other)]
    assert drawn[0] != drawn[1]
