"""The size that a request counts as. For refusals, see test_app.py."""

import pytest

from hf_anchornet.serve.limits import ServingOptions
from hf_anchornet.serve.requests import measure_image


@pytest.mark.parametrize(
    ("size", "shorter_side", "counted"),
    [
        ((300, 200), 224, 4 * 336 * 336),  # the model's input is 336 x 224 px
        ((200, 300), 224, 4 * 336 * 336),  # portrait or landscape counts the same
        ((3000, 2000), 224, 6_000_000),  # the file has more
        ((20, 1), 224, 4 * 4480 * 4480),  # even if the file has few pixels
        ((3, 2), 5, 4 * 8 * 8),  # 7.5 px, rounded up
        ((300, 200), None, 4 * 300 * 300),  # the processor does not resize
    ],
)
def test_an_image_counts_as_its_pixels_or_the_square_that_the_model_pads_it_to(
    size, shorter_side, counted
):
    assert measure_image(*size, shorter_side, ServingOptions()) == counted
