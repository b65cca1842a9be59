"""Explainers that only query a model about inputs with some of their parts removed."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .captum_extra import import_captum

BlackBox = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
"""From kept parts, (samples, parts), to the probability of the label, (samples,)."""

Sampler = Callable[[np.random.Generator, int], NDArray[np.bool_]]
"""From a random generator and a number of parts to the parts kept in one sample, (parts,)."""

QUERIES_AT_ONCE = 512
"""Samples per call of a black box, which chooses the batch size of its model."""

KERNEL_WIDTH = 0.25
"""Kernel width of LIME for cosine distances in [0, 1]; the authors' package `lime` multiplies both
by 100 for texts. Their weight, sqrt(exp(-distance^2 / width^2)), is captum's kernel."""


def occlude(black_box: BlackBox, num_parts: int) -> NDArray[np.float64]:
    """Drop of the probability without each part alone, in [-1, 1]: (parts,), float64.

    Zeiler and Fergus 2014, section 4.2, with the part removed as in Li et al. 2016 (arXiv
    1612.08220), but a difference of probabilities and not of their logarithms.
    """
    if num_parts == 0:
        return np.zeros(0)
    explainer = import_captum().FeatureAblation(_wrap(black_box))
    whole = torch.ones(1, num_parts)
    return _to_array(explainer.attribute(whole, perturbations_per_eval=QUERIES_AT_ONCE))


def fit_lime(
    black_box: BlackBox,
    num_parts: int,
    sampler: Sampler,
    *,
    num_samples: int = 500,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Weights of a linear model of the probability around the whole input: (parts,), float64.

    LIME (Ribeiro et al. 2016, arXiv 1602.04938, algorithm 1) with the choices of the authors'
    package `lime`: ridge regression (alpha 1, with an intercept), samples weighted by their cosine
    distance from the whole (see `KERNEL_WIDTH`), the whole itself as the first sample. Deviations:
    all parts are fitted once, where the package refits the ten largest; 500 samples, where it takes
    5,000 of texts and 1,000 of images.

    Args:
        black_box: The model.
        num_parts: Number of parts of the input.
        sampler: Draws all samples but the first.
        num_samples: Number of samples.
        seed: Seed of the samples.
    """
    if num_parts == 0:
        return np.zeros(0)
    captum = import_captum()
    # captum's own tutorials import these two from here, too.
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    def draw(_: Tensor, **__: Any) -> Iterator[Tensor]:
        generator = np.random.default_rng(seed)
        yield torch.ones(1, num_parts, dtype=torch.long)
        while True:
            yield torch.from_numpy(sampler(generator, num_parts)).long()[None]

    explainer = captum.Lime(
        _wrap(black_box),
        interpretable_model=SkLearnRidge(alpha=1.0),
        similarity_func=get_exp_kernel_similarity_function("cosine", KERNEL_WIDTH),
        perturb_func=draw,
    )
    with torch.random.fork_rng(devices=[]):  # captum initialises a linear layer at random
        weights = explainer.attribute(
            torch.ones(1, num_parts), n_samples=num_samples, perturbations_per_eval=QUERIES_AT_ONCE
        )
    return _to_array(weights)


def sample_shapley(
    black_box: BlackBox, num_parts: int, *, num_permutations: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Estimated Shapley value of each part, in [-1, 1]: (parts,), float64.

    The mean over random orders of the gain in probability when the part joins those before it
    (Castro et al. 2009, algorithm "ApproShapley"); the values add up to the probability of the
    whole less that of the empty input. An order costs one query per part: five orders, where captum
    takes 25, are 3,500 queries for a text of 700 words.

    Args:
        black_box: The model.
        num_parts: Number of parts of the input.
        num_permutations: Number of random orders.
        seed: Seed of the orders.
    """
    if num_parts == 0:
        return np.zeros(0)
    explainer = import_captum().ShapleyValueSampling(_wrap(black_box))
    with torch.random.fork_rng(devices=[]):  # captum draws the orders on the CPU
        torch.manual_seed(seed)
        values = explainer.attribute(
            torch.ones(1, num_parts),
            n_samples=num_permutations,
            perturbations_per_eval=QUERIES_AT_ONCE,
        )
    return _to_array(values)


def draw_by_count(generator: np.random.Generator, num_parts: int) -> NDArray[np.bool_]:
    """Kept parts, (parts,), uniform over the number kept, 0 to all but one, as `lime` for texts."""
    kept = np.ones(num_parts, dtype=np.bool_)
    num_cut = generator.integers(1, num_parts + 1)
    kept[generator.choice(num_parts, num_cut, replace=False)] = False
    return kept


def draw_by_coin(generator: np.random.Generator, num_parts: int) -> NDArray[np.bool_]:
    """Kept parts, (parts,), each with probability one half, as `lime` for images."""
    return generator.integers(0, 2, num_parts).astype(np.bool_)


def _wrap(black_box: BlackBox) -> Callable[[Tensor], Tensor]:
    """The black box as captum calls it."""
    return lambda kept: torch.from_numpy(black_box(kept.numpy() > 0.5))


def _to_array(scores: Tensor) -> NDArray[np.float64]:
    """(1, parts) -> (parts,)."""
    array: NDArray[np.float64] = scores[0].double().numpy()
    return array
