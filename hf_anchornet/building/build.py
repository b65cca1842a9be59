"""One run from labelled data, or a classifier and plain inputs, to a measured folder."""

import logging
import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator, PartialState
from transformers import AutoConfig, AutoTokenizer

from hf_anchornet.data.paths import is_local, refuse_data_folder
from hf_anchornet.data.splits import (
    DataOptions,
    detect_modality,
    find_labels,
    load_split,
)
from hf_anchornet.registration import is_shipped
from hf_anchornet.training.backbone import can_start_from
from hf_anchornet.training.command import write_command
from hf_anchornet.training.output_folder import holding_folder
from hf_anchornet.training.pretrained import is_trained_classifier

from .journal import Journal, say_seconds
from .options import BuildOptions
from .plan import FULL, Plan, Work
from .planning import fit_rest, make_plan
from .preparation import prepare_splits
from .pseudo_labels import AGREEMENT
from .report import write_report
from .steps import NOUNS, BuildSteps

logger = logging.getLogger(__name__)

LEFT_OUT = {
    "output_dir",
    "budget",
    "dry_run",
    "streaming",
    "shuffle_buffer",
    "vocabulary_rows",
}
"""Options that may change when a build is continued."""

SAMPLE = 200
"""Texts whose length is measured for the plan."""

IMAGE_SIDE = 192


def build(
    data: DataOptions, options: BuildOptions, show: Callable[[str], Any] = logger.info
) -> dict[str, Any]:
    """The report of a build, also written to build.json in its folder.

    Args:
        data: The source; splits that it lacks are held out of the training rows.
        options: What to build, and how much time it may take.
        show: Called with each line of the plan and of the summary.

    Returns:
        `options`, `steps` with the seconds and the result of each, `plan` and, when it is
        finished, `measured` and `verdict`.

    Raises:
        ValueError: if the data has several labels a row, fewer than two labels or too few rows;
            if there are neither labels nor a classifier that gives them; if the classifier has
            other labels; if the budget is too short; or if the folder holds a build with other
            options or from other rows.
    """
    if PartialState().num_processes > 1:
        raise ValueError(
            f"`build` must run in one process, got {PartialState().num_processes}; train with "
            "`accelerate launch -m hf_anchornet train` instead."
        )
    refuse_data_folder(options.output_dir, data.dataset)
    decisive = {
        name: value
        for name, value in (asdict(data) | asdict(options)).items()
        if name not in LEFT_OUT
    }
    if options.dry_run:  # which leaves nothing behind
        journal = Journal(options.output_dir, decisive)
        with tempfile.TemporaryDirectory() as folder:
            return _build(data, replace(options, output_dir=folder), journal, show)
    with holding_folder(options.output_dir, Accelerator()):
        return _build(data, options, Journal(options.output_dir, decisive), show)


def _build(
    data: DataOptions, options: BuildOptions, journal: Journal, show: Callable[[str], Any]
) -> dict[str, Any]:
    """See `build`."""
    name, command = data.dataset, _write_command(data, options)
    data, options, notes = prepare_splits(data, options, journal)
    for note in notes:
        show(note)
    known = journal.content.get("plan")
    work = _describe_work(data, options)
    if known:
        budget = math.inf if options.seconds is None else options.seconds
        plan = fit_rest(Plan.from_json(known), work, budget, journal.seconds)
    else:
        plan = make_plan(work, options.seconds)
    train, validation, test = work.num_rows
    show(
        f"{name}: {train:,} {NOUNS[work.modality]} to learn from, {validation:,} to "
        f"calibrate on, {test:,} to compare on"
    )
    for line in plan.describe(work.modality):
        show(line)
    journal.content |= {"plan": plan.to_json()}
    if options.dry_run:
        return journal.content
    journal.content |= {"notes": notes}
    journal.write()
    steps = BuildSteps(data, options, plan, work, command)
    journal.run("localizer", steps.train_localizer)
    _keep_budget(steps, journal, show)
    if steps.plan.adapt_rows:
        journal.run("classifier", steps.adapt_classifier)
        _keep_budget(steps, journal, show)
    if steps.plan.use_classifier:
        journal.run("calibration", steps.calibrate)
        _keep_budget(steps, journal, show)
    agreement = any(AGREEMENT in note for note in notes)
    measured = journal.run("evaluation", partial(steps.evaluate, agreement))
    journal.forget_lost("folder")
    journal.run("folder", partial(steps.write_folder, measured))
    journal.content |= {"measured": measured, "verdict": measured["verdict"]}
    journal.finish()
    examples = steps.show_examples()
    write_report(Path(options.output_dir), journal.content, NOUNS[work.modality], examples)
    spent = sum(journal.seconds.values())
    for line in _summarize(measured, spent, options.output_dir):
        show(line)
    if Path(data.dataset).is_relative_to(options.output_dir):
        show(f"the splits, for `anchornet evaluate`: {_name_data(data)}")
    return journal.content


def _keep_budget(steps: BuildSteps, journal: Journal, show: Callable[[str], Any]) -> None:
    """Shorten the steps that are left if those before took too long, and say so."""
    budget, before = steps.options.seconds, steps.plan
    if budget is None:
        return
    steps.plan = fit_rest(before, steps.work, budget, journal.seconds)
    journal.content["plan"] = steps.plan.to_json()
    for sentence in steps.plan.shortened[len(before.shortened) :]:
        show(f"shortened: {sentence}")
    if steps.plan.total > budget:
        over = say_seconds(steps.plan.total - budget)
        show(f"the budget is exceeded by about {over}: nothing that is left can be shortened")


def _name_data(data: DataOptions) -> str:
    """The options of a command for a data set."""
    return write_command("evaluate", [DataOptions], asdict(data)).removeprefix(
        "anchornet evaluate "
    )


def _write_command(data: DataOptions, options: BuildOptions) -> str:
    """The command of this build; of local paths only the last part is kept."""
    given = asdict(data) | asdict(options)
    for name in ("dataset", "classifier", "output_dir"):
        source = given[name]
        is_path = source is not None and "://" not in source and is_local(source)
        if is_path and not is_shipped(source):
            given[name] = Path(source).name
    return write_command("build", [DataOptions, BuildOptions], given)


def _describe_work(data: DataOptions, options: BuildOptions) -> Work:
    """What there is to do, from the splits and the classifier's config."""
    modality = detect_modality(data)
    inputs = data.input_column(modality)
    others = (data.validation_split, options.test_split)
    rows = load_split(data, data.train_split, inputs)
    counts = [len(load_split(data, split, inputs)) for split in others]
    size, trained, readable = float(IMAGE_SIDE), False, FULL
    classifier = options.classifier
    config = None if classifier is None else AutoConfig.from_pretrained(classifier)
    if modality == "text":
        size, readable = _measure_length(rows[inputs], classifier, config)
    is_backbone = modality == "image" and classifier is not None and can_start_from(classifier)
    if config is not None:
        labels = find_labels(rows, data.label_column)
        trained = is_trained_classifier(config) and sorted(config.id2label.values()) == sorted(
            labels
        )
    counted = (len(rows), counts[0], counts[1])
    return Work(modality, counted, size, classifier, trained, readable, is_backbone)


def _measure_length(texts: Any, classifier: str | None, config: Any) -> tuple[float, int]:
    """Mean number of tokens of a text, from some texts, and the most that a classifier reads."""
    sample = [str(text) for text in texts[:SAMPLE]]
    if classifier is None:
        return 1.3 * sum(len(text.split()) for text in sample) / len(sample), FULL
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    positions = getattr(config, "max_position_embeddings", FULL)
    readable = int(min(FULL, positions, tokenizer.model_max_length))
    lengths = map(len, tokenizer(sample, truncation=False, verbose=False)["input_ids"])
    return sum(min(readable, length) for length in lengths) / len(sample), readable


def _summarize(measured: dict[str, Any], seconds: float, folder: str) -> list[str]:
    """The table, the verdict and what to do next."""
    lines = [
        f"{measured['num_rows']:,} rows of split {measured['split']}:",
        f"  {'':<14} {'accuracy':>9} {'macro F1':>9} {'ms':>8}",
    ]
    for name, scores in measured["compared"].items():
        lines.append(
            f"  {name:<14} {scores['accuracy']:>9.3f} {scores['macro_f1']:>9.3f} "
            f"{scores['milliseconds']:>8.2f}"
        )
    return [
        *lines,
        measured["verdict"]["text"],
        f"built {folder} in {say_seconds(seconds)}; open {folder}/report.html",
        f"next: anchornet publish --folder {folder} --repo-id you/name --dry-run",
    ]
