"""N-grams of a localizer with a teacher: what it says of pieces, then what is left of the labels.

Two linear models are added to the scores that were learned. The first is fitted to the teacher's
probabilities of pieces of texts, as the trunk was, and says where evidence is. The second is fitted
to the labels of whole texts and corrects what the sum of the others gets wrong (boosting with an
offset; Hastie, Tibshirani and Friedman 2009, section 10.3). It is a ridge regression, whose many
small weights hide no evidence, and leaves frequent n-grams out: they tell the labels of texts apart
by style, and people do not point at them.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from datasets import Dataset
from scipy.optimize import minimize_scalar

from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification

from .linear_model import Floats, LabelledNgrams, LinearModel, fit_linear_model
from .linear_ngrams import USUAL_STRENGTH, add_scores, count_known, predict_logits, score_sum

TAUGHT_WEIGHT = 0.5
"""Of the linear model of pieces. On validation splits more of it is a little more accurate; less
of it agrees better with people."""
CORRECTION_STRENGTH = 0.003
LARGEST_SHARE = 0.03
LARGEST_SCALE = 20.0


@torch.no_grad()
def add_taught_ngrams(
    model: AnchorNetTextForSequenceClassification,
    taught: Dataset,
    train_set: Dataset,
    validation_set: Dataset,
    weight: float = 1.0,
    balanced: bool = False,
    largest_share: float = LARGEST_SHARE,
    scaled: bool = False,
) -> dict[str, float]:
    """Add both linear models to the scores of a localizer that learned from a teacher.

    Args:
        model: A trained localizer with n-grams; it is changed.
        taught: From `add_taught_pieces`.
        train_set: Tokenized texts with columns `input_ids`, `length` and `labels`.
        validation_set: The same of the validation split.
        weight: Of the correction.
        balanced: Whether every label weighs the same, however many texts have it.
        largest_share: See `fit_correction`.
        scaled: See `fit_correction`.

    Returns:
        `strength` and `weight` of the correction; `learned_weight`, by which all other scores were
        multiplied; `accuracy` and `loss` on the validation split.
    """
    count = partial(count_known, model)
    judged, texts = count(validation_set), count(train_set, balanced)
    of_pieces = fit_linear_model(count(taught), USUAL_STRENGTH)
    add_scores(model, of_pieces, weight=TAUGHT_WEIGHT)
    known = predict_logits(model, validation_set)
    scale = choose_scale(known, judged)
    offset = scale * predict_logits(model, train_set)
    correction = fit_correction(texts, offset, largest_share, scaled)
    add_scores(model, correction, scale, weight)
    logits = scale * known + weight * correction.predict(judged.frequencies)
    return {
        "strength": CORRECTION_STRENGTH,
        "weight": weight,
        "learned_weight": scale,
        **score_sum(logits, judged, validation_set),
    }


def choose_scale(logits: Floats, judged: LabelledNgrams) -> float:
    """The factor with which logits have the least loss."""
    found = minimize_scalar(
        lambda scale: judged.measure_loss(scale * logits),
        bounds=(0, LARGEST_SCALE),
        method="bounded",
    )
    return float(found.x)


def fit_correction(
    texts: LabelledNgrams,
    offset: Floats,
    largest_share: float = LARGEST_SHARE,
    scaled: bool = False,
) -> LinearModel:
    """A linear model of what other scores leave over, without frequent n-grams.

    Args:
        texts: The texts.
        offset: Logits by the other scores, (texts, labels).
        largest_share: Largest share of the texts that an n-gram may be in. Larger is more accurate,
            and agrees less with people.
        scaled: Whether frequencies are scaled by log ratios, see `fit_linear_model`.
    """
    shares = np.asarray((texts.frequencies > 0).mean(axis=0)).ravel()
    (rare,) = np.nonzero(shares <= largest_share)
    frequencies = texts.frequencies[:, rare].tocsr()
    texts = replace(texts, frequencies=frequencies)
    found = fit_linear_model(texts, CORRECTION_STRENGTH, offset, scaled=scaled)
    weights = np.zeros((len(shares), offset.shape[1]))
    weights[rare] = found.weights
    return LinearModel(weights, found.bias)
