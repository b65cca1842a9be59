"""Accuracy and localization of a split: sums that a reader can check by hand."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_anchornet.evaluation.accuracy import evaluate_accuracy
from hf_anchornet.evaluation.localization import localize_texts
from hf_anchornet.model.text_localizer import TextLocalizer


class Echo(nn.Module):
    """A model that answers with the logits it is given and with its batch's size as loss."""

    def forward(self, logits, labels):
        return SequenceClassifierOutput(loss=torch.tensor(float(len(labels))), logits=logits)


def batch(logits, labels):
    return {"logits": torch.tensor(logits), "labels": torch.tensor(labels)}


def test_accuracy_and_loss_are_means_over_rows():
    loader = [batch([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]], [0, 1, 1]), batch([[0.0, 1.0]], [1])]
    scores = evaluate_accuracy(Echo(), loader, Accelerator(cpu=True))
    assert scores == {"accuracy": 3 / 4, "loss": (3 * 3 + 1) / 4}


def test_a_multi_label_row_is_right_if_each_label_is():
    loader = [batch([[2.0, -1.0], [2.0, 1.0], [-1.0, -2.0]], [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])]
    assert evaluate_accuracy(Echo(), loader, Accelerator(cpu=True))["accuracy"] == 2 / 3


def locate(model, tokenizer, texts, batch_size=32):
    """The located text and the logits of each text."""
    batches = localize_texts(TextLocalizer(model, tokenizer), texts, batch_size)
    return [
        each for batch in batches for each in zip(batch.locate(), batch.logits.numpy(), strict=True)
    ]


def test_a_text_is_located_the_same_alone_and_in_a_batch(model, tokenizer):
    texts = ["good film", "", "the café was not bad. " * 20, "bad"]
    together = locate(model, tokenizer, texts, batch_size=4)
    alone = locate(model, tokenizer, texts, batch_size=1)
    assert len(together) == len(alone) == 4
    for (one, logits), (other, other_logits) in zip(together, alone, strict=True):
        assert one.tokens.shape == other.tokens.shape
        np.testing.assert_allclose(one.tokens, other.tokens, atol=1e-6)
        np.testing.assert_allclose(logits, other_logits, atol=1e-5)


def test_token_attribution_adds_up_to_the_centred_logits(model, tokenizer):
    for located, logits in locate(model, tokenizer, ["good film, not bad", "the"]):
        total = logits - model.aggregation.bias.detach().numpy()
        np.testing.assert_allclose(located.tokens.sum(axis=0), total - total.mean(), atol=1e-5)
        np.testing.assert_allclose(located.attribution.sum(axis=0), located.tokens.sum(axis=0))


def test_a_multi_label_localizer_keeps_raw_attribution(model, tokenizer):
    model.config.problem_type = "multi_label_classification"
    ((located, logits),) = locate(model, tokenizer, ["good film, not bad"])
    total = logits - model.aggregation.bias.detach().numpy()
    np.testing.assert_allclose(located.tokens.sum(axis=0), total, atol=1e-5)


def test_texts_without_a_token_have_no_attribution(planted, tokenizer):
    found = locate(planted, tokenizer, ["", " \t"])
    assert [located.tokens.shape for located, _ in found] == [(0, 2), (0, 2)]


def test_a_text_that_is_no_string_is_named_with_its_row(model, tokenizer):
    with pytest.raises(TypeError, match="row 1 must be a string, got NoneType"):
        locate(model, tokenizer, ["good", None])


def test_a_model_whose_loss_is_no_number_has_no_accuracy():
    class Diverged(nn.Module):
        def forward(self, logits, labels):
            return SequenceClassifierOutput(loss=torch.tensor(float("nan")), logits=logits)

    with pytest.raises(FloatingPointError, match="the loss on the validation split became nan"):
        evaluate_accuracy(Diverged(), [batch([[1.0, 0.0]], [0])], Accelerator(cpu=True))
