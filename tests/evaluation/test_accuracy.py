"""How good a localizer is: sums that a reader can check by hand."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_anchornet.evaluation.accuracy import evaluate_accuracy
from hf_anchornet.evaluation.localization import localize


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


def test_a_text_is_located_the_same_alone_and_in_a_batch(model, tokenizer):
    texts = ["good film", "", "the café was not bad. " * 20, "bad"]
    together = list(localize(model, tokenizer, texts, batch_size=4))
    alone = list(localize(model, tokenizer, texts, batch_size=1))
    assert len(together) == len(alone) == 4
    for one, other in zip(together, alone, strict=True):
        assert one.located.tokens.shape == other.located.tokens.shape
        np.testing.assert_allclose(one.located.tokens, other.located.tokens, atol=1e-6)
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)


def test_token_attribution_adds_up_to_the_centred_logits(model, tokenizer):
    for view in localize(model, tokenizer, ["good film, not bad", "the"]):
        logits = view.logits - model.aggregation.bias.detach().numpy()
        np.testing.assert_allclose(
            view.located.tokens.sum(axis=0), logits - logits.mean(), atol=1e-5
        )
        np.testing.assert_allclose(
            view.located.attribution.sum(axis=0), view.located.tokens.sum(axis=0)
        )


def test_a_multi_label_localizer_keeps_raw_attribution(model, tokenizer):
    model.config.problem_type = "multi_label_classification"
    (view,) = localize(model, tokenizer, ["good film, not bad"])
    logits = view.logits - model.aggregation.bias.detach().numpy()
    np.testing.assert_allclose(view.located.tokens.sum(axis=0), logits, atol=1e-5)


def test_texts_without_a_token_have_no_attribution(planted, tokenizer):
    views = list(localize(planted, tokenizer, ["", " \t"]))
    assert [view.located.tokens.shape for view in views] == [(0, 2), (0, 2)]
