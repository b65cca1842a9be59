"""Batches of a classifier's training that stay below a bound of memory."""

from typing import Any

ACTIVATIONS = 1.2e9
"""Bytes that the activations of one forward pass may take. Weights, their gradients and moments,
and the libraries come on top: 22.7 million parameters of MiniLM stay below 3 GB."""

PER_UNIT = 68
"""Bytes of activations for each token, layer and unit of width, in float32 and without matrices of
attention (Korthikanti et al., 2022, equation 1, twice their 34 of half precision)."""


def plan_batches(config: Any, longest: int, wanted: int) -> tuple[int, int]:
    """The inputs of a forward pass, and the passes of a step, for a step of `wanted` inputs.

    Args:
        config: Config of a transformer; others are taken to be small.
        longest: Tokens of the longest input.
        wanted: Inputs of a step, a power of two.
    """
    width = getattr(config, "hidden_size", None)
    layers = getattr(config, "num_hidden_layers", None)
    if not isinstance(width, int) or not isinstance(layers, int):
        return wanted, 1
    tokens = min(longest, getattr(config, "max_position_embeddings", longest))
    fit = ACTIVATIONS / (PER_UNIT * width * layers * tokens)
    size = wanted
    while size > max(1, fit):
        size //= 2
    return size, wanted // size
