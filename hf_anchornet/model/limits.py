"""Limits of configuration fields, and checks that raise a `ValueError` naming the field.

Configurations may come from untrusted sources: none may exhaust memory or time before its weights
are opened.
"""

import math
from collections.abc import Sequence

MOST_LAYERS = 1024
MOST_LABELS = 2**16
MOST_UNITS = 2**16
"""Largest window, in tokens or pixels: each input is padded to it."""
MOST_WEIGHTS = 2**31


def check_windows(
    kernel_sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> None:
    """Check that no window and no stride of a stack of layers exceeds `MOST_UNITS`."""
    window = stride = 1
    for kernel, step, dilation in zip(kernel_sizes, strides, dilations, strict=True):
        window, stride = window + (kernel - 1) * dilation * stride, stride * step
        if max(window, stride) > MOST_UNITS:
            raise ValueError(
                "`kernel_sizes`, `strides` and `dilations` must give windows and strides of at "
                f"most {MOST_UNITS:,} tokens or pixels, got {max(window, stride):,}; lower one of "
                "them."
            )


def check_positive(name: str, *values: float) -> None:
    """Check that each value is at least 1."""
    bad = [value for value in values if not value >= 1]  # NaN is not
    if bad:
        raise ValueError(f"`{name}` must be at least 1, got {bad[0]}; give a positive number.")


def check_rates(**rates: float) -> None:
    """Check that each value is in [0, 1)."""
    for name, value in rates.items():
        if not 0 <= value < 1:
            raise ValueError(f"`{name}` must be in [0, 1), got {value}; 0 switches it off.")


def check_weights(**weights: float) -> None:
    """Check that each value is finite and not negative."""
    for name, value in weights.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"`{name}` must be >= 0, got {value}; 0 switches it off.")


def check_epsilon(name: str, value: float) -> None:
    """Check that the value keeps a division from 0."""
    if not 0 < value <= 1:
        raise ValueError(f"`{name}` must be in (0, 1], got {value}; take the default.")


def check_at_most(name: str, most: int, *values: float) -> None:
    """Check that each value is at most `most`."""
    bad = [value for value in values if not value <= most]
    if bad:
        raise ValueError(f"`{name}` must be at most {most:,}, got {bad[0]:,}; lower it.")


def check_size(**weights: int) -> None:
    """Check that no layer has more than `MOST_WEIGHTS` weights, before any is allocated.

    Args:
        weights: Number of weights by the field that determines it.
    """
    name = max(weights, key=lambda field_name: weights[field_name])
    if weights[name] > MOST_WEIGHTS:
        raise ValueError(
            f"`{name}` must leave the model at most {MOST_WEIGHTS:,} weights, got "
            f"{weights[name]:,} by its layers; lower it."
        )
