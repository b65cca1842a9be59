"""Integrated gradients: the logit of a label, attributed to the inputs of a model."""

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
    """Attribution of a label's logit to each input value, relative to the baselines.

    Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, equation 1), the integral by
    Gauss-Legendre quadrature. The attributions sum to the logit less that of the baselines.

    Args:
        logits: From tensors shaped like `inputs`, with any number of rows, to (rows, labels).
        inputs: Tensors of one row.
        baselines: Tensors of the same shapes.
        label: Number of the label.
        num_steps: Number of quadrature points.
        batch_size: Points per backward pass, which bounds the memory.

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
