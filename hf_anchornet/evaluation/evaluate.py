"""Evaluation of a localizer, its classifier and its explanations on a labelled split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from hf_anchornet.data.inputs import open_inputs
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split, number_labels
from hf_anchornet.model.backend import EAGER
from hf_anchornet.model.cascade import Cascade, attach_cascade
from hf_anchornet.model.cascade_file import find_cascade
from hf_anchornet.model.cascade_rule import GLANCE, LOCALIZER, NGRAMS, ExitRule, Stage
from hf_anchornet.model.cascade_trace import Trace
from hf_anchornet.model.classifier import is_multi_label, label_names
from hf_anchornet.model.localizer import MODALITIES, Localizer, is_localizer, load_localizer

from .accuracy import score_labels
from .explain_split import ExplanationOptions
from .explanations import evaluate_explanations
from .image_localization import evaluate_image_localizer


@dataclass
class EvaluationOptions:
    """Models to evaluate, and how.

    Attributes:
        model: Folder or Hub id of the localizer, or, to evaluate explanations only, of any
            transformers classifier.
        classifier: Folder or Hub id of a classifier that reads what the localizer selects, or of a
            cascade. By default that of `model` if it is the folder of a cascade.
        split: Split to report on.
        max_tokens: Maximum number of tokens of a text that a classifier reads; a cascade has its
            own.
        max_patches: Maximum number of patches of an image that a classifier reads; a cascade has
            its own.
        exit_threshold: The classifier reads an input only if the localizer's confidence is below
            this; for a cascade one threshold for all stages or one per stage, in place of its own.
        batch_size: Inputs per forward pass.
        device: Device to compute on, for example cuda:0.
        backend: Backend of the models: "eager", "compile" or "onnx".
    """

    model: str
    classifier: str | None = None
    split: str = "test"
    max_tokens: int = 64
    max_patches: int = 1
    exit_threshold: list[float] = field(default_factory=list)
    batch_size: int = 32
    device: str = "cpu"
    backend: str = EAGER

    def __post_init__(self) -> None:
        """Check the batch size and that thresholds have a classifier."""
        if self.batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1, got {self.batch_size}; 32 is the default."
            )
        if self.exit_threshold and self.classifier is None and find_cascade(self.model) is None:
            raise ValueError(
                f"`exit_threshold` must come with a `classifier`, got {self.exit_threshold} "
                "without; name a classifier."
            )

    @property
    def thresholds(self) -> float | list[float] | None:
        """One threshold for all stages, one per stage, or None for those of the cascade."""
        if len(self.exit_threshold) == 1:
            return self.exit_threshold[0]
        return self.exit_threshold or None


class _Answer(NamedTuple):
    """Scores of one input, and their cost.

    Attributes:
        first: (labels,), logits of the localizer at the first stage.
        localizer: (labels,), logits of the whole localizer.
        scores: (labels,), logits or probabilities of the cascade or classifier.
        stage: The last stage at which there was something to read.
        multiply_adds: Of both models.
        full_multiply_adds: Of the classifier on the full input.
    """

    first: Tensor
    localizer: Tensor
    scores: Tensor
    stage: int
    multiply_adds: int
    full_multiply_adds: int


def evaluate_models(
    data: DataOptions, options: EvaluationOptions, explaining: ExplanationOptions
) -> dict[str, Any]:
    """Report on a split, ready for JSON; shares are in [0, 1].

    Args:
        data: The dataset and its columns; an empty `boxes_column` ignores boxes.
        options: Which models, and how.
        explaining: Explainers of the predictions of `options.model`, and how they are evaluated.

    Returns:
        `dataset`, `split` and `num_rows`. If the model is an AnchorNet: `localizer`, its `accuracy`
        and `macro_f1`, see `score_labels`; with a classifier, in `classifier`, the same of the
        pipeline's answers, with the mean `multiply_adds` of both models, the `full_multiply_adds`
        of the classifier on full inputs and `stages`, the names of the stages and the share of
        inputs answered at each; for a cascade that opens with n-grams or a glance, in `ngrams` or
        `glance` their scores;
        if the split has the column, `boxes`, see `summarize_localization`. If there are explainers,
        `explanations`, see `evaluate_explanations`.

    Raises:
        ValueError: if a column or split is missing, a label unknown or a model unsuitable.
    """
    if explaining.calibration_split == options.split:
        raise ValueError(
            f"`calibration_split` must be another split than `split`, got {options.split!r}: a "
            "temperature is fitted on other rows than those that are reported on."
        )
    modality = detect_modality(data, options.split)
    rows = load_split(data, options.split, data.input_column(modality))
    local = Path(data.dataset)
    dataset = local.resolve().name if local.exists() else data.dataset
    report: dict[str, Any] = {"dataset": dataset, "split": options.split, "num_rows": len(rows)}
    if options.classifier is None and find_cascade(options.model) is not None:
        options = replace(options, classifier=options.model)
    if is_localizer(options.model):
        report |= _evaluate_localizer(rows, data, options)
    elif options.classifier is not None:
        raise ValueError(
            f"`classifier` must be left out if `model` is not an AnchorNet, got "
            f"{options.classifier!r} for {options.model!r}; only an AnchorNet can select what a "
            "classifier reads."
        )
    if explaining.explainers:
        device = torch.device(options.device)
        report["explanations"] = evaluate_explanations(
            options.model, options.split, rows, data, explaining, device
        )
    return report


def _evaluate_localizer(
    rows: Dataset, data: DataOptions, options: EvaluationOptions
) -> dict[str, Any]:
    """Report of a localizer and of the classifier or cascade behind it."""
    device = torch.device(options.device)
    localizer: Any = load_localizer(options.model, device, options.backend)
    labels = label_names(localizer.model)
    targets = torch.tensor(number_labels(rows, data.label_column, labels))
    if (targets.ndim == 2) != is_multi_label(localizer.model):
        found = "lists of labels" if targets.ndim == 2 else "single labels"
        raise ValueError(
            f"`label_column` must hold what the model answers, got {found} in "
            f"`{data.label_column}` for a model with `problem_type` "
            f"{localizer.model.config.problem_type!r}; convert the column, or choose another model."
        )
    report: dict[str, Any] = {}
    batches = _batch_inputs(localizer, rows, data, options.batch_size)
    if options.classifier is None:
        logits = [localizer.read(batch).logits.float().cpu() for batch in batches]
        report["localizer"] = score_labels(torch.cat(logits), targets)
    else:
        exits, cascade = _load_cascade(localizer, options, device)
        answers = [answer for batch in batches for answer in _follow(cascade, batch, exits)]
        first = str(cascade.rule.stages[0])
        if first in (GLANCE, NGRAMS):
            report[first] = score_labels(torch.stack([a.first for a in answers]), targets)
        logits = [answer.localizer for answer in answers]
        report["localizer"] = score_labels(torch.stack(logits), targets)
        report["classifier"] = _summarize(answers, targets, cascade.rule.stages)
    is_image = localizer.model.main_input_name == "pixel_values"
    if is_image and data.boxes_column in rows.column_names:
        scores = evaluate_image_localizer(
            localizer.model, localizer.processor, rows, data, options.batch_size
        )
        known = ("num_images", "accuracy", "macro_f1")
        report["boxes"] = {name: scores[name] for name in scores if name not in known}
    return report


def _batch_inputs(
    localizer: Localizer, rows: Dataset, data: DataOptions, batch_size: int
) -> Iterator[list[Any]]:
    """Batches of checked inputs, in order, with a progress bar."""
    inputs = open_inputs(rows, data, localizer.modality)
    for start in tqdm(range(0, len(rows), batch_size), desc="evaluating", disable=None):
        yield [
            localizer.check_input(inputs[row], f"row {row}")
            for row in range(start, min(start + batch_size, len(rows)))
        ]


def _load_cascade(
    localizer: Any, options: EvaluationOptions, device: torch.device
) -> tuple[bool, Cascade]:
    """Whether inputs may exit early, and the cascade, of one stage for a plain classifier."""
    cascade = attach_cascade(options.classifier, localizer, device, options.backend)
    if cascade is not None:
        return True, cascade.override(options.thresholds)
    kind = localizer.model.config.model_type
    reader = MODALITIES[kind].reader.load(options.classifier, device, backend=options.backend)
    budget = options.max_tokens if kind == "anchornet_text" else options.max_patches
    if options.thresholds is None:
        return False, Cascade(localizer, reader, ExitRule.make([budget], 1.0))
    rule = ExitRule.make(reader.list_stages(budget), options.thresholds)
    return True, Cascade(localizer, reader, rule)


def _follow(cascade: Cascade, sources: list[Any], exits: bool) -> Iterator[_Answer]:
    """Answers for a batch.

    Args:
        cascade: The localizer and its classifier.
        sources: The inputs.
        exits: Whether inputs may exit early; if not, the classifier alone answers.
    """
    traces = cascade.follow(sources, len(sources))
    localized: Sequence[Tensor] = [trace.logits for trace in traces]
    if cascade.rule.opening != (LOCALIZER,):  # which did not read every input
        localized = cascade.localizer.read(sources).logits.float().cpu()
    full = cascade.reader.full_multiply_adds(sources, [trace.view for trace in traces])
    for trace, logits, whole in zip(traces, localized, full, strict=True):
        scores = trace.probs if exits else _rate_reading(trace)
        first = trace.opened[0].logits.float()
        yield _Answer(first, logits.float(), scores, trace.stage, trace.multiply_adds, whole)


def _rate_reading(trace: Trace) -> Tensor:
    """Logits of the classifier; of the localizer where there was nothing to read."""
    return trace.average(trace.last_reading) if trace.last_reading else trace.logits


def _summarize(
    answers: Sequence[_Answer], targets: Tensor, stages: Sequence[Stage]
) -> dict[str, Any]:
    counts = np.bincount([answer.stage for answer in answers], minlength=len(stages))
    return {
        **score_labels(torch.stack([answer.scores for answer in answers]), targets),
        "multiply_adds": float(np.mean([answer.multiply_adds for answer in answers])),
        "full_multiply_adds": float(np.mean([answer.full_multiply_adds for answer in answers])),
        "stages": {
            str(stage): count / len(answers)
            for stage, count in zip(stages, counts.tolist(), strict=True)
        },
    }
