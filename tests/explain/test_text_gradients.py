"""Integrated gradients of tokens: they add up, agree with captum's and with exact evidence."""

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from numpy.testing import assert_allclose

from hf_anchornet.explain.text_gradients import integrate_tokens
from hf_anchornet.explain.text_subject import TextSubject

TEXT = "a good film was not bad, the café was xyz."


@pytest.fixture
def anchornet(model, tokenizer):
    return TextSubject(model, tokenizer)


@pytest.fixture
def encoder(classifier_folder):
    subject = TextSubject.load(classifier_folder)
    with torch.no_grad():
        for weight in subject.model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return subject


def integrate(subject, text=TEXT, label=1, num_steps=50, batch_size=10):
    read = subject.read(text)
    return integrate_tokens(subject, read, label, num_steps=num_steps, batch_size=batch_size)


def gain(subject, text=TEXT, label=1):
    """The logit less that of the text whose tokens are all unknown, without n-grams."""
    ids = subject.read(text).ids
    blank = torch.full_like(ids, subject.tokenizer.unk_token_id)
    with torch.no_grad():
        logit = subject.model(ids).logits[0, label]
        tables = [table.weight.clone() for table in subject.model.ngrams.tables]
        for table in subject.model.ngrams.tables:
            table.weight.zero_()
        baseline = subject.model(blank).logits[0, label]
        for table, weight in zip(subject.model.ngrams.tables, tables, strict=True):
            table.weight.copy_(weight)
    return float(logit - baseline)


@pytest.mark.parametrize("text", [TEXT, "bad", "good film"])
@pytest.mark.parametrize("label", [0, 1])
def test_tokens_of_an_anchornet_add_up_to_its_logit_less_that_of_the_baseline(
    anchornet, text, label
):
    tokens = integrate(anchornet, text, label)
    assert tokens.shape == (anchornet.read(text).ids.shape[1],)
    assert tokens.sum() == pytest.approx(gain(anchornet, text, label), rel=1e-2)


def test_tokens_of_an_encoder_add_up_to_its_logit_less_that_of_the_baseline(encoder):
    read = encoder.read(TEXT)
    blank = read.ids.clone()
    blank[0, 1:-1] = encoder.tokenizer.pad_token_id
    with torch.no_grad():
        expected = (encoder.model(read.ids).logits - encoder.model(blank).logits)[0, 1]
    assert integrate(encoder).sum() == pytest.approx(float(expected), rel=1e-2)


def test_tokens_of_an_encoder_are_those_of_captum(encoder):
    read = encoder.read(TEXT)
    blank = read.ids.clone()
    blank[0, 1:-1] = encoder.tokenizer.pad_token_id
    captum = LayerIntegratedGradients(
        lambda ids: encoder.model(ids).logits, encoder.model.bert.embeddings.word_embeddings
    )
    expected = captum.attribute(read.ids, blank, target=1, n_steps=50).sum(dim=-1)[0]
    tokens = integrate(encoder)
    assert_allclose(tokens, expected.detach(), rtol=1e-4, atol=1e-5)
    assert tokens[0] == tokens[-1] == 0  # the special tokens stay as they are


def test_known_ngrams_alone_have_exactly_their_evidence(anchornet):
    """Linear in them: a single step would do; evidence of independent labels is not centred."""
    anchornet.model.config.problem_type = "multi_label_classification"
    with torch.no_grad():
        for head in anchornet.model.aggregation.heads:
            head.weight.zero_()
        anchornet.model.ngrams.tables[0].weight[0] = 0
        ids = anchornet.read(TEXT).ids[0]
        pairs = torch.stack([ids[:-1], ids[1:]], dim=1) + 1
        codes = pairs @ torch.tensor([anchornet.model.config.vocab_size + 1, 1])
        anchornet.model.ngrams.set_codes(2, torch.nn.functional.pad(codes, (0, 40 - len(codes))))
    (located,) = anchornet.localizer.read([TEXT]).locate()
    tokens = integrate(anchornet, num_steps=2)
    assert np.abs(tokens).max() > 1e-3
    assert_allclose(tokens, located.tokens[:, 1], atol=1e-6)


@pytest.mark.parametrize("name", ["anchornet", "encoder"])
def test_how_many_steps_are_taken_at_a_time_changes_nothing(request, name):
    subject = request.getfixturevalue(name)
    assert_allclose(
        integrate(subject, batch_size=1), integrate(subject, batch_size=64), rtol=1e-4, atol=1e-5
    )


def test_a_text_longer_than_a_piece_is_explained_and_pieces_stay_as_they_were(anchornet):
    whole = integrate(anchornet)
    anchornet.model.config.chunk_size = 4
    assert_allclose(integrate(anchornet), whole, rtol=1e-5, atol=1e-6)
    assert anchornet.model.config.chunk_size == 4


def test_the_model_is_left_as_it_was(anchornet):
    before = anchornet.predict([TEXT])
    integrate(anchornet)
    assert (anchornet.predict([TEXT]) == before).all()
    assert all(weight.grad is None for weight in anchornet.model.parameters())
