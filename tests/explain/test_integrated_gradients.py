"""Integrated gradients by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.explain.integrated_gradients import integrate


@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_shares_of_a_product_are_those_of_the_integral(batch_size):
    """x * y from (0, 0) gives half to each: the integral of a * x * y da, twice."""
    sizes = []

    def logits(x, y):
        sizes.append(len(x))
        return torch.stack([x[:, 0] * y[:, 0], -3 * x[:, 0]], dim=1)

    inputs = (torch.tensor([[2.0]]), torch.tensor([[5.0]]))
    zeros = (torch.zeros(1, 1), torch.zeros(1, 1))
    x, y = integrate(logits, inputs, zeros, 0, num_steps=10, batch_size=batch_size)
    assert_close(x, torch.tensor([[5.0]]))
    assert_close(y, torch.tensor([[5.0]]))
    assert max(sizes) <= min(batch_size, 10)
    x, y = integrate(logits, inputs, zeros, 1, num_steps=10, batch_size=batch_size)
    assert_close(x, torch.tensor([[-6.0]]))
    assert_close(y, torch.tensor([[0.0]]))


def test_shares_add_up_to_the_logit_less_that_of_the_baseline():
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
    inputs, baseline = torch.randn(1, 6), torch.randn(1, 6)
    (shares,) = integrate(network, (inputs,), (baseline,), 1, num_steps=50, batch_size=8)
    gain = (network(inputs) - network(baseline))[0, 1]
    assert_close(shares.sum(), gain.detach(), rtol=1e-3, atol=1e-5)
    assert not shares.requires_grad
