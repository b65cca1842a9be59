"""Grad-CAM: where the last feature map of a convolutional network supports a label."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_anchornet.model.geometry import spread_over_pixels

from .captum_extra import import_captum
from .image_subject import ImageSubject


def compute_grad_cam(
    subject: ImageSubject, pixel_values: Tensor, label: int, layer: nn.Module | None = None
) -> NDArray[np.float64]:
    """Grad-CAM over the whole image, non-negative: (rows, columns), float64.

    Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2, with the gradient of the logit. In a
    network with padding the feature map covers the image. An AnchorNet does not pad, so the value
    of each window is spread over its pixels, as its evidence is.

    Args:
        subject: The model.
        pixel_values: One image: (1, channels, height, width).
        label: Number of the label.
        layer: Layer whose output is the feature map, (batch, channels, rows, columns). Default:
            see `find_last_map`; in an AnchorNet the branch of the largest windows.

    Raises:
        ValueError: if no layer is given and the model has no feature map.
    """
    spread = layer is None and subject.is_anchornet
    if spread:
        layer = subject.model.anchornet.branches[-1]
    elif layer is None:
        layer = find_last_map(subject.model, pixel_values)
    explainer = import_captum().LayerGradCam(subject.compute_logits, layer)
    scores = explainer.attribute(pixel_values, target=label, relu_attributions=True)
    scores = scores.detach()[:, 0].double()  # (1, 1, rows, columns) -> (1, rows, columns)
    if spread:
        sizes = torch.tensor([pixel_values.shape[2:]], device=scores.device)
        scores = spread_over_pixels(scores, subject.model.windows[-1], sizes)
    cam: NDArray[np.float64] = scores[0].cpu().numpy()
    return cam


@torch.no_grad()
def find_last_map(model: nn.Module, pixel_values: Tensor) -> nn.Module:
    """The last module whose output is a map of more than one position: the input of pooling.

    In a vision transformer that is the patch embedding, a poor basis for Grad-CAM.

    Args:
        model: An image classifier.
        pixel_values: (batch, channels, height, width).

    Raises:
        ValueError: if no module returns such a map.
    """
    found: list[nn.Module] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            found.append(module)

    hook: Callable[..., None] = note
    handles = [module.register_forward_hook(hook) for module in model.modules()]
    try:
        model(pixel_values=pixel_values)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError(
            '`layer` must be given for "grad_cam": no layer of this model returns a map of (batch, '
            "channels, rows, columns); name a layer or choose another explainer."
        )
    return found[-1]
