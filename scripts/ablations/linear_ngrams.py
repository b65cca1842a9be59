"""How much of a linear model of n-grams a localizer should contain, on validation splits.

Of a localizer with a teacher: how frequent the n-grams may be that correct what it learned, and
whether they are scaled by log ratios.
"""

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset, load_dataset
from transformers import AutoTokenizer

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.data.texts import load_labelled_texts, tokenize
from hf_anchornet.evaluation.accuracy import score_labels
from hf_anchornet.evaluation.explain_split import ExplanationOptions, explain_rows
from hf_anchornet.evaluation.summary import ExplanationSummary
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.files import write_json
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.training.distillation import Teaching, add_taught_pieces
from hf_anchornet.training.linear_ngrams import add_linear_ngrams, predict_logits
from hf_anchornet.training.taught_ngrams import add_taught_ngrams
from scripts.options import parse_options

JUDGED = ("evidence", "refined_evidence")
CHOSEN = "chosen"
"""The weight that `add_linear_ngrams` chooses itself."""
UNCORRECTED = "none"
"""No n-gram corrects what a localizer learned from its teacher."""
SCALED = ", log ratios"
"""The correction is a model as without a teacher, of n-grams scaled by naive-Bayes log ratios."""


@dataclass
class LinearAblationOptions:
    """Options of the comparison.

    Attributes:
        localizer: Folder of a localizer that was trained with `--linear-weight 0`.
        span_sets: Sources with human spans for the same labels; their validation splits are used.
        weights: Weights of the linear model to compare, beside the chosen one.
        teacher: The teacher of the localizer, if it has one.
        shares: With a teacher, values of `largest_share` of `add_taught_ngrams` to compare, beside
            no correction at all; the first one also with log ratios.
        smoothing: Word scores are evaluated as they are and smoothed by this, in words.
        output: JSON file to write.
    """

    localizer: str
    span_sets: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=lambda: [0.0, 0.1, 0.3, 0.5, 1.0])
    teacher: str | None = None
    shares: list[float] = field(default_factory=lambda: [0.03, 0.01, 0.1, 1.0])
    smoothing: float = 3.0
    output: str = "results/ablation_linear_ngrams.json"


def compare_weights(
    data: DataOptions,
    options: LinearAblationOptions,
    progress: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Accuracy on the validation split and agreement with people, for each weight.

    Args:
        data: The data that the localizer was trained on.
        options: Options of the comparison.
        progress: Called with the report so far after each weight.

    Returns:
        `settings`, and `weights`: by weight, with a teacher by share, `accuracy` and `loss` of
        the localizer, `accuracy` of its n-grams alone as `ngrams`, and by set in `sets` the
        pointing game and AUPRC of evidence and refined evidence, by word and smoothed.
    """
    train_rows, validation_rows, labels = load_labelled_texts(data)
    plain = AnchorNetTextForSequenceClassification.from_pretrained(options.localizer)
    labels = [plain.config.id2label[number] for number in range(len(labels))]
    tokenizer = AutoTokenizer.from_pretrained(options.localizer)
    train_set = tokenize(train_rows, tokenizer, data, labels)
    validation_set = tokenize(validation_rows, tokenizer, data, labels)
    report: dict[str, Any] = {
        "settings": {"data": asdict(data), "ablation": asdict(options)},
        "weights": {},
    }
    taught = None
    if options.teacher is not None:
        teaching, accelerator = Teaching(options.teacher), Accelerator()
        taught = add_taught_pieces(
            train_set, train_rows, tokenizer, data, labels, teaching, accelerator
        )
    for name, add in _list_ways(options, taught).items():
        model = deepcopy(plain)
        found = add(model, train_set=train_set, validation_set=validation_set)
        sets = {
            Path(source).name: _judge(model, tokenizer, source, options)
            for source in options.span_sets
        }
        alone = {"ngrams": _score_ngrams(model, validation_set)}
        report["weights"][name] = found | alone | {"sets": sets}
        progress(report)
    return report


def _list_ways(
    options: LinearAblationOptions, taught: Dataset | None
) -> dict[str, Callable[..., dict[str, float]]]:
    """Functions that add linear models to a localizer, by name."""
    if taught is None:
        given = {
            f"{each:g}": partial(add_linear_ngrams, weights=(1.0, each)) for each in options.weights
        }
        return {**given, CHOSEN: add_linear_ngrams}
    add = partial(add_taught_ngrams, taught=taught)
    given = {f"{each:g}": partial(add, largest_share=each) for each in options.shares}
    first = options.shares[0]
    scaled = {f"{first:g}{SCALED}": partial(add, largest_share=first, scaled=True)}
    return {UNCORRECTED: partial(add, weight=0.0), **given, **scaled}


def _score_ngrams(model: AnchorNetTextForSequenceClassification, rows: Dataset) -> float:
    """Accuracy of the n-grams of a localizer alone."""
    alone = deepcopy(model)
    for weights in alone.aggregation.heads.parameters():
        torch.nn.init.zeros_(weights)
    logits, targets = (
        torch.from_numpy(predict_logits(alone, rows)),
        torch.tensor(list(rows["labels"])),
    )
    return score_labels(logits, targets)["accuracy"]


def _judge(
    model: AnchorNetTextForSequenceClassification,
    tokenizer: Any,
    source: str,
    options: LinearAblationOptions,
) -> dict[str, dict[str, float]]:
    """Agreement with the human spans of a validation split, by explainer."""
    subject, summary = TextSubject(model, tokenizer), ExplanationSummary(options.smoothing)
    judging = ExplanationOptions(list(JUDGED), faithfulness=False)
    rows = load_dataset(source, split="validation")
    for record in explain_rows(subject, rows, DataOptions(source), judging):
        summary.add(record)
    found = summary.report()["explainers"]
    names = ("raw_pointing", "raw_token_auprc", "pointing", "token_auprc")
    return {
        judged: {name: found[judged]["plausibility"][name] for name in names} for judged in JUDGED
    }


def main() -> None:
    """Parse the options, compare, write, print."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data, options = parse_options(DataOptions, LinearAblationOptions, description=__doc__)

    def save(report: dict[str, Any]) -> None:
        write_json(Path(options.output), report)
        name, scores = list(report["weights"].items())[-1]
        print(name, {key: scores[key] for key in ("accuracy", "ngrams", "sets")}, flush=True)

    compare_weights(data, options, save)


if __name__ == "__main__":
    main()
