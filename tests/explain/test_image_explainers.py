"""Explainers of images: each finds the planted square, and all keep the rules of the interface."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from hf_anchornet.explain.image_explainers import IMAGE_EXPLAINERS, explain_image
from hf_anchornet.explain.image_subject import ImageSubject

QUICK = {
    "evidence": {},
    "integrated_gradients": {},
    "occlusion": {"num_cells": 4},
    "lime": {"num_cells": 4, "num_samples": 100},
    "shapley": {"num_cells": 4, "num_permutations": 2},
    "grad_cam": {},
    "patch_shapley": {"max_parts": 1},
    "random": {"num_cells": 4},
}
SEEDED = ["lime", "shapley", "random"]


def picture(width=32, height=32, colour=(255, 0, 0)):
    """Grey, with a coloured quarter of a quarter: third row of four, second column of four."""
    image = Image.new("RGB", (width, height), (128, 128, 128))
    box = (width // 4, height // 2, width // 2, 3 * height // 4)
    image.paste(colour, box)
    return image


@pytest.fixture
def anchornet(planted_image_model, image_processor):
    """Red is warm (number 1), blue is cold, and nothing else counts."""
    return ImageSubject(planted_image_model, image_processor)


@pytest.fixture
def transformer(image_classifier_folder, anchornet):
    subject = ImageSubject.load(image_classifier_folder)
    subject.proposer = anchornet.localizer
    return subject


def explain(subject, method, image=None, label=1, **options):
    return explain_image(subject, image or picture(), label, method, **QUICK[method], **options)


def find_best(scores):
    """Row and column of the highest of 4 x 4 cells."""
    rows, columns = scores.shape
    cells = scores.reshape(4, rows // 4, 4, columns // 4).sum(axis=(1, 3))
    return np.unravel_index(cells.argmax(), (4, 4))


def test_each_explainer_of_single_models_has_a_quick_setting_here():
    assert {*QUICK, "answer"} == set(IMAGE_EXPLAINERS)


@pytest.mark.parametrize("method", [name for name in QUICK if name != "random"])
@pytest.mark.parametrize("size", [(32, 32), (32, 64), (96, 64)])
def test_the_planted_square_speaks_most_for_its_label(anchornet, method, size):
    assert find_best(explain(anchornet, method, picture(*size))) == (2, 1)


@pytest.mark.parametrize("method", ["evidence", "occlusion", "lime", "shapley"])
def test_the_planted_square_of_the_other_colour_speaks_against(anchornet, method):
    scores = explain(anchornet, method, picture(colour=(0, 0, 255)))
    assert find_best(-scores) == (2, 1)


def test_evidence_is_the_attribution_of_the_localizer(image_model, image_processor):
    subject = ImageSubject(image_model, image_processor)
    localized = subject.localizer.read([picture()])
    for label in (0, 1):
        scores = explain(subject, "evidence", label=label)
        expected = localized.evidence.attribute(localized.predicted * 0 + label)[0]
        assert_allclose(scores, expected)


def test_pixels_add_up_to_the_logit_less_that_of_the_mean_colour(transformer):
    pixels = transformer.pixel_values(picture())
    mean = pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)
    gain = (transformer.compute_logits(pixels) - transformer.compute_logits(mean))[0, 1]
    total = explain(transformer, "integrated_gradients").sum()
    assert total == pytest.approx(gain.item(), rel=1e-2)


def test_shapley_values_add_up_to_what_the_image_adds_to_its_mean_colour(transformer):
    pixels = transformer.pixel_values(picture())
    mean = pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)
    gain = (transformer.predict_pixels(pixels) - transformer.predict_pixels(mean))[0, 1]
    assert explain(transformer, "shapley").sum() == pytest.approx(gain, abs=1e-5)


def test_occlusion_hides_a_cell_under_the_mean_colour(transformer):
    pixels = transformer.pixel_values(picture())
    hidden = pixels.clone()
    hidden[:, :, 8:12, 4:8] = pixels.mean(dim=(2, 3))[:, :, None, None]
    loss = (transformer.predict_pixels(pixels) - transformer.predict_pixels(hidden))[0, 1]
    assert explain(transformer, "occlusion")[2, 1] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("method", [name for name in QUICK if name != "evidence"])
def test_maps_of_other_models_are_finite_float64(transformer, method):
    scores = explain(transformer, method)
    assert scores.dtype == np.float64
    assert scores.ndim == 2
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("method", QUICK)
def test_the_same_call_gives_the_same_answer(anchornet, method):
    assert (explain(anchornet, method) == explain(anchornet, method)).all()


@pytest.mark.parametrize("method", SEEDED)
def test_another_seed_gives_another_answer(transformer, method):
    assert (explain(transformer, method) != explain(transformer, method, seed=1)).any()


@pytest.mark.parametrize("method", ["occlusion", "lime", "shapley", "integrated_gradients"])
def test_how_many_images_are_read_together_changes_nothing(transformer, method):
    few = explain(transformer, method, batch_size=3)
    assert_allclose(few, explain(transformer, method, batch_size=200), atol=1e-5)


def test_random_scores_differ_by_label_and_image(anchornet):
    scores = explain(anchornet, "random")
    assert (scores != explain(anchornet, "random", label=0)).all()
    assert (scores != explain(anchornet, "random", picture(colour=(1, 2, 3)))).all()


def test_a_layer_may_be_given_to_grad_cam(anchornet):
    layer = anchornet.model.anchornet.branches[-1]
    assert explain(anchornet, "grad_cam", layer=layer).shape == (7, 7)


def test_an_image_may_be_a_file(anchornet, tmp_path):
    picture().save(tmp_path / "image.png")
    scores = explain_image(anchornet, tmp_path / "image.png", 1)
    assert (scores == explain(anchornet, "evidence")).all()


def test_evidence_is_refused_for_other_models(transformer):
    with pytest.raises(ValueError, match='must be an AnchorNet for "evidence"'):
        explain(transformer, "evidence")


def test_an_unknown_explainer_is_named_with_those_that_are_known(anchornet):
    with pytest.raises(ValueError, match=r"`method` must be one of evidence, .*got 'cam'"):
        explain_image(anchornet, picture(), 1, "cam")


def test_a_label_that_is_none_is_refused(anchornet):
    with pytest.raises(ValueError, match="`label` must be the number of a label, 0 to 1"):
        explain_image(anchornet, picture(), 2)


def test_an_option_below_1_is_refused(anchornet):
    with pytest.raises(ValueError, match="`num_cells` must be a whole number of at least 1"):
        explain_image(anchornet, picture(), 1, "occlusion", num_cells=0)


def test_what_is_no_picture_is_refused(anchornet):
    with pytest.raises(TypeError, match="an image must be a PIL image"):
        explain_image(anchornet, 5, 1)
