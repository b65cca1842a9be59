"""Attention rollout by hand, on an encoder, and where it cannot be."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.explain.attention_rollout import roll_out, roll_out_tokens
from hf_anchornet.explain.text_subject import TextSubject


@pytest.fixture
def encoder(classifier_folder):
    return TextSubject.load(classifier_folder)


def test_two_layers_multiply():
    first = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])  # two heads
    second = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    # Mean of heads [[.5, .5], [.5, .5]], with the residual [[.75, .25], [.25, .75]]; then
    # [[.5, .5], [.5, .5]] times that.
    expected = torch.full((2, 2), 0.5, dtype=torch.float64)
    assert_close(roll_out([first, second]), expected)
    one = torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64)
    assert_close(roll_out([first]), one)


def test_rows_sum_to_1():
    layers = torch.rand(4, 3, 6, 6).softmax(dim=-1)
    assert_close(roll_out(list(layers)).sum(dim=1), torch.ones(6, dtype=torch.float64))


def test_tokens_have_the_row_of_the_classifying_one(encoder):
    read = encoder.read("a good film")
    attention = encoder.model.set_attn_implementation("eager") or encoder.model(
        read.ids, output_attentions=True
    )
    by_hand = 0.5 * attention.attentions[0][0].mean(dim=0)[0].detach()
    by_hand[0] += 0.5
    shares = roll_out_tokens(encoder, read)
    assert np.abs(shares - by_hand.numpy()).max() < 1e-6
    assert shares.sum() == pytest.approx(1)


def test_the_model_attends_as_before_afterwards(encoder):
    assert encoder.model.config._attn_implementation == "sdpa"
    roll_out_tokens(encoder, encoder.read("a good film"))
    assert encoder.model.config._attn_implementation == "sdpa"


def test_an_anchornet_has_no_attention(planted, tokenizer):
    subject = TextSubject(planted, tokenizer)
    with pytest.raises(ValueError, match=r'classifying token.*type "anchornet_text"'):
        roll_out_tokens(subject, subject.read("good"))


def test_a_text_that_begins_otherwise_is_refused(encoder):
    encoder.tokenizer.cls_token = "good"
    with pytest.raises(ValueError, match=r'`subject` must be an encoder.*type "bert"'):
        roll_out_tokens(encoder, encoder.read("a film"))


def test_a_model_that_shows_no_attention_is_refused(encoder, monkeypatch):
    class Output:
        attentions = None

    monkeypatch.setattr(type(encoder.model), "forward", lambda self, **kwargs: Output())
    with pytest.raises(ValueError, match="must return its attention"):
        roll_out_tokens(encoder, encoder.read("a film"))
