"""Attention rollout: how much each token flows into the one that a transformer classifies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .text_subject import ReadText, TextSubject


def roll_out(attentions: Sequence[Tensor]) -> Tensor:
    """How much of each input token is in each token of the last layer: (tokens, tokens).

    Rows are tokens of the last layer and sum to 1. Each layer is the mean over its heads, mixed
    half and half with the residual connection (Abnar and Zuidema 2020, arXiv 2005.00928, section 3
    and appendix A.1); the layers' products follow their equation 1.

    Args:
        attentions: Of each layer, the first one first: (heads, tokens, tokens), rows sum to 1.
    """
    flow = torch.eye(attentions[0].shape[-1], dtype=torch.float64)
    for attention in attentions:
        mean = attention.double().cpu().mean(dim=0)
        flow = (0.5 * mean + 0.5 * torch.eye(len(mean), dtype=torch.float64)) @ flow
    return flow


@torch.no_grad()
def roll_out_tokens(subject: TextSubject, read: ReadText) -> NDArray[np.float64]:
    """Share of each token in the classifying one, in [0, 1]: (tokens,), float64.

    Args:
        subject: An encoder that classifies by its first token, as BERT does. It knows no label.
        read: A text and what the model reads of it.

    Raises:
        ValueError: if the model does not put a classifying token first or shows no attention.
    """
    first = int(read.ids[0, 0]) if read.ids.numel() else None
    cls_token = subject.tokenizer.cls_token_id
    if subject.is_anchornet or cls_token is None or first != cls_token:
        raise ValueError(
            '`subject` must be an encoder whose texts begin with a classifying token ("[CLS]") for '
            f'"attention_rollout", got a model of type "{subject.model.config.model_type}"; choose '
            "another explainer."
        )
    with _eager_attention(subject.model):
        attentions = subject.model(input_ids=read.ids, output_attentions=True).attentions
    if not attentions or attentions[0] is None:
        raise ValueError(
            '`subject` must return its attention for "attention_rollout", but a model of type '
            f'"{subject.model.config.model_type}" does not; choose another explainer.'
        )
    shares: NDArray[np.float64] = roll_out([layer[0] for layer in attentions])[0].numpy()
    return shares


@contextmanager
def _eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Only plain attention computes the weights that it shows."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
