"""Explainers that only ask a model about inputs with some of their parts left out."""

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
"""From random numbers and a number of parts to those kept in one sample, (parts,)."""

QUESTIONS_AT_ONCE = 512
"""Samples that a black box gets in one call; how many its model gets is its own affair."""

KERNEL_WIDTH = 0.25
"""LIME's kernel width for cosine distances in [0, 1]; for texts its authors' package `lime`
multiplies both by 100. Their weight, sqrt(exp(-distance^2 / width^2)), is captum's kernel."""


def occlude(black_box: BlackBox, num_parts: int) -> NDArray[np.float64]:
    """What the probability loses without each part alone, in [-1, 1]: (parts,), float64.

    Zeiler and Fergus 2014, section 4.2, with the part left out as in Li et al. 2016 (arXiv
    1612.08220), but a difference of probabilities and not of their logarithms.
    """
    if num_parts == 0:
        return np.zeros(0)
    explainer = import_captum().FeatureAblation(_ask(black_box))
    everything = torch.ones(1, num_parts)
    return _to_array(explainer.attribute(everything, perturbations_per_eval=QUESTIONS_AT_ONCE))


def fit_lime(
    black_box: BlackBox,
    num_parts: int,
    sampler: Sampler,
    *,
    num_samples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Weights of a linear model of the probability around the whole input: (parts,), float64.

    LIME (Ribeiro et al. 2016, arXiv 1602.04938, algorithm 1) with the choices of its authors'
    package `lime`: ridge regression (alpha 1, with an intercept), samples weighed by their cosine
    distance from the whole (see `KERNEL_WIDTH`), the whole itself as the first sample. Deviation:
    every part has the weight of one fit to all; the package fits the ten largest once more.

    Args:
        black_box: What is asked.
        num_parts: Number of parts of the input.
        sampler: Draws all samples but the first.
        num_samples: How many inputs it is asked about.
        seed: Of the random numbers.
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
        _ask(black_box),
        interpretable_model=SkLearnRidge(alpha=1.0),
        similarity_func=get_exp_kernel_similarity_function("cosine", KERNEL_WIDTH),
        perturb_func=draw,
    )
    everything = torch.ones(1, num_parts)
    with torch.random.fork_rng(devices=[]):  # captum makes a linear layer, at random at first
        weights = explainer.attribute(
            everything, n_samples=num_samples, perturbations_per_eval=QUESTIONS_AT_ONCE
        )
    return _to_array(weights)


def sample_shapley(
    black_box: BlackBox, num_parts: int, *, num_permutations: int, seed: int
) -> NDArray[np.float64]:
    """Shapley value of each part, estimated, in [-1, 1]: (parts,), float64.

    The mean over random orders of what the probability gains when the part joins those before it
    (Castro et al. 2009, algorithm "ApproShapley"); the values add up to the probability of the
    whole less that of nothing. An order costs one question for each part.
    """
    if num_parts == 0:
        return np.zeros(0)
    explainer = import_captum().ShapleyValueSampling(_ask(black_box))
    everything = torch.ones(1, num_parts)
    with torch.random.fork_rng(devices=[]):  # the orders are drawn on the processor
        torch.manual_seed(seed)
        values = explainer.attribute(
            everything, n_samples=num_permutations, perturbations_per_eval=QUESTIONS_AT_ONCE
        )
    return _to_array(values)


def draw_by_count(generator: np.random.Generator, num_parts: int) -> NDArray[np.bool_]:
    """Kept parts, (parts,): any number from none to all but one is equally likely.

    So `lime` samples texts.
    """
    kept = np.ones(num_parts, dtype=np.bool_)
    num_cut = generator.integers(1, num_parts + 1)
    kept[generator.choice(num_parts, num_cut, replace=False)] = False
    return kept


def draw_by_coin(generator: np.random.Generator, num_parts: int) -> NDArray[np.bool_]:
    """Kept parts, (parts,): each is kept with a chance of one half. So `lime` samples images."""
    return generator.integers(0, 2, num_parts).astype(np.bool_)


def _ask(black_box: BlackBox) -> Callable[[Tensor], Tensor]:
    """The black box as captum calls it."""
    return lambda kept: torch.from_numpy(black_box(kept.numpy() > 0.5))


def _to_array(scores: Tensor) -> NDArray[np.float64]:
    """(1, parts) -> (parts,)."""
    array: NDArray[np.float64] = scores[0].double().numpy()
    return array
