"""Running statistics: estimated anew before a model is scored, and safe with single values."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from hf_anchornet.training.epochs import RowEpochs
from hf_anchornet.training.normalization import (
    estimate_statistics,
    has_running_statistics,
    in_full_precision,
    use_running_statistics,
)
from hf_anchornet.training.options import TrainingOptions


class Normed(nn.Module):
    """A batch normalisation behind keyword arguments."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, pixels):
        return self.norm(pixels)


class Projected(nn.Module):
    """A product that bfloat16 rounds."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.linear.weight, 1 / 3)

    def forward(self, values):
        return self.linear(values)


def test_statistics_become_the_means_over_the_batches():
    model = Normed()
    batches = [{"pixels": torch.randn(4, 2, 3, 3) * 2 + shift} for shift in (1.0, 5.0, 6.0)]
    estimate_statistics(model, batches)
    pixels = [batch["pixels"] for batch in batches]
    mean = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in pixels]).mean(dim=0)
    variance = torch.stack([batch.var(dim=(0, 2, 3)) for batch in pixels]).mean(dim=0)
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.norm.running_var, variance, rtol=1e-5, atol=1e-6)
    assert model.norm.momentum == 0.1


@pytest.mark.parametrize("training", [True, False])
def test_estimation_keeps_the_mode_and_the_weights(training):
    model = Normed().train(training)
    before = [parameter.clone() for parameter in model.parameters()]
    estimate_statistics(model, [{"pixels": torch.randn(4, 2, 3, 3)}])
    assert model.training == model.norm.training == training
    for parameter, kept in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, kept, rtol=0, atol=0)


def test_what_is_measured_in_full_precision_was_mixed_before_and_is_after(fresh_accelerator):
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = accelerator.prepare(Projected())
    values = torch.full((1, 1), 1 / 3)

    def find_error():
        with torch.no_grad():
            return float((model(values=values) - 1 / 9).abs())

    assert find_error() > 1e-4
    with in_full_precision(model, accelerator):
        assert find_error() < 1e-7
    assert find_error() > 1e-4


def test_a_layer_that_saw_single_values_only_keeps_its_statistics():
    model = Normed()
    model(torch.randn(8, 2, 3, 3) + 4)
    before = [buffer.clone() for buffer in model.norm.buffers()]
    use_running_statistics(model)
    estimate_statistics(model, [{"pixels": torch.randn(1, 2, 1, 1)}])
    for buffer, kept in zip(model.norm.buffers(), before, strict=True):
        torch.testing.assert_close(buffer, kept, rtol=0, atol=0)


def test_only_models_with_batch_normalisation_have_statistics():
    assert has_running_statistics(Normed())
    assert not has_running_statistics(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    frozen = nn.BatchNorm1d(2, track_running_stats=False)
    assert not has_running_statistics(frozen)


def test_a_sample_is_the_same_in_every_epoch_and_no_longer_than_one():
    loader = DataLoader(list(range(10)), batch_size=4)
    epochs = RowEpochs(loader, TrainingOptions("unused", batch_size=4, num_epochs=1))
    assert [batch.tolist() for batch in epochs.sample(5)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert sum(len(batch) for batch in epochs.sample(320)) == 10
