"""Attention rollout: how much each token contributes to the classifying token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .text_subject import ReadText, TextSubject


def roll_out(attentions: Sequence[Tensor]) -> Tensor:
    """Share of each input token in each token of the last layer: (tokens, tokens).

    Rows are tokens of the last layer and sum to 1. The attention of a layer is averaged over heads
    and mixed half and half with the residual connection (Abnar and Zuidema 2020, arXiv 2005.00928,
    section 3 and appendix A.1); layers are multiplied as in their equation 1.

    Args:
        attentions: One tensor per layer, first to last: (heads, tokens, tokens), rows sum to 1.
    """
    flow = torch.eye(attentions[0].shape[-1], dtype=torch.float64)
    for attention in attentions:
        mean = attention.double().cpu().mean(dim=0)
        flow = (0.5 * mean + 0.5 * torch.eye(len(mean), dtype=torch.float64)) @ flow
    return flow


@torch.no_grad()
def roll_out_tokens(subject: TextSubject, read: ReadText) -> NDArray[np.float64]:
    """Share of each token in the classifying token, in [0, 1]: (tokens,), float64.

    Args:
        subject: An encoder that classifies by its first token, as BERT does.
        read: The text and its tokens.

    Raises:
        ValueError: if the model has no classifying token in front or returns no attention.
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
    """Eager attention for a while: other implementations do not return their weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
