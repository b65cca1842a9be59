"""Explainers of image classifiers by name: from an image and a label to a map of scores."""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hf_anchornet.model.image_processing_anchornet import open_image

from .black_box import draw_by_coin, fit_lime, occlude, sample_shapley
from .cascade_subject import explain_pixels_of_answer
from .grad_cam import compute_grad_cam
from .image_subject import ImageSubject
from .integrated_gradients import integrate
from .part_explainers import share_patches
from .subject import check_request

ScoreMap = NDArray[np.float64]
"""(rows, columns), float64, over the whole image at any resolution: higher speaks for the label."""

CELLS_PER_SIDE = 14
"""Rows and columns of cells that are shown or hidden together: 16 px at 224 px."""


def explain_image(
    subject: ImageSubject, image: Any, label: int, method: str = "evidence", **options: Any
) -> ScoreMap:
    """Score of each place of an image for a label: (rows, columns), float64.

    The map covers the whole upright image, at a resolution that depends on the explainer. Hidden
    pixels take the mean colour of the image. The result is deterministic.

    Args:
        subject: The model to explain.
        image: As `open_image` takes it.
        label: Number of the label, in the order of `subject.labels`.
        method: Name of an explainer, see `IMAGE_EXPLAINERS`.
        options: Of that explainer: `num_cells` (rows and columns of cells), `num_samples`,
            `num_steps`, `num_permutations`, `batch_size`, `max_parts`, `seed`, `layer`.

    Raises:
        ImportError: if the explainer needs the extra `explain` and that is not installed.
        TypeError: if `image` is not an image or the explainer has no such option.
        ValueError: if there is no such label or explainer, if an option is out of range, or if the
            explainer cannot explain this kind of model.
        OSError: if there is no such image.
    """
    counts = {name: value for name, value in options.items() if name not in ("seed", "layer")}
    check_request(subject, label, method, IMAGE_EXPLAINERS, counts)
    return IMAGE_EXPLAINERS[method](subject, open_image(image), label, **options)


def show_evidence_of_pixels(subject: ImageSubject, image: Image.Image, label: int) -> ScoreMap:
    """The attribution of an AnchorNet itself, exact, in one pass; see `ImageEvidence`."""
    attribution = subject.localizer.read([image]).attribute(torch.tensor([label]))
    scores: ScoreMap = attribution[0].cpu().numpy()
    return scores


def integrate_pixels(
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_steps: int = 50,
    batch_size: int = 10,
) -> ScoreMap:
    """Integrated gradients of the label's logit from the mean colour, summed over channels."""
    pixels = subject.pixel_values(image)
    baseline = _mean_colour(pixels).expand_as(pixels)
    (shares,) = integrate(
        subject.compute_logits,
        (pixels,),
        (baseline,),
        label,
        num_steps=num_steps,
        batch_size=batch_size,
    )
    scores: ScoreMap = shares[0].double().sum(dim=0).cpu().numpy()
    return scores


def map_grad_cam(
    subject: ImageSubject, image: Image.Image, label: int, *, layer: nn.Module | None = None
) -> ScoreMap:
    """Grad-CAM of the last feature map, or of that of `layer`; see `compute_grad_cam`."""
    return compute_grad_cam(subject, subject.pixel_values(image), label, layer)


def draw_cells(
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_cells: int = CELLS_PER_SIDE,
    seed: int = 0,
) -> ScoreMap:
    """Control: random scores in [0, 1), different for each image, label and seed."""
    seeds = [seed, label, zlib.crc32(image.tobytes())]
    return np.random.default_rng(seeds).random((num_cells, num_cells))


def query_cells(
    explain: Callable[..., NDArray[np.float64]],
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_cells: int = CELLS_PER_SIDE,
    batch_size: int = 32,
    **options: Any,
) -> ScoreMap:
    """Scores by a black-box explainer whose parts are a grid of cells: (rows, columns).

    Cells are hidden in the model's input, so the image is resized only once.
    """
    pixels = subject.pixel_values(image)
    colour, (height, width) = _mean_colour(pixels), pixels.shape[2:]
    row_of = torch.arange(height) * num_cells // height  # (height,)
    column_of = torch.arange(width) * num_cells // width  # (width,)

    def predict(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        probs = []
        cells = torch.from_numpy(kept).view(-1, 1, num_cells, num_cells)
        for some in torch.split(cells, batch_size):
            shown = some[:, :, row_of][..., column_of].to(pixels.device)
            probs.append(subject.predict_pixels(torch.where(shown, pixels, colour))[:, label])
        return np.concatenate(probs)

    return explain(predict, num_cells**2, **options).reshape(num_cells, num_cells)


def _mean_colour(pixels: Tensor) -> Tensor:
    """(batch, channels, height, width) -> (batch, channels, 1, 1)."""
    return pixels.mean(dim=(2, 3), keepdim=True)


IMAGE_EXPLAINERS: dict[str, Callable[..., ScoreMap]] = {
    "evidence": show_evidence_of_pixels,
    "integrated_gradients": integrate_pixels,
    "occlusion": partial(query_cells, occlude),
    # Unlike in the package `lime`, parts are cells, not superpixels, and share one hidden colour.
    "lime": partial(query_cells, partial(fit_lime, sampler=draw_by_coin)),
    "shapley": partial(query_cells, sample_shapley),
    "grad_cam": map_grad_cam,
    "patch_shapley": share_patches,
    "answer": explain_pixels_of_answer,
    "random": draw_cells,
}
"""Explainers by name, each called as `(subject, image, label, **options)`; see `explain_image`."""
