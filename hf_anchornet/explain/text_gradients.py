"""Integrated gradients of the tokens of a text, through the tables that a model looks up."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_anchornet.model.geometry import Window, spread_evidence

from .integrated_gradients import integrate
from .text_subject import ReadText, TextSubject


def integrate_tokens(
    subject: TextSubject, read: ReadText, label: int, *, num_steps: int, batch_size: int
) -> NDArray[np.float64]:
    """Integrated gradients of each token of a text: (tokens,), float64.

    Over the token embeddings, and for an AnchorNet also over its n-gram scores, where the
    attribution of an n-gram is spread evenly over its tokens.

    The baseline keeps special tokens and replaces all others by the padding token, as in captum's
    tutorial on BERT. An AnchorNet has no trained padding token: there the baseline is the unknown
    token, if there is one, and no n-gram. Zero embeddings do not suit an AnchorNet: its
    normalisations vary so sharply near zero that 50 steps miss a tenth of the logit.

    Args:
        subject: The model.
        read: The text and its tokens, at least one.
        label: Number of the label whose logit is explained.
        num_steps: See `integrate`.
        batch_size: See `integrate`.
    """
    embeddings, scores = _list_tables(subject)
    tables, first_score = [*embeddings, *scores], len(embeddings)
    with _in_one_piece(subject):
        values = _record(subject, tables, read.ids)
        blank = _record(subject, embeddings, _blank_out(subject, read))
        baselines = (*blank, *(torch.zeros_like(score) for score in values[first_score:]))
        shares = integrate(
            lambda *given: _compute_logits(subject, tables, read.ids, given),
            values,
            baselines,
            label,
            num_steps=num_steps,
            batch_size=batch_size,
        )
    num_tokens = read.ids.shape[1]
    totals = torch.zeros(num_tokens, dtype=torch.double, device=read.ids.device)
    for share in shares[:first_score]:
        totals = totals + share.double().sum(dim=-1)[0, :num_tokens]
    if subject.is_anchornet:
        lengths = torch.tensor([num_tokens], device=totals.device)
        for size, share in zip(subject.model.ngrams.sizes, shares[first_score:], strict=True):
            evidence = share.sum(dim=-1, keepdim=True)  # (1, positions, 1)
            spread = spread_evidence(evidence, Window(size, 1), lengths, num_tokens)
            totals = totals + spread[0, :, 0]
    by_token: NDArray[np.float64] = totals.cpu().numpy()
    return by_token


def _blank_out(subject: TextSubject, read: ReadText) -> Tensor:
    """The model's input with a neutral token in place of each text token: (1, tokens)."""
    blank = subject.tokenizer.pad_token_id
    if subject.is_anchornet:
        blank = subject.localizer.unknown_token_id
    of_text = torch.from_numpy(read.of_text).to(read.ids.device)
    return read.ids.masked_fill(of_text, blank)


def _list_tables(subject: TextSubject) -> tuple[list[nn.Module], list[nn.Module]]:
    """Lookup tables of a model: token embeddings, if it has any, and scores of n-grams."""
    embeds = getattr(subject.model.config, "trunk", True)
    embeddings = [subject.model.get_input_embeddings()] if embeds else []
    return embeddings, [*subject.model.ngrams.tables] if subject.is_anchornet else []


@torch.no_grad()
def _record(subject: TextSubject, tables: Sequence[nn.Module], ids: Tensor) -> tuple[Tensor, ...]:
    """Output of each table for a text: (1, positions, width)."""
    found: dict[int, Tensor] = {}

    def record(index: int) -> Callable[..., None]:
        return lambda module, inputs, output: found.update({index: output.detach()})

    with _hooked(tables, [record(index) for index in range(len(tables))]):
        subject.model(input_ids=ids)
    return tuple(found[index] for index in range(len(tables)))


def _compute_logits(
    subject: TextSubject, tables: Sequence[nn.Module], ids: Tensor, given: Sequence[Tensor]
) -> Tensor:
    """Logits of a text with the outputs of the tables replaced: (rows, labels)."""

    def replace(value: Tensor) -> Callable[..., Tensor]:
        return lambda module, inputs, output: value

    with _hooked(tables, [replace(value) for value in given]):
        logits: Tensor = subject.model(input_ids=ids.expand(len(given[0]), -1)).logits
    return logits


@contextmanager
def _hooked(modules: Sequence[nn.Module], hooks: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Register one forward hook per module for a while."""
    handles = [
        module.register_forward_hook(hook) for module, hook in zip(modules, hooks, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _in_one_piece(subject: TextSubject) -> Iterator[None]:
    """Turn off the chunks of an AnchorNet for a while, so that each table is looked up once."""
    config = subject.model.config
    chunk_size = getattr(config, "chunk_size", None)
    if subject.is_anchornet:
        config.chunk_size = None
    try:
        yield
    finally:
        if subject.is_anchornet:
            config.chunk_size = chunk_size
