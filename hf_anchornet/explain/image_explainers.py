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
from .grad_cam import compute_grad_cam
from .image_subject import ImageSubject
from .integrated_gradients import integrate
from .subject import check_request

ScoreMap = NDArray[np.float64]
"""(rows, columns), float64, over the whole image at any resolution: higher speaks for the label."""

CELLS_PER_SIDE = 14
"""Rows and columns of cells that are shown or hidden together: 16 px at 224 px."""


def explain_image(
    subject: ImageSubject, image: Any, label: int, method: str = "evidence", **options: Any
) -> ScoreMap:
    """How much each place of an image speaks for a label: (rows, columns), float64.

    The map lies over the whole upright image, stretched; its resolution is the explainer's own.
    What an explainer hides has the mean colour of the image. The same call gives the same answer.

    Args:
        subject: The model to explain.
        image: As `open_image` takes it.
        label: Number of the label, in the order of `subject.labels`.
        method: Name of an explainer, see `IMAGE_EXPLAINERS`.
        options: Of that explainer: `num_cells` (rows and columns of cells), `num_samples`,
            `num_steps`, `num_permutations`, `batch_size`, `seed`, `layer`.

    Raises:
        ImportError: if the explainer needs the extra `explain` and that is not installed.
        TypeError: if `image` is no picture or the explainer does not know an option.
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


def occlude_cells(
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_cells: int = CELLS_PER_SIDE,
    batch_size: int = 32,
) -> ScoreMap:
    """What the probability of the label loses without each cell alone; see `occlude`."""
    return _ask_about_cells(occlude, subject, image, label, num_cells, batch_size)


def fit_lime_to_cells(
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_cells: int = CELLS_PER_SIDE,
    num_samples: int = 500,
    batch_size: int = 32,
    seed: int = 0,
) -> ScoreMap:
    """LIME over cells that are there or hidden; see `fit_lime`.

    Deviations from `lime`'s default: a grid of cells, not superpixels; one colour for all that are
    hidden, not one a superpixel; 500 samples of its 1,000.
    """
    explain = partial(fit_lime, sampler=draw_by_coin, num_samples=num_samples, seed=seed)
    return _ask_about_cells(explain, subject, image, label, num_cells, batch_size)


def sample_shapley_of_cells(
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_cells: int = CELLS_PER_SIDE,
    num_permutations: int = 5,
    batch_size: int = 32,
    seed: int = 0,
) -> ScoreMap:
    """Shapley values of cells that are there or hidden; see `sample_shapley`."""
    explain = partial(sample_shapley, num_permutations=num_permutations, seed=seed)
    return _ask_about_cells(explain, subject, image, label, num_cells, batch_size)


def map_grad_cam(
    subject: ImageSubject, image: Image.Image, label: int, *, layer: nn.Module | None = None
) -> ScoreMap:
    """Grad-CAM of the last map of features, or of that of `layer`; see `compute_grad_cam`."""
    return compute_grad_cam(subject, subject.pixel_values(image), label, layer)


def draw_cells(
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    *,
    num_cells: int = CELLS_PER_SIDE,
    seed: int = 0,
) -> ScoreMap:
    """Random scores in [0, 1), other ones for another image, label or seed: the control."""
    seeds = [seed, label, zlib.crc32(image.tobytes())]
    return np.random.default_rng(seeds).random((num_cells, num_cells))


IMAGE_EXPLAINERS: dict[str, Callable[..., ScoreMap]] = {
    "evidence": show_evidence_of_pixels,
    "integrated_gradients": integrate_pixels,
    "occlusion": occlude_cells,
    "lime": fit_lime_to_cells,
    "shapley": sample_shapley_of_cells,
    "grad_cam": map_grad_cam,
    "random": draw_cells,
}
"""Explainers by name, each called as `(subject, image, label, **options)`; see `explain_image`."""


def _mean_colour(pixels: Tensor) -> Tensor:
    """(batch, channels, height, width) -> (batch, channels, 1, 1)."""
    return pixels.mean(dim=(2, 3), keepdim=True)


def _ask_about_cells(
    explain: Callable[..., NDArray[np.float64]],
    subject: ImageSubject,
    image: Image.Image,
    label: int,
    num_cells: int,
    batch_size: int,
) -> ScoreMap:
    """Scores of `num_cells` rows and columns of cells: (rows, columns).

    Cells are hidden in the model's input: the image is resized but once.
    """
    pixels = subject.pixel_values(image)
    colour, (height, width) = _mean_colour(pixels), pixels.shape[2:]
    row_of = torch.arange(height) * num_cells // height  # (height,)
    column_of = torch.arange(width) * num_cells // width  # (width,)

    def ask(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        probs = []
        cells = torch.from_numpy(kept).view(-1, 1, num_cells, num_cells)
        for some in torch.split(cells, batch_size):
            shown = some[:, :, row_of][..., column_of].to(pixels.device)
            probs.append(subject.predict_pixels(torch.where(shown, pixels, colour))[:, label])
        return np.concatenate(probs)

    return explain(ask, num_cells**2).reshape(num_cells, num_cells)
