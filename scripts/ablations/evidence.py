"""What makes evidence agree with people: each idea trained and judged alike."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import load_dataset
from torch import Tensor
from transformers import AutoTokenizer

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.explain_split import ExplanationOptions, explain_rows
from hf_anchornet.evaluation.summary import ExplanationSummary
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.geometry import center_evidence
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.train.options import TrainingOptions
from hf_anchornet.train.text_training import TextLocalizerOptions, train_text_localizer

ENTROPY, CONTINUITY = 0.02, 0.01
"""Weights of two penalties that lost: no more than these leave the accuracy as it is."""

JUDGED = ("evidence", "refined_evidence")
FREE = ("ideas", "teacher", "output_dir")
"""Options that may differ between processes that share the ideas."""


# transformers finds the loss by the end of these names.
class BySizeForSequenceClassification(AnchorNetTextForSequenceClassification):
    """Evidence costs what it covers: a window of five tokens five times one of a token."""

    @property
    def branch_penalties(self) -> list[float]:
        """As always, times the size of the window."""
        penalties = zip(super().branch_penalties, self.windows, strict=True)
        return [penalty * window.size for penalty, window in penalties]


class ByEntropyForSequenceClassification(AnchorNetTextForSequenceClassification):
    """Evidence on few windows costs less than the same on many: entropy of its shares."""

    def penalize(self, evidence: Sequence[Tensor]) -> Tensor:
        """As always, and the entropy of the windows' shares in the absolute evidence, in nats."""
        strength = [center_evidence(branch).abs().amax(dim=-1) for branch in evidence]
        shares = torch.cat(strength, dim=1)  # (batch, patches)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-6)
        # Not at 0, where the slope is infinite.
        entropy: Tensor = torch.special.entr(shares.clamp(min=1e-9)).sum(dim=1).mean()
        return super().penalize(evidence) + ENTROPY * entropy


class ByContinuityForSequenceClassification(AnchorNetTextForSequenceClassification):
    """Evidence that changes from window to window costs more: total variation."""

    def penalize(self, evidence: Sequence[Tensor]) -> Tensor:
        """As always, and the absolute differences of neighbours (Lei et al. 2016, equation 5)."""
        steps = [center_evidence(branch).diff(dim=1).abs().sum() for branch in evidence]
        return super().penalize(evidence) + CONTINUITY * torch.stack(steps).sum() / len(evidence[0])


BEFORE: dict[str, Any] = {"gated": False}
"""What all ideas change: the options as they were before one of them won and became the default."""


class Idea(NamedTuple):
    """One way to train.

    Attributes:
        changes: To the `TextLocalizerOptions`.
        model_class: Class of the model.
        taught: Whether a teacher teaches pieces of the texts.
    """

    changes: dict[str, Any]
    model_class: type[AnchorNetTextForSequenceClassification] = (
        AnchorNetTextForSequenceClassification
    )
    taught: bool = False


IDEAS = {
    "default": Idea({}),
    "no penalty": Idea({"evidence_penalty": 0.0, "ngram_penalty": 0.0}),
    "penalty x 3": Idea({"evidence_penalty": 0.03, "ngram_penalty": 0.15}),
    "penalty by size": Idea({}, BySizeForSequenceClassification),
    "entropy": Idea({}, ByEntropyForSequenceClassification),
    "continuity": Idea({}, ByContinuityForSequenceClassification),
    "learned gate": Idea({"gated": True}),
    "no word dropout": Idea({"token_dropout_prob": 0.0}),
    "word dropout .4": Idea({"token_dropout_prob": 0.4}),
    "windows 1 to 17": Idea({"kernel_sizes": [3, 3, 3, 3], "dilations": [1, 1, 2, 4]}),
    "no n-grams": Idea({"ngram_sizes": []}),
    "n-grams of one token": Idea({"ngram_sizes": [1]}),
    "one token, by size": Idea({"ngram_sizes": [1]}, BySizeForSequenceClassification),
    "whole texts": Idea({"crop_tokens": 100_000}),
    "teacher, sentences": Idea({}, taught=True),
    "teacher, phrases": Idea({"piece_words": [3, 12]}, taught=True),
}


@dataclass
class EvidenceAblationOptions:
    """Which ideas are compared, and on what.

    Attributes:
        span_sets: Sources with spans that people marked, of the same labels; their validation
            splits are looked at.
        ideas: Names in `IDEAS`; default: all, those with a teacher only if there is one.
        smoothing: Word scores are compared as they are and smoothed by this, in words.
    """

    span_sets: list[str]
    ideas: list[str] = field(default_factory=list)
    smoothing: float = 3.0

    def __post_init__(self) -> None:
        """Check the names."""
        unknown = sorted(set(self.ideas) - set(IDEAS))
        if unknown:
            raise ValueError(f"`ideas` must be among {sorted(IDEAS)}, got {self.ideas}.")


def compare_evidence(
    data: DataOptions,
    options: EvidenceAblationOptions,
    localizer: TextLocalizerOptions,
    training: TrainingOptions,
    progress: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """For each idea the accuracy on the validation split and the agreement with people.

    Args:
        data: What all learn from.
        options: Which ideas, judged on what.
        localizer: What all have in common; its teacher teaches those that have one.
        training: How all are trained.
        progress: Called with the report so far after each idea.

    Returns:
        `settings`, and `ideas`: for each `accuracy` and by set, in `sets`, what
        `score_plausibility` says of evidence and refined evidence.

    Raises:
        ValueError: if an idea needs a teacher and there is none.
    """
    localizer = replace(localizer, **BEFORE)
    able = [name for name in IDEAS if localizer.teacher is not None or not IDEAS[name].taught]
    options = replace(options, ideas=options.ideas or able)
    if not set(options.ideas) <= set(able):
        raise ValueError(
            "`teacher` must be a classifier for the ideas with one, got None; name one or leave "
            "these `ideas` out."
        )
    common: dict[str, Any] = {
        "data": data,
        "ablation": options,
        "localizer": localizer,
        "training": training,
    }
    report: dict[str, Any] = {
        "settings": {name: asdict(each) for name, each in common.items()},
        "ideas": {},
    }
    for name in options.ideas:
        folder = str(Path(training.output_dir, name.replace(" ", "_")))
        report["ideas"][name] = _train_and_judge(
            IDEAS[name], data, options, localizer, replace(training, output_dir=folder)
        )
        progress(report)
    return report


def _train_and_judge(
    idea: Idea,
    data: DataOptions,
    options: EvidenceAblationOptions,
    localizer: TextLocalizerOptions,
    training: TrainingOptions,
) -> dict[str, Any]:
    teacher = localizer.teacher if idea.taught else None
    chosen = replace(localizer, teacher=teacher, **idea.changes)
    trained = train_text_localizer(data, chosen, training, idea.model_class)
    model = idea.model_class.from_pretrained(training.output_dir)
    subject = TextSubject(model, AutoTokenizer.from_pretrained(training.output_dir))
    judging = ExplanationOptions(list(JUDGED), faithfulness=False)
    sets = {}
    for source in options.span_sets:
        rows = load_dataset(source, split="validation")
        summary = ExplanationSummary(options.smoothing)
        for record in explain_rows(subject, rows, DataOptions(source), judging):
            summary.add(record)
        found = summary.report()["explainers"]
        sets[Path(source).name] = {name: found[name]["plausibility"] for name in JUDGED}
    return {"accuracy": trained["best"]["accuracy"], "sets": sets}


def merge_reports(known: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """One report of two, so that several processes may compare ideas; the second one counts.

    Args:
        known: From `compare_evidence`; empty: there is none yet.
        report: The same, of other ideas.

    Raises:
        ValueError: if they were not trained and judged alike.
    """
    if not known:
        return report
    first, settings = known["settings"], report["settings"]
    different = [
        group
        for group, options in settings.items()
        # An option that the first did not know yet is no difference.
        if any(
            first[group].get(name, value) != value
            for name, value in options.items()
            if name not in FREE
        )
    ]
    if different:
        raise ValueError(
            f"`output` must hold ideas of the same options, got others for {different}; name "
            "another file or move that one away."
        )
    found = known["ideas"] | report["ideas"]
    ideas = {name: found[name] for name in IDEAS if name in found}
    ablation = settings["ablation"] | {"ideas": list(ideas)}
    return {"settings": settings | {"ablation": ablation}, "ideas": ideas}
