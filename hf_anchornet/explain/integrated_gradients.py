"""Integrated gradients: a label's logit, shared out over what is fed to a model."""

from collections.abc import Callable

from torch import Tensor

from .captum_extra import import_captum


def integrate(
    logits: Callable[..., Tensor],
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor, ...],
    label: int,
    *,
    num_steps: int,
    batch_size: int,
) -> tuple[Tensor, ...]:
    """What each number of the inputs adds to a label's logit on the way from the baselines.

    Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, equation 1), the integral by
    Gauss-Legendre quadrature. All together add up to the logit less that of the baselines.

    Args:
        logits: From tensors like `inputs`, any number of rows, to (rows, labels).
        inputs: Tensors of one row.
        baselines: Of the same shapes.
        label: Number of the label.
        num_steps: Places on the way where the gradient is taken.
        batch_size: How many of them at a time: it bounds the memory.

    Returns:
        Tensors of the shapes of the inputs.
    """
    explainer = import_captum().IntegratedGradients(logits)
    shares: tuple[Tensor, ...] = explainer.attribute(
        inputs,
        baselines,
        target=label,
        n_steps=num_steps,
        internal_batch_size=batch_size,
    )
    return tuple(share.detach() for share in shares)
