"""Multiply-adds of networks and functions."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from fractions import Fraction
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

COUNTED_TOKENS = 32
"""Lengths of up to this many tokens are counted one by one."""


def count_multiply_adds(network: nn.Module, inputs: Tensor) -> int:
    """Multiply-adds of convolutions and matrix products for these inputs."""
    return count_work(lambda: network(inputs))


@torch.inference_mode()
def count_work(function: Callable[[], object]) -> int:
    """Multiply-adds of convolutions and matrix products that run in a function."""
    counter = FlopCounterMode(display=False)
    # The counter does not know fused attention: use the implementation of plain products.
    with sdpa_kernel(SDPBackend.MATH), counter:
        function()
    return counter.get_total_flops() // 2


class ShapeCosts:
    """Multiply-adds of a network for one input of a shape; each shape is counted once.

    They are counted exactly on torch's meta device, which has shapes and no numbers.

    Args:
        network: The network; its weights stay where they are.
        dtype: Type of its inputs.
        longest: Largest number of tokens that it can read.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, longest: int = 2**31) -> None:
        self._network = network
        self._dtype = dtype
        self._longest = longest
        self._counts: dict[tuple[int, ...], int] = {}

    @cached_property
    def _blank(self) -> nn.Module:
        return deepcopy(self._network).to("meta")

    def count(self, *shape: int) -> int:
        """Multiply-adds for one input of this shape; 0 if it is empty."""
        if 0 in shape:
            return 0
        if shape not in self._counts:
            blank = torch.zeros(shape, dtype=self._dtype, device="meta")
            self._counts[shape] = count_multiply_adds(self._blank, blank)
        return self._counts[shape]

    def count_tokens(self, length: int) -> int:
        """As `count(1, length)`, interpolated for most lengths.

        Within an octave the cost of a layer is a polynomial of the length, of degree 2 for
        attention. If the polynomial through three counts predicts a fourth, it is used for all
        lengths between them. Otherwise, and for short texts, each length is counted.
        """
        start = 1 << max(length - 1, 0).bit_length() >> 1  # start < length <= 2 * start
        if start < COUNTED_TOKENS:
            return self.count(1, length)
        end = min(2 * start, self._longest)
        knots = [start + 1, start + (end - start) // 3, end - (end - start) // 3, end]
        counts = [self.count(1, knot) for knot in knots]
        if _interpolate(knots[:3], counts[:3], end) != counts[3]:
            return self.count(1, length)
        return int(_interpolate(knots[:3], counts[:3], length))


def _interpolate(knots: Sequence[int], values: Sequence[int], place: int) -> Fraction:
    """The polynomial through `values` at `knots`, by Lagrange's formula."""
    total = Fraction(0)
    for knot, value in zip(knots, values, strict=True):
        others = [other for other in knots if other != knot]
        weight = [Fraction(place - other, knot - other) for other in others]
        total += value * prod(weight)
    return total
