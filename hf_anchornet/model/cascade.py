"""A localizer, then a classifier that reads what it points at, as far as the answer is in doubt."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from transformers.utils import PushToHubMixin

from .backend import EAGER
from .cascade_file import CASCADE_FILE, find_cascade, load_settings
from .cascade_models import (
    attach_readers,
    check_opening,
    check_single_label,
    find_reader,
    load_glance,
    order_glance,
    save_readers,
    warn_of_changes,
)
from .cascade_rule import (
    DEFAULT_THRESHOLD,
    GLANCE,
    LOCALIZER,
    NGRAMS,
    OPENINGS,
    ExitRule,
    Stage,
    add_glance,
    name_stage,
)
from .cascade_trace import OpenViews, Trace, count_milliseconds, read_stages, start_traces
from .classifier import Classifier, label_names, match_labels
from .localizer import Batch, Localizer, load_localizer
from .pipeline_inputs import name_place
from .reader import Reader
from .selection import check_count


class Cascade(PushToHubMixin):
    """A localizer answers; where it is in doubt, a classifier reads what it points at.

    A text localizer may answer in two steps: its n-grams alone first, its trunk only where these
    are in doubt (`stages=["ngrams", "localizer", 64, "full"]`). Before an image localizer another
    classifier may glance at the whole image, made small (`stages=["glance", "localizer", 1]`); then
    the localizer reads only images that go on. Without the stage "localizer" it has no say, and
    only chooses the patches for those that the classifier reads. The classifier reads more from
    stage to stage: spans of a text under a growing budget, chosen by the largest absolute evidence
    for any label, or the best patches of an image, with their logits averaged. `ExitRule` defines
    the answer of a stage and when an input exits; only the others go on. An input with nothing
    (more) to read keeps its answer.

    ```python
    >>> from hf_anchornet import DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER, Cascade
    >>> cascade = Cascade.load(DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER, [32, 64, "full"])
    >>> answer = cascade("I loved it. The cast is superb, and only the ending is dull.")
    >>> answer["label"], answer["stage"]
    ('positive', 0)

    ```

    Args:
        localizer: The model that answers first.
        reader: The classifier that reads; its labels have the names of the localizer's.
        rule: Stages, thresholds and temperatures.
        record: The report of the calibration, saved with the cascade.
        glance: The classifier that glances at whole images of its `full_size`; it is saved if
            `rule` has a stage "glance".

    Raises:
        ValueError: if the labels differ, a model is multi-label, there are no n-grams or glance for
            a stage of that name, or a classifier cannot read at one of the stages.
    """

    def __init__(
        self,
        localizer: Localizer,
        reader: Reader,
        rule: ExitRule,
        record: Mapping[str, Any] | None = None,
        glance: Reader | None = None,
    ) -> None:
        for name, model in (("localizer", localizer.model), ("classifier", reader.model)):
            check_single_label(name, model)
        self.order = match_labels(localizer.model, reader.model)
        self.localizer, self.reader, self.rule, self.glance = localizer, reader, rule, glance
        self.glance_order = [] if glance is None else order_glance(glance, localizer.model)
        self.record = dict(record or {})
        self.labels = label_names(localizer.model)
        check_opening(rule.opening, self.openings)
        reader.check_stages(rule.readings)

    def __repr__(self) -> str:
        """The models, and what each stage reads until which confidence."""
        lines = [f"{type(self).__name__}("]
        models = {"localizer": self.localizer.model, "classifier": self.reader.model}
        if self.glance is not None:
            models = {"glance": self.glance.model, **models}
        first = len(models) + 1
        for name, model in models.items():
            source = model.name_or_path or "not loaded from a folder"
            lines.append(f"  {name}: {type(model).__name__} ({source})")
        thresholds = [*self.rule.thresholds, None]
        for stage, threshold in zip(self.rule.stages, thresholds, strict=True):
            name = f"{stage} alone" if stage in OPENINGS else name_stage(stage)
            exits = "answers the rest" if threshold is None else f"exits above {threshold:g}"
            lines.append(f"  stage {len(lines) - first}: {name}, {exits}")
        lines.append(f"  labels: {', '.join(self.labels)}")
        return "\n".join([*lines, ")"])

    @classmethod
    def load(  # noqa: PLR0913
        cls,
        localizer: str | PathLike[str],
        classifier: Classifier,
        stages: Sequence[Stage],
        exit_threshold: float | Sequence[float] = DEFAULT_THRESHOLD,
        full_size: int | None = None,
        device: torch.device | None = None,
        backend: str = EAGER,
        glance: Classifier | None = None,
        glance_size: int | None = None,
    ) -> "Cascade":
        """A cascade of two or three models, not calibrated: all temperatures are 1.

        Args:
            localizer: Folder or Hub id.
            classifier: A classifier of the localizer's modality, in any of its forms.
            stages: What answers and what the classifier reads, see `ExitRule`: [32, 64] is
                ["localizer", 32, 64].
            exit_threshold: One for all stages or one for each; see `ExitRule`.
            full_size: Tokens that a full text is truncated to, or side in pixels that a whole
                image is resized to; default: what the classifier reads by itself.
            device: Device of the models that are loaded here.
            backend: Runtime of all, "eager", "compile" or "onnx"; see `make_network`.
            glance: An image classifier, in any of its forms, that answers first from the whole
                image. It may be `classifier` itself, which is then loaded and saved once. "glance"
                is put in front of `stages` that do not name it.
            glance_size: Side in pixels to which it resizes whole images; default: what it reads by
                itself.
        """
        named = stages if glance is None else add_glance(stages)
        rule = ExitRule.make(named, exit_threshold)
        first = load_localizer(localizer, device, backend)
        reader = find_reader(first).load(classifier, device, full_size=full_size, backend=backend)
        eye = load_glance(reader, classifier, glance, glance_size, device, backend)
        return cls(first, reader, rule, glance=eye)

    @classmethod
    def from_pretrained(
        cls,
        source: str | PathLike[str],
        device: torch.device | None = None,
        backend: str = EAGER,
        **hub: Any,
    ) -> "Cascade":
        """The cascade of a folder or Hub id that `save_pretrained` or `push_to_hub` wrote.

        Args:
            source: Folder or Hub id.
            device: Device of the models.
            backend: As for `load`.
            hub: As for every `from_pretrained`: `revision`, `token`, `cache_dir`.

        Raises:
            OSError: if there is no cascade, it may not be read or its classifier is missing.
        """
        load_settings(source, **hub)  # without them there is no need to load a model
        return cls.attach(
            source, load_localizer(source, device, backend, **hub), device, backend, **hub
        )

    @classmethod
    def attach(
        cls,
        source: str | PathLike[str],
        localizer: Localizer,
        device: torch.device | None = None,
        backend: str = EAGER,
        **hub: Any,
    ) -> "Cascade":
        """As `from_pretrained`, with a localizer that is loaded already."""
        saved = load_settings(source, **hub)
        reader, glance = attach_readers(
            saved, find_reader(localizer), source, device, backend, **hub
        )
        rule = ExitRule.make(saved["stages"], saved["thresholds"], saved["temperatures"])
        warn_of_changes(saved["calibration"], localizer)
        return cls(localizer, reader, rule, saved["calibration"], glance)

    def save_pretrained(
        self, folder: str | PathLike[str], copy_classifier: bool = True, **kwargs: Any
    ) -> None:
        """Write one folder: the localizer, `cascade.json` and the classifier in `classifier/`.

        A classifier that glances is written to `glance/`, unless it is the same one.

        Pipelines load the folder as that of the localizer, too.

        Args:
            folder: Target folder.
            copy_classifier: `False` saves only the Hub id or path that a classifier came from.
            kwargs: For the models' `save_pretrained`.

        Raises:
            ValueError: if only a reference is to be saved and the classifier has none.
        """
        self.localizer.save_pretrained(folder, **kwargs)
        glance = self.glance if GLANCE in self.rule.stages else None
        readers = save_readers(self.reader, glance, folder, copy_classifier, **kwargs)
        saved = asdict(self.rule) | readers | {"calibration": self.record}
        Path(folder, CASCADE_FILE).write_text(json.dumps(saved, indent=2) + "\n", "utf-8")

    def override(self, exit_threshold: float | Sequence[float] | None) -> "Cascade":
        """The same cascade with other thresholds; `None` changes nothing."""
        return self.follow_rule(self.rule.override(exit_threshold))

    def follow_rule(self, rule: ExitRule, record: Mapping[str, Any] | None = None) -> "Cascade":
        """A cascade of the same models with another exit rule; by default with the same record."""
        kept = self.record if record is None else record
        return Cascade(self.localizer, self.reader, rule, kept, self.glance)

    @property
    def openings(self) -> tuple[Stage, ...]:
        """The opening stages for which there are models, cheapest first."""
        glance = [] if self.glance is None else [GLANCE]
        return (*glance, *([NGRAMS] if self.localizer.has_ngrams else []), LOCALIZER)

    def __call__(
        self,
        inputs: Any,
        exit_threshold: float | Sequence[float] | None = None,
        batch_size: int = 32,
    ) -> Any:
        """The answer for one text or image, or a list of answers for a list of them.

        Each answer is a dict: `label`, `score`, `stage` (the last at which there was something to
        read: its number in `rule.stages`, from 0) and `cost`: `localizer_multiply_adds`,
        `classifier_multiply_adds`, `full_multiply_adds` (of the classifier on the full input) and
        `milliseconds`; of a cascade that opens with a glance also `glance_multiply_adds`.

        Args:
            inputs: Texts, or images as `open_image` takes them; one or a list.
            exit_threshold: Thresholds to use instead of the rule's.
            batch_size: Inputs in one forward pass.

        Raises:
            TypeError: if an input is of the wrong type, naming its place.
            ValueError: if an option is out of range or an input cannot be read.
        """
        rule = self.rule.override(exit_threshold)
        check_count("batch_size", batch_size)
        single = not isinstance(inputs, list | tuple)
        sources = [
            self.localizer.check_input(item, "`inputs`" if single else name_place(index))
            for index, item in enumerate([inputs] if single else inputs)
        ]
        answers = self.describe(self.follow(sources, batch_size, rule), sources)
        return answers[0] if single else answers

    def follow(
        self, sources: Sequence[Any], batch_size: int = 32, rule: ExitRule | None = None
    ) -> list[Trace]:
        """The trace of each checked input through the stages until it exits; see `__call__`.

        `rule` may have other thresholds than the cascade's own.
        """
        order = sorted(range(len(sources)), key=lambda row: self.localizer.measure(sources[row]))
        traces: dict[int, Trace] = {}
        for start in range(0, len(sources), batch_size):
            rows = order[start : start + batch_size]
            started = perf_counter()
            batch = self.open([sources[row] for row in rows])
            opened = self.start(batch, count_milliseconds(started), rule)
            traces.update(zip(rows, opened, strict=True))
        self.read(list(traces.values()), batch_size, rule)
        return [traces[row] for row in range(len(sources))]

    def open(self, sources: Sequence[Any], pixels: Any = None) -> Batch:
        """The batch of these checked inputs, at least one, at the first stage.

        Args:
            sources: The inputs.
            pixels: For a cascade that opens with a glance, see `GlancedImages`.
        """
        opened: Batch
        if self.glance is not None and GLANCE in self.rule.stages:
            opened = self.glance.glance(sources, self.glance_order, self.localizer, pixels=pixels)
        else:
            opened = self.localizer.start(sources, self.rule.opening)
        return opened

    def start(
        self,
        batch: Batch,
        milliseconds: float,
        rule: ExitRule | None = None,
        open_views: OpenViews | None = None,
    ) -> list[Trace]:
        """The opening stages of a batch; see `start_traces`.

        `rule` replaces the cascade's own, and `open_views` the way in which inputs are opened.
        """
        chosen = rule or self.rule
        readings = chosen.readings
        opening = open_views or (lambda batch, rows: self.reader.open(batch, rows, readings))
        return start_traces(batch, opening, chosen, milliseconds)

    def read(
        self, traces: Sequence[Trace], batch_size: int = 32, rule: ExitRule | None = None
    ) -> None:
        """Take traces from `start` through the later stages until each exits."""
        read_stages(traces, self.reader, self.order, rule or self.rule, batch_size)

    def describe(self, traces: Sequence[Trace], sources: Sequence[Any]) -> list[dict[str, Any]]:
        """The answers, see `__call__`, from traces and the inputs that they belong to."""
        views = [trace.view for trace in traces]
        full = self.reader.full_multiply_adds(sources, views)
        glances = GLANCE in self.rule.stages
        return [
            {
                "label": self.labels[int(trace.probs.argmax())],
                "score": trace.confidence,
                "stage": trace.stage,
                "cost": {
                    **({"glance_multiply_adds": trace.glance_multiply_adds} if glances else {}),
                    "localizer_multiply_adds": trace.localizer_multiply_adds,
                    "classifier_multiply_adds": trace.classifier_multiply_adds,
                    "full_multiply_adds": whole,
                    "milliseconds": trace.milliseconds,
                },
            }
            for trace, whole in zip(traces, full, strict=True)
        ]


def attach_cascade(
    classifier: Any, localizer: Localizer, device: torch.device, backend: str
) -> Cascade | None:
    """The cascade that `classifier` is or names, with this localizer; `None` for a classifier."""
    if hasattr(classifier, "rule"):  # a cascade of this class or, in remote code, of its twin
        known = classifier.rule
        rule = ExitRule.make(known.stages, known.thresholds, known.temperatures)
        glance = getattr(classifier, "glance", None)  # a twin may be of an earlier version
        return Cascade(localizer, classifier.reader, rule, classifier.record, glance)
    if find_cascade(classifier) is None:
        return None
    return Cascade.attach(classifier, localizer, device, backend)
