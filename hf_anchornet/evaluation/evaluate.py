"""A model, what stands behind it and what explains it, on a labelled split: one report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split, number_labels
from hf_anchornet.model.backend import EAGER
from hf_anchornet.model.cascade import READERS, Cascade
from hf_anchornet.model.cascade_rule import ExitRule
from hf_anchornet.model.cascade_trace import Localizer, Trace
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.localizer import is_localizer, load_localizer
from hf_anchornet.model.pipeline_anchornet import attach_cascade

from .explain_split import ExplanationOptions
from .explanations import evaluate_explanations
from .image_localization import evaluate_image_localizer, score_labels


@dataclass
class EvaluationOptions:
    """Which models are evaluated, and how.

    Attributes:
        model: Folder or Hub id of the localizer; to explain it, of any classifier of transformers.
        classifier: Folder or Hub id of a classifier that reads what the localizer selects, or of a
            cascade.
        split: Split to report on.
        max_tokens: The most tokens of a text that a classifier reads; a cascade knows it by itself.
        max_patches: The most patches of an image that a classifier reads; likewise.
        exit_threshold: Ask the classifier only where the localizer is less sure than this; of a
            cascade one number for all stages or one for each, instead of its own.
        batch_size: Inputs in one forward pass.
        device: Where to compute, for example cuda:0.
        backend: What computes: "eager", "compile" or "onnx".
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
        """Check what would otherwise fail late."""
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {self.batch_size}.")
        if self.exit_threshold and self.classifier is None:
            raise ValueError(
                f"`exit_threshold` must come with a `classifier`, got {self.exit_threshold} "
                "without; name the one to ask."
            )

    @property
    def thresholds(self) -> float | list[float] | None:
        """As cascades take them: one number for all stages, one for each, or their own."""
        if len(self.exit_threshold) == 1:
            return self.exit_threshold[0]
        return self.exit_threshold or None


class _Answer(NamedTuple):
    """What was said of one input, and what it cost.

    Attributes:
        localizer: (labels,), logits of the localizer.
        scores: (labels,), logits or probabilities of what stands behind it, in the same order.
        stage: The last stage at which there was something to read.
        multiply_adds: Of both models.
        full_multiply_adds: Of the classifier on the full input.
    """

    localizer: Tensor
    scores: Tensor
    stage: int
    multiply_adds: int
    full_multiply_adds: int


def evaluate_models(
    data: DataOptions, options: EvaluationOptions, explaining: ExplanationOptions
) -> dict[str, Any]:
    """All that is said of a split, ready for JSON; shares are in [0, 1].

    Args:
        data: Where it is; an empty `boxes_column` leaves the boxes out.
        options: Which models, and how.
        explaining: What explains the predictions of `options.model`, and how that is judged.

    Returns:
        `split`, `num_rows`; of the `localizer` `accuracy` and `macro_f1`, see `score_labels`; with
        a classifier the same of what the pipelines answer with it, in `classifier`, with the mean
        `multiply_adds` of both models, the `full_multiply_adds` of the classifier on full inputs
        and `stages`, the share of the inputs whose answer comes from each stage; where the split
        has the column, `boxes`: see `summarize_localization`. Of a model that is no AnchorNet none
        of these. `explanations`, if there are explainers: see `evaluate_explanations`.

    Raises:
        ValueError: if a column or split is missing, a label unknown or a model no such model.
    """
    is_text = detect_modality(data, options.split) == "text"
    rows = load_split(data, options.split, data.text_column if is_text else data.image_column)
    report: dict[str, Any] = {"split": options.split, "num_rows": len(rows)}
    if is_localizer(options.model):
        report |= _evaluate_localizer(rows, data, options)
    elif options.classifier is not None:
        raise ValueError(
            f"`classifier` must be left out behind a model that is no AnchorNet, got "
            f"{options.classifier!r} behind {options.model!r}; nothing selects what it would read."
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
    """What `evaluate_models` says of a localizer and what stands behind it."""
    device = torch.device(options.device)
    localizer: Any = load_localizer(options.model, device, options.backend)
    labels = label_names(localizer.model)
    targets = torch.tensor(number_labels(rows, data.label_column, labels))
    report: dict[str, Any] = {}
    batches = _batch_inputs(localizer, rows, data, options.batch_size)
    if options.classifier is None:
        logits = [localizer.read(batch).logits.float().cpu() for batch in batches]
        report["localizer"] = score_labels(torch.cat(logits), targets)
    else:
        exits, cascade = _load_cascade(localizer, options, device)
        answers = [answer for batch in batches for answer in _follow(cascade, batch, exits)]
        logits = [answer.localizer for answer in answers]
        report["localizer"] = score_labels(torch.stack(logits), targets)
        report["classifier"] = _summarize(answers, targets, len(cascade.rule.stages))
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
    """The inputs, checked, in their order; of images no more are open than those of a batch."""
    is_text = localizer.model.main_input_name == "input_ids"
    pictures = None if is_text else open_pictures(rows, data.image_column)
    texts = rows[data.text_column] if is_text else []
    for start in tqdm(range(0, len(rows), batch_size), desc="evaluating", disable=None):
        yield [
            localizer.check_input(
                texts[row] if pictures is None else pictures[row]["pixel_values"], f"row {row}"
            )
            for row in range(start, min(start + batch_size, len(rows)))
        ]


def _load_cascade(
    localizer: Any, options: EvaluationOptions, device: torch.device
) -> tuple[bool, Cascade]:
    """Whether inputs may leave early, and the cascade; a plain classifier has one of one rule."""
    cascade = attach_cascade(options.classifier, localizer, device, options.backend)
    if cascade is not None:
        return True, cascade.override(options.thresholds)
    kind = localizer.model.config.model_type
    reader = READERS[kind].load(options.classifier, device, backend=options.backend)
    budget = options.max_tokens if kind == "anchornet_text" else options.max_patches
    if options.thresholds is None:
        return False, Cascade(localizer, reader, ExitRule.make([budget], 1.0))
    rule = ExitRule.make(reader.list_stages(budget), options.thresholds)
    return True, Cascade(localizer, reader, rule)


def _follow(cascade: Cascade, sources: list[Any], exits: bool) -> Iterator[_Answer]:
    """What was said of each input of a batch.

    Args:
        cascade: Who answers.
        sources: The inputs.
        exits: Whether inputs may leave early: if none does, the classifier answers alone.
    """
    traces = cascade.follow(sources, len(sources))
    full = cascade.reader.full_multiply_adds(sources)
    for trace, whole in zip(traces, full, strict=True):
        scores = trace.probs if exits else _rate_reading(trace)
        spent = trace.localizer_multiply_adds + trace.classifier_multiply_adds
        yield _Answer(trace.logits.float(), scores, trace.stage, spent, whole)


def _rate_reading(trace: Trace) -> Tensor:
    """Logits of the classifier alone; of the localizer where there was nothing to read."""
    return trace.average(trace.last_reading) if trace.stage else trace.logits


def _summarize(answers: Sequence[_Answer], targets: Tensor, num_stages: int) -> dict[str, Any]:
    stages = np.bincount([answer.stage for answer in answers], minlength=num_stages + 1)
    return {
        **score_labels(torch.stack([answer.scores for answer in answers]), targets),
        "multiply_adds": float(np.mean([answer.multiply_adds for answer in answers])),
        "full_multiply_adds": float(np.mean([answer.full_multiply_adds for answer in answers])),
        "stages": (stages / len(answers)).tolist(),
    }
