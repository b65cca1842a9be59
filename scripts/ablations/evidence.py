"""Ways to make evidence agree with people, trained and evaluated alike on validation splits."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import load_dataset
from filelock import FileLock
from torch import Tensor
from transformers import AutoTokenizer

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.explain_split import ExplanationOptions, explain_rows
from hf_anchornet.evaluation.summary import ExplanationSummary
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.files import write_json
from hf_anchornet.model.geometry import center_evidence
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer
from scripts.benchmarks.evidence_tables import make_idea_table
from scripts.options import parse_options

ENTROPY, CONTINUITY = 0.02, 0.01
"""Weights of two rejected penalties; larger ones would lower the accuracy."""

JUDGED = ("evidence", "refined_evidence")
FREE = ("ideas", "teacher", "output_dir", "output")
"""Options that may differ between processes that share the ideas among them."""


# transformers finds the loss by the end of these names.
class BySizeForSequenceClassification(AnchorNetTextForSequenceClassification):
    """Evidence costs in proportion to the size of its window."""

    @property
    def branch_penalties(self) -> list[float]:
        """The usual penalties, times the sizes of the windows."""
        penalties = zip(super().branch_penalties, self.windows, strict=True)
        return [penalty * window.size for penalty, window in penalties]


class ByEntropyForSequenceClassification(AnchorNetTextForSequenceClassification):
    """Evidence on many windows costs more than the same on few: entropy of its shares."""

    def penalize(self, evidence: Sequence[Tensor]) -> Tensor:
        """The usual penalty, plus the entropy in nats of the shares of absolute evidence."""
        strength = [center_evidence(branch).abs().amax(dim=-1) for branch in evidence]
        shares = torch.cat(strength, dim=1)  # (batch, patches)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-6)
        # Not at 0, where the slope is infinite.
        entropy: Tensor = torch.special.entr(shares.clamp(min=1e-9)).sum(dim=1).mean()
        return super().penalize(evidence) + ENTROPY * entropy


class ByContinuityForSequenceClassification(AnchorNetTextForSequenceClassification):
    """Evidence that changes from window to window costs more: total variation."""

    def penalize(self, evidence: Sequence[Tensor]) -> Tensor:
        """The usual penalty, plus absolute differences of neighbours (Lei et al. 2016, eq. 5)."""
        steps = [center_evidence(branch).diff(dim=1).abs().sum() for branch in evidence]
        return super().penalize(evidence) + CONTINUITY * torch.stack(steps).sum() / len(evidence[0])


BEFORE: dict[str, Any] = {"gated": False}
"""Changes for all ideas: the defaults from before one of the ideas became the default."""


class Idea(NamedTuple):
    """One way to train.

    Attributes:
        changes: Changes to the `TextLocalizerOptions`.
        model_class: Class of the model.
        taught: Whether a teacher labels pieces of the texts.
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
    """Options of the comparison.

    Attributes:
        span_sets: Sources with human spans for the same labels; their validation splits are used.
        ideas: Names in `IDEAS`; default: all, those with a teacher only if one is given.
        smoothing: Word scores are evaluated as they are and smoothed by this, in words.
        output: JSON file to write after each idea; ideas that it holds already are kept, so that
            several processes may share the work.
    """

    span_sets: list[str]
    ideas: list[str] = field(default_factory=list)
    smoothing: float = 3.0
    output: str = "results/ablation_evidence.json"

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
    """Accuracy on the validation split and agreement with people, for each idea.

    Args:
        data: The training data of all ideas.
        options: Options of the comparison.
        localizer: Options that all ideas share; the teacher is used by those that need one.
        training: Options of each training.
        progress: Called with the report so far after each idea.

    Returns:
        `settings`, and `ideas`: for each `accuracy` and, by set in `sets`, the result of
        `score_text_plausibility` for evidence and refined evidence.

    Raises:
        ValueError: If an idea needs a teacher and none is given.
    """
    localizer = replace(localizer, **BEFORE)
    able = [name for name in IDEAS if localizer.teacher is not None or not IDEAS[name].taught]
    options = replace(options, ideas=options.ideas or able)
    if not set(options.ideas) <= set(able):
        raise ValueError(
            "`teacher` must be a classifier for these `ideas`, got None; name one or leave out the "
            "ideas with a teacher."
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
    """One report of two, so that several processes may share the ideas; the second one wins.

    Args:
        known: Report of `compare_evidence`, or {} if there is none yet.
        report: Report of other ideas.

    Raises:
        ValueError: If their options differ.
    """
    if not known:
        return report
    first, settings = known["settings"], report["settings"]
    different = [
        group
        for group, options in settings.items()
        # A new option, which the first report lacks, is no difference.
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


def main() -> None:
    """Parse the options, train, evaluate, write, print."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data, options, localizer, training = parse_options(
        DataOptions,
        EvidenceAblationOptions,
        TextLocalizerOptions,
        TrainingOptions,
        description=__doc__,
    )
    path = Path(options.output)

    def save(report: dict[str, Any]) -> None:
        with FileLock(f"{path}.lock"):
            known = json.loads(path.read_text("utf-8")) if path.exists() else {}
            write_json(path, merge_reports(known, report))

    print(make_idea_table(compare_evidence(data, options, localizer, training, save)))


if __name__ == "__main__":
    main()
