"""The steps of a build; each calls the part of the package that does the work."""

import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from hf_anchornet.calibration.calibrate import calibrate, list_candidates
from hf_anchornet.calibration.options import CalibrationOptions
from hf_anchornet.calibration.summary import find_warnings
from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.labels import name_row
from hf_anchornet.data.splits import DataOptions, class_names, load_split
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from hf_anchornet.evaluation.explanations import evaluate_explanations
from hf_anchornet.files import CHECKPOINTS_FOLDER, finish_folder, start_folder, write_json
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.publishing.calibrated_folder import save_calibrated
from hf_anchornet.publishing.card import (
    EVALUATION_FILE,
    PICTURE_FILE,
    TRAINING_FILE,
    CardSources,
    read_training,
    write_card,
)
from hf_anchornet.publishing.model_files import list_model_files
from hf_anchornet.registration import DEFAULT_IMAGE_LOCALIZER, TASKS, load_pipeline
from hf_anchornet.training.image_adaptation import adapt_image_classifier
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_readings import ImageClassifierOptions
from hf_anchornet.training.image_training import train_image_localizer
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions, adapt_text_classifier
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer
from hf_anchornet.views.image_html import render_patches_html
from hf_anchornet.views.page import escape
from hf_anchornet.views.text_view import render_html

from .measurement import measure_models
from .options import BuildOptions
from .picture import draw_scores
from .plan import (
    EXPLAINED,
    FEW_ROWS,
    Plan,
    Work,
    choose_learning,
    count_learned,
)
from .verdict import judge

logger = logging.getLogger(__name__)

WIDE_ENOUGH = 128
"""Width from which an encoder has embeddings to start from."""
STARTED_SIDE, STARTED_CROP = 176, 144
"""Pixels of whole pictures and of crops for a localizer that starts from pretrained blocks, which
have three times the channels of new ones; crops show objects larger than the whole picture does."""
CHECKPOINT_STEPS = 200
"""Most steps between two checkpoints; there is one at least once an epoch."""
NOUNS = {"text": "texts", "image": "images"}
EXAMPLES = 3
"""Inputs that the report shows."""


class BuildSteps:
    """The steps, in their order; what one leaves in the folder the next takes.

    Args:
        data: The source, with training, validation and test split.
        options: Options of the build.
        plan: The plan.
        work: What there is to do.
        command: The command that repeats the build, without paths of this machine.
    """

    def __init__(
        self, data: DataOptions, options: BuildOptions, plan: Plan, work: Work, command: str
    ) -> None:
        self.command = command
        self.data, self.options, self.plan, self.work = data, options, plan, work
        self.folder = Path(options.output_dir)
        self.inputs = data.input_column(work.modality)
        self.localizer = self.folder / "steps" / "localizer"
        self.adapted = self.folder / "steps" / "classifier"
        self.model = self.folder / "steps" / "model"

    def train_localizer(self) -> dict[str, Any]:
        """Train the localizer; `best`, the scores of its best epoch."""
        learning = choose_learning(self.work, self.plan.teach)
        rows = round(count_learned(self.work, self.plan.teach))
        names = ("num_epochs", "batch_size", "patience")
        chosen = {name: getattr(learning, name) for name in names}
        options = self._make_options(self.localizer, rows, **chosen)
        if self.work.modality == "text":
            teacher = self.options.classifier if self.plan.teach else None
            text = TextLocalizerOptions(teacher=teacher, encoder=self._find_encoder())
            report = train_text_localizer(self.data, text, options)
        else:
            localizer, augmentation = self._choose_image_localizer()
            report = train_image_localizer(self.data, localizer, augmentation, options)
        return {"folder": str(self.localizer), "best": report["best"]}

    def _choose_image_localizer(self) -> tuple[ImageLocalizerOptions, AugmentationOptions]:
        """One that starts from the classifier's blocks, or else from the shipped localizer."""
        started: dict[str, Any] = {"from_localizer": str(DEFAULT_IMAGE_LOCALIZER)}
        if self.plan.start:
            classifier = self.options.classifier
            teacher = classifier if self.plan.teach else None
            started = {"backbone": classifier, "teacher": teacher}
            started |= {"gated": True, "count_exponent": 0.5}
        localizer = ImageLocalizerOptions(image_size=STARTED_SIDE, **started)
        return localizer, AugmentationOptions(crop_size=STARTED_CROP)

    def _make_options(
        self, folder: Path, num_rows: int, batch_size: int, **chosen: Any
    ) -> TrainingOptions:
        """Options of a training on some rows that continues where an interrupted one was."""
        epoch = math.ceil(num_rows / batch_size)
        return TrainingOptions(
            str(folder),
            seed=self.options.seed,
            batch_size=batch_size,
            **chosen,
            checkpoint_steps=min(CHECKPOINT_STEPS, epoch),
            keep_checkpoints=1,
            resume=(folder / CHECKPOINTS_FOLDER).exists(),
        )

    def _find_encoder(self) -> str | None:
        """The classifier, if its embeddings are a good start for so few rows."""
        if self.options.classifier is None or self.work.num_rows[0] >= FEW_ROWS:
            return None
        config = AutoConfig.from_pretrained(self.options.classifier)
        return self.options.classifier if config.hidden_size >= WIDE_ENOUGH else None

    def adapt_classifier(self) -> dict[str, Any]:
        """Train the classifier on what the stages of a cascade will give it; see above."""
        plan, classifier = self.plan, self.options.classifier
        options = self._make_options(
            self.adapted,
            plan.adapt_rows,
            plan.batch_size,
            num_epochs=plan.adapt_epochs,
            gradient_accumulation_steps=plan.accumulation,
        )
        data = self.data
        if plan.adapt_rows < self.work.num_rows[0]:
            data = replace(data, max_rows=plan.adapt_rows)
        if self.work.modality == "text":
            text = TextClassifierOptions(
                str(self.localizer), classifier, reading="mix", budgets=list(plan.budgets)
            )
            report = adapt_text_classifier(data, text, options)
        else:
            image = ImageClassifierOptions(str(self.localizer), classifier, reading="mix")
            report = adapt_image_classifier(data, image, options)
        return {"folder": str(self.adapted), "best": report["best"]}

    def calibrate(self) -> dict[str, Any]:
        """Calibrate a cascade with the adapted classifier, and with a trained one as it was.

        The cheaper of the two is kept, unless it is less accurate by more than `max_loss`.

        Returns:
            `classifier`, which was kept; `is_cascade`, whether it is asked; `warnings`; `record`.
        """
        made = {source: self._calibrate(source) for source in self._list_classifiers()}
        records = {source: cascade.record for source, (cascade, _) in made.items()}
        accuracy = {source: record["accuracy"]["cascade"] for source, record in records.items()}
        wanted = max(accuracy.values()) - self.options.max_loss
        source = min(
            (source for source in made if accuracy[source] >= wanted),
            key=lambda source: records[source]["expected_cost"]["multiply_adds"]["cascade"],
        )
        calibrated, warnings = made[source]
        for warning in warnings:
            logger.warning("warning: %s", warning)
        partial = start_folder(self.model)
        is_cascade = save_calibrated(calibrated, partial, self.localizer)
        finish_folder(partial, self.model)
        kept = "as it was" if source == self.options.classifier else "adapted"
        return {
            "classifier": kept,
            "is_cascade": is_cascade,
            "warnings": warnings,
            "record": calibrated.record,
        }

    def _list_classifiers(self) -> list[str]:
        """The classifiers to calibrate with."""
        adapted = [str(self.adapted)] if self.plan.adapt_rows else []
        return adapted + ([str(self.options.classifier)] if self.work.is_trained else [])

    def _calibrate(self, classifier: str) -> tuple[Cascade, list[str]]:
        """A calibrated cascade with a classifier, and what to be warned of."""
        rows = load_split(self.data, self.data.validation_split, self.inputs)
        options = CalibrationOptions(max_loss=self.options.max_loss, best_effort=True)
        cascade = Cascade.load(self.localizer, classifier, [])
        calibrated = calibrate(cascade, rows, self.inputs, self.data.label_column, options)
        candidates = list_candidates(cascade, options)
        training = read_training(classifier) or None
        return calibrated, find_warnings(calibrated.record, candidates, training)

    def evaluate(self, agreement: bool = False) -> dict[str, Any]:
        """Compare all models on the test split; see `measure_models`.

        Args:
            agreement: Whether the labels are those that the classifier gave.
        """
        measured = measure_models(
            self.data,
            self.options.test_split,
            self.plan.test_rows,
            self.model if self.plan.use_classifier else self.localizer,
            self._find_reference(),
        )
        measured = {"dataset": Path(self.data.dataset).resolve().name} | measured
        verdict = judge(measured, self.options.max_loss, NOUNS[self.work.modality])
        if agreement:
            text = f"{verdict.text} Accuracy is agreement with your classifier here."
            verdict = verdict._replace(text=text)
        rows = load_split(self.data, self.options.test_split, self.inputs)
        explaining = ExplanationOptions(max_explained=EXPLAINED)
        measured["explanations"] = evaluate_explanations(
            str(self.localizer),
            self.options.test_split,
            rows,
            self.data,
            explaining,
            torch.device("cpu"),
        )
        return measured | {"verdict": verdict._asdict()}

    def _find_reference(self) -> str | None:
        """The user's classifier or, made from an encoder, the adapted one; `None` without."""
        if not self.plan.use_classifier:
            return None
        return self.options.classifier if self.work.is_trained else str(self.adapted)

    def write_folder(self, measured: dict[str, Any]) -> dict[str, Any]:
        """Write the model with its card into the folder of the build."""
        source = self.model if self.plan.use_classifier else self.localizer
        partial = start_folder(self.folder / "steps" / "whole")
        for name in list_model_files(source):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, partial / name)
        write_json(partial / EVALUATION_FILE, measured)
        write_json(partial / TRAINING_FILE, read_training(partial) | {"command": self.command})
        (partial / PICTURE_FILE).write_text(draw_scores(measured["compared"]), "utf-8")
        write_card(partial, CardSources(repo_id=self.folder.resolve().name))
        names = sorted(path.relative_to(partial) for path in partial.rglob("*") if path.is_file())
        for path in sorted(names, key=lambda path: path.name == "config.json"):
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).replace(self.folder / path)  # config.json last: it makes a model
        shutil.rmtree(partial)
        return {"folder": str(self.folder), "files": [path.as_posix() for path in names]}

    def show_examples(self) -> list[str]:
        """One input of the test split of each of a few labels, with its evidence, as HTML."""
        rows = load_split(self.data, self.options.test_split, self.inputs)
        run = load_pipeline(TASKS[self.work.modality], str(self.folder))
        names = class_names(rows, self.data.label_column)
        first: dict[str, int] = {}
        for row, value in enumerate(rows[self.data.label_column]):
            (label,) = name_row(value, names, f"row {row}")
            first.setdefault(label, row)
        shown = list[str]()
        for label, row in list(first.items())[:EXAMPLES]:
            if self.work.modality == "text":
                text = rows[row][self.inputs]
                answer = render_html(text, run(text))
            else:
                picture = open_pictures(rows, self.data)[row]
                answer = render_patches_html(picture, run(picture))
            shown.append(f"<p>Labelled {escape(label)} in the data:</p>{answer}")
        return shown
