"""What the fuzzing draws: different, of every format, whole and damaged."""

import io
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image

from hf_anchornet.model.image_processing_anchornet import open_image
from scripts.fuzz.inputs import (
    FORMATS,
    TEXTS_IN_CASE,
    damage,
    draw_picture,
    draw_texts,
    split_texts,
)


def draw(function, seed):
    return function(np.random.default_rng(seed))


def test_the_drawn_texts_and_pictures_differ():
    texts = {draw(draw_texts, seed) for seed in range(20)}
    assert len(texts) == 20
    assert all(len(split_texts(text)) >= TEXTS_IN_CASE for text in texts)
    assert len({draw(draw_picture, seed) for seed in range(20)}) == 20


def test_some_pictures_are_whole_and_some_are_not():
    def opens(content):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is damaged
            try:
                open_image(content)
            except ValueError:
                return False
            return True

    whole = sum(opens(draw(draw_picture, seed)) for seed in range(100))
    assert 20 < whole < 95


def test_every_format_is_drawn():
    found = set()
    for seed in range(200):
        with warnings.catch_warnings(), suppress(OSError, SyntaxError, ValueError):
            warnings.simplefilter("ignore")  # of what is damaged
            found.add(Image.open(io.BytesIO(draw(draw_picture, seed))).format)
    assert found >= set(FORMATS)


def test_damage_changes_bytes():
    content = bytes(range(200))
    assert sum(damage(content, np.random.default_rng(seed)) != content for seed in range(20)) > 15


def test_bytes_that_are_no_utf_8_become_lone_surrogates():
    assert split_texts(b"a\xffb") == ["a\udcffb"]
    assert split_texts(b"a\x1eb") == ["a", "b"]
