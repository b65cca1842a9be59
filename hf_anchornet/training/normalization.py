"""Batch normalisation of batches that hold one value a channel, such as one window of one image."""

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def use_running_statistics(model: nn.Module) -> None:
    """Let a model in training normalise a single value a channel by its running statistics.

    A single value has no variance: PyTorch raises an error. It leaves the statistics as they are.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
            module.register_forward_pre_hook(_suspend_training)
            module.register_forward_hook(_restore_training, always_call=True)


def _suspend_training(module: Any, inputs: tuple[Tensor, ...]) -> None:
    values = inputs[0]
    is_single = values.numel() == values.shape[1]
    module.is_suspended = module.training and module.track_running_stats and is_single
    if module.is_suspended:
        module.training = False


def _restore_training(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    if module.is_suspended:
        module.training = True
