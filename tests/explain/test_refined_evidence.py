"""Evidence shared out within its windows: exact sums, and the word that matters."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.explain.refined_evidence import refine_evidence, share_windows
from hf_anchornet.model.geometry import Window
from hf_anchornet.model.text_localizer import TextLocalizer

TEXTS = [
    "the good film was not bad, the end",
    "good",
    "a bad",
    "",
    " \t",
    "the café was not bad. " * 9,
    "\U0001f44d good \u7535\u5f71",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("label", [0, 1])
def test_the_sum_over_words_is_that_of_the_evidence(model, tokenizer, text, label):
    localizer = TextLocalizer(model, tokenizer)
    (located,) = localizer.read([text]).locate()
    refined = refine_evidence(localizer, text, label)
    assert refined.shape == (len(located.words),)
    np.testing.assert_allclose(refined.sum(), located.attribution[:, label].sum(), atol=1e-5)


def test_a_window_is_shared_by_what_it_loses_without_each_token():
    # One window of three tokens with evidence 6, of which 0, 5 and 1 are lost.
    evidence = torch.tensor([[6.0], [6.0], [1.0], [5.0]], dtype=torch.float64)
    shares = share_windows(evidence, Window(3, 1), 3)
    assert_close(shares, torch.tensor([0.0, 5.0, 1.0], dtype=torch.float64))
    # What is lost neither with one nor the other is shared evenly.
    evidence = torch.tensor([[6.0], [6.0], [3.0], [6.0]], dtype=torch.float64)
    shares = share_windows(evidence, Window(3, 1), 3)
    assert_close(shares, torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64))


def test_a_window_over_the_end_is_shared_by_what_it_sees():
    evidence = torch.tensor([[4.0], [1.0], [3.0], [4.0]], dtype=torch.float64)
    shares = share_windows(evidence, Window(3, 1), 2)
    assert_close(shares, torch.tensor([3.0, 1.0], dtype=torch.float64))


def test_without_larger_windows_nothing_changes(planted, tokenizer):
    localizer = TextLocalizer(planted, tokenizer)
    (located,) = localizer.read([TEXTS[0]]).locate()
    refined = refine_evidence(localizer, TEXTS[0], 1)
    np.testing.assert_allclose(refined, located.attribution[:, 1], atol=1e-6)


def test_a_long_text_in_pieces_gives_the_same(model, tokenizer):
    localizer = TextLocalizer(model, tokenizer)
    whole = refine_evidence(localizer, TEXTS[5], 1)
    model.config.chunk_size = 16
    np.testing.assert_allclose(refine_evidence(localizer, TEXTS[5], 1), whole, atol=1e-6)
