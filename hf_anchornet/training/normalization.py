"""Batch normalisation in training: single values, and statistics that suit the weights of today."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

ESTIMATION_ROWS = 320
"""Training rows from which running statistics are estimated anew, less if an epoch has fewer."""


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


def has_running_statistics(model: nn.Module) -> bool:
    """Whether a model normalises by running statistics, as image models do."""
    return bool(_list_tracking(model))


def estimate_statistics(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> None:
    """Replace the running statistics of a model by their means over some training batches.

    Statistics that run along lag behind the weights while these change fast. Then a model in
    evaluation is far from what it is in training, and its scores are noise. A layer that only saw
    single values keeps the statistics it had.

    Args:
        model: The model, prepared or not.
        batches: Batches of the model's keyword arguments, on its device.
    """
    before = {
        norm: [buffer.clone() for buffer in norm.buffers(recurse=False)]
        for norm in _list_tracking(model)
    }
    update_bn(batches, _CalledByName(model).train(model.training))
    for norm, kept in before.items():
        if not norm.num_batches_tracked:
            for buffer, value in zip(norm.buffers(recurse=False), kept, strict=True):
                buffer.copy_(value)


@contextmanager
def in_full_precision(model: nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Take the mixed precision of a prepared model away, as it has none when it is used.

    A sum over thousands of equal windows multiplies what is rounded: statistics and scores of an
    image localizer in bfloat16 say nothing of the same weights in float32.
    """
    inner = accelerator.unwrap_model(model)
    if not hasattr(inner, "_original_forward"):  # what `Accelerator.prepare` keeps of a mixed one
        yield
        return
    mixed, inner.forward = inner.forward, inner._original_forward
    try:
        yield
    finally:
        inner.forward = mixed


class _CalledByName(nn.Module):
    """A model that is called with one batch, a dict of its arguments, as `update_bn` calls it.

    It gets no labels: the loss would not be used.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Mapping[str, Any]) -> Any:
        return self.model(**{name: batch[name] for name in batch if name != "labels"})


def _list_tracking(model: nn.Module) -> list[Any]:
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
