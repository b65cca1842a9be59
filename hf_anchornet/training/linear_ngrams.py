"""A linear model of a localizer's n-grams, added to the scores that were learned.

The model has exactly the form of the n-gram branches, a sum over windows divided by their number.
So the sum of both is again a localizer of the same size, and its evidence is exact. How much of
each goes into it is what gives the least loss on the validation split.
"""

from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import torch
from datasets import Dataset
from scipy.optimize import minimize
from torch import Tensor

from hf_anchornet.data.texts import make_collator
from hf_anchornet.evaluation.accuracy import score_labels
from hf_anchornet.model.classifier import is_multi_label
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification

from .batches import make_text_loader
from .linear_model import Floats, LabelledNgrams, LinearModel, fit_linear_model

STRENGTHS = (0.003, 0.03, 0.3)
"""Candidates for `strength` of `fit_linear_model`."""
USUAL_STRENGTH = 0.3
"""What is taken where it is not chosen on the validation split."""
FEW_ROWS = 5000
"""Up to so many rows it is chosen; above it hardly matters."""
FEW_JUDGED = 100
"""Below so many validation rows their losses are too noisy to choose by."""
BATCH_SIZE = 32


@torch.no_grad()
def add_linear_ngrams(
    model: AnchorNetTextForSequenceClassification,
    train_set: Dataset,
    validation_set: Dataset,
    weights: Sequence[float] | None = None,
    balanced: bool = False,
) -> dict[str, float]:
    """Add a linear model of the n-grams that a localizer knows to its scores.

    Args:
        model: A trained localizer with n-grams; it is changed.
        train_set: Tokenized texts with columns `input_ids` and `labels`, as for
            `LabelledNgrams.count`.
        validation_set: The same of the validation split, with a column `length`.
        weights: Of what was learned and of the linear model; by default those of least loss on the
            validation split.
        balanced: Whether every label weighs the same, however many texts have it.

    Returns:
        `strength`, `weight`, `learned_weight`; `accuracy` and `loss` on the validation split.
    """
    learned = predict_logits(model, validation_set)
    judged, texts = count_known(model, validation_set), count_known(model, train_set, balanced)
    can_choose = len(train_set) <= FEW_ROWS and len(validation_set) >= FEW_JUDGED
    strengths = STRENGTHS if can_choose else (USUAL_STRENGTH,)
    tried = []
    for strength in strengths:
        linear = fit_linear_model(texts, strength)
        parts = np.stack([learned, linear.predict(judged.frequencies)])
        chosen = choose_weights(parts, judged) if weights is None else np.array(weights)
        logits = np.tensordot(chosen, parts, 1)
        tried.append((judged.measure_loss(logits), strength, chosen, linear, logits))
    _, strength, chosen, linear, logits = min(tried, key=itemgetter(0))
    learned_weight, weight = chosen.tolist()
    add_scores(model, linear, learned_weight, weight)
    return {
        "strength": strength,
        "weight": weight,
        "learned_weight": learned_weight,
        **score_sum(logits, judged, validation_set),
    }


def score_sum(logits: Floats, judged: LabelledNgrams, rows: Dataset) -> dict[str, float]:
    """`accuracy` and mean `loss` of logits, (texts, labels), of texts and their n-grams."""
    targets = torch.tensor(list(rows["labels"]))
    num_targets = logits.size if judged.multi_label else len(logits)
    return {
        "accuracy": score_labels(torch.from_numpy(logits), targets)["accuracy"],
        "loss": judged.measure_loss(logits) / num_targets,
    }


@torch.no_grad()
def predict_logits(model: AnchorNetTextForSequenceClassification, rows: Dataset) -> Floats:
    """Logits of tokenized texts with a column `length`, in their order: (texts, labels)."""
    model.train(False)
    order = sorted(range(len(rows)), key=list(rows["length"]).__getitem__)
    collate = make_collator(model.config.pad_token_id or 0)
    logits = np.zeros((len(rows), len(model.aggregation.bias)))
    first = 0
    for batch in make_text_loader(rows, collate, BATCH_SIZE):
        inputs = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        found = model(**inputs).logits.double().cpu().numpy()
        logits[order[first : first + len(found)]] = found
        first += len(found)
    return logits


def choose_weights(parts: Floats, judged: LabelledNgrams) -> Floats:
    """Weights, at least 0, of two models with which their sum has the least loss: (2,).

    Args:
        parts: Logits of both, (2, texts, labels).
        judged: The texts that the loss is measured on.
    """

    def measure(weights: Floats) -> float:
        return float(judged.measure_loss(np.tensordot(weights, parts, 1)) / parts.shape[1])

    found = minimize(measure, [0.5, 0.5], method="L-BFGS-B", bounds=[(0, None)] * 2)
    return np.asarray(found.x)


def list_codes(model: AnchorNetTextForSequenceClassification) -> dict[int, Tensor]:
    """Codes of the n-grams that a localizer knows, by size."""
    return {size: getattr(model.ngrams, f"codes_{size}").cpu() for size in model.ngrams.sizes}


def count_known(
    model: AnchorNetTextForSequenceClassification, rows: Dataset, balanced: bool = False
) -> LabelledNgrams:
    """The n-grams of tokenized texts that a localizer knows; see `LabelledNgrams.count`."""
    return LabelledNgrams.count(
        rows,
        list_codes(model),
        model.ngrams.vocab_size,
        len(model.aggregation.bias),
        multi_label=is_multi_label(model),
        balanced=balanced,
    )


@torch.no_grad()
def add_scores(
    model: AnchorNetTextForSequenceClassification,
    linear: LinearModel,
    learned_weight: float = 1.0,
    weight: float = 1.0,
) -> None:
    """Make the scores of a localizer the weighted sum of its own and those of a linear model."""
    for weights in model.aggregation.heads.parameters():
        weights.mul_(learned_weight)
    first, num_branches = 0, len(model.windows)
    for table, known in zip(model.ngrams.parameters(), list_codes(model).values(), strict=True):
        scores = linear.weights[first : first + len(known)] * num_branches * weight
        table.mul_(learned_weight)
        table[1:].add_(torch.from_numpy(scores).to(table))
        first += len(known)
    bias = model.aggregation.bias.mul_(learned_weight)
    bias.add_(torch.from_numpy(linear.bias * weight).to(bias))
