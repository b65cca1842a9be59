"""Patches drawn on their picture, the heat map, the table."""

import io

import numpy as np
import pytest
from PIL import Image

from hf_anchornet.views.base import HUES
from hf_anchornet.views.image_view import (
    PatchView,
    draw_heat,
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
    assert drawn.getpixel((199, 120)) == HUES[0].rgb
    assert drawn.getpixel((150, 149)) == HUES[0].rgb
    assert drawn.getpixel((449, 200)) == HUES[1].rgb
    assert drawn.getpixel((150, 120)) == drawn.getpixel((220, 20)) == (255, 255, 255)
    assert drawn.getpixel((10, 325 + 5)) == HUES[0].rgb  # the key below the picture


def test_the_share_is_written_at_the_corner(image, result):
    tag = np.asarray(render_patches(image, result))[50:66, 103:140]
    assert len(np.unique(tag.reshape(-1, 3), axis=0)) > 2


def test_a_small_picture_is_enlarged_with_its_boxes():
    result = {"label": "nut", "score": 1.0, "coverage": 1.0, "patches": [patch((8, 8, 24, 24))]}
    drawn = render_patches(Image.new("RGB", (48, 32), "white"), result)
    assert drawn.width == 480
    assert drawn.getpixel((239, 160)) == HUES[0].rgb


def test_a_large_picture_can_be_scaled_down_with_its_boxes():
    box = {"xmin": 100, "ymin": 200, "xmax": 500, "ymax": 600}
    patch = {"box": box, "label": "a", "evidence": 1.0, "share": 0.5, "scale": 9}
    result = {"label": "a", "score": 0.9, "patches": [patch], "coverage": 0.1}
    (panel,) = draw_panels(Image.new("RGB", (1000, 800)), result, longest_px=500)
    assert panel.size == (500, 400)
    assert panel.getpixel((249, 299)) == HUES[0].rgb
    assert panel.getpixel((252, 302)) == (0, 0, 0)


def test_the_heat_map_is_drawn_beside_the_boxes(image, result):
    drawn = render_patches(image, result | {"maps": {"nut": [[0.0, 1.0], [0.0, 0.0]]}})
    assert drawn.width == 2 * 500 + 8
    assert drawn.getpixel((508 + 490, 5)) == (221, 126, 51)  # 0.8 of (213, 94, 0) on white


def test_evidence_for_and_against_have_different_colours(image):
    heat = draw_heat(image, [[1.0, -1.0]])
    red, _, blue = heat.getpixel((0, 0))
    assert red > blue
    red, _, blue = heat.getpixel((499, 0))
    assert red < blue


def test_a_map_without_evidence_leaves_the_picture_grey(image):
    assert draw_heat(image, [[0.0]]).getpixel((7, 7)) == (255, 255, 255)


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
