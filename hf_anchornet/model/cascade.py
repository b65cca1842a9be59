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
from .cascade_file import CASCADE_FILE, CLASSIFIER_FOLDER, find_cascade, load_settings
from .cascade_rule import DEFAULT_THRESHOLD, OPENINGS, ExitRule, Stage, name_stage
from .cascade_trace import Trace, count_milliseconds, read_stages, start_traces
from .classifier import Classifier, is_multi_label, label_names, match_labels
from .localizer import MODALITIES, Batch, Localizer, load_localizer
from .reader import Reader


class Cascade(PushToHubMixin):
    """A localizer answers; where it is in doubt, a classifier reads what it points at.

    A text localizer may answer in two steps: its n-grams alone first, its trunk only where these
    are in doubt (`stages=["ngrams", "localizer", 64, "full"]`). The classifier reads more from
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

    Raises:
        ValueError: if the labels differ, a model is multi-label, the localizer has no n-grams for a
            stage "ngrams", or the classifier cannot read at one of the stages.
    """

    def __init__(
        self,
        localizer: Localizer,
        reader: Reader,
        rule: ExitRule,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        for name, model in (("localizer", localizer.model), ("classifier", reader.model)):
            if is_multi_label(model):
                raise ValueError(
                    f"`{name}` must choose one label, got a multi-label model; a cascade exits by "
                    "the confidence in one label: use the pipeline without `exit_threshold`."
                )
        self.order = match_labels(localizer.model, reader.model)
        localizer.check_opening(rule.opening)
        reader.check_stages(rule.readings)
        self.localizer, self.reader, self.rule = localizer, reader, rule
        self.record = dict(record or {})
        self.labels = label_names(localizer.model)

    def __repr__(self) -> str:
        """The models, and what each stage reads until which confidence."""
        lines = [f"{type(self).__name__}("]
        for name, model in (("localizer", self.localizer.model), ("classifier", self.reader.model)):
            source = model.name_or_path or "not loaded from a folder"
            lines.append(f"  {name}: {type(model).__name__} ({source})")
        thresholds = [*self.rule.thresholds, None]
        for stage, threshold in zip(self.rule.stages, thresholds, strict=True):
            name = f"{stage} alone" if stage in OPENINGS else name_stage(stage)
            exits = "answers the rest" if threshold is None else f"exits above {threshold:g}"
            lines.append(f"  stage {len(lines) - 3}: {name}, {exits}")
        lines.append(f"  labels: {', '.join(self.labels)}")
        return "\n".join([*lines, ")"])

    @classmethod
    def load(
        cls,
        localizer: str | PathLike[str],
        classifier: Classifier,
        stages: Sequence[Stage],
        exit_threshold: float | Sequence[float] = DEFAULT_THRESHOLD,
        full_size: int | None = None,
        device: torch.device | None = None,
        backend: str = EAGER,
    ) -> "Cascade":
        """A cascade of two models, not calibrated: all temperatures are 1.

        Args:
            localizer: Folder or Hub id.
            classifier: A classifier of the localizer's modality, in any of its forms.
            stages: What answers and what the classifier reads, see `ExitRule`: [32, 64] is
                ["localizer", 32, 64].
            exit_threshold: One for all stages or one for each; see `ExitRule`.
            full_size: Tokens that a full text is truncated to, or side in pixels that a whole
                image is resized to; default: what the classifier reads by itself.
            device: Device of the models that are loaded here.
            backend: Runtime of both, "eager", "compile" or "onnx"; see `make_network`.
        """
        rule = ExitRule.make(stages, exit_threshold)
        first = load_localizer(localizer, device, backend)
        reader = _find_reader(first).load(classifier, device, full_size=full_size, backend=backend)
        return cls(first, reader, rule)

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
        settings = load_settings(source, **hub)
        localizer = load_localizer(source, device, backend, **hub)
        return cls._attach(settings, source, localizer, device, backend, **hub)

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
        return cls._attach(load_settings(source, **hub), source, localizer, device, backend, **hub)

    @classmethod
    def _attach(
        cls,
        saved: Mapping[str, Any],
        source: str | PathLike[str],
        localizer: Localizer,
        device: torch.device | None,
        backend: str,
        **hub: Any,
    ) -> "Cascade":
        copied = saved["classifier"] is None
        hub = hub if copied else hub | {"revision": None}  # a revision of this repository
        reader = _find_reader(localizer).load(
            source if copied else saved["classifier"],
            device,
            CLASSIFIER_FOLDER if copied else "",
            saved["full_size"],
            backend,
            **hub,
        )
        rule = ExitRule.make(saved["stages"], saved["thresholds"], saved["temperatures"])
        return cls(localizer, reader, rule, saved["calibration"])

    def save_pretrained(
        self, folder: str | PathLike[str], copy_classifier: bool = True, **kwargs: Any
    ) -> None:
        """Write one folder: the localizer, `cascade.json` and the classifier in `classifier/`.

        Pipelines load the folder as that of the localizer, too.

        Args:
            folder: Target folder.
            copy_classifier: `False` saves only the Hub id or path that the classifier came from.
            kwargs: For the models' `save_pretrained`.

        Raises:
            ValueError: if only a reference is to be saved and the classifier has none.
        """
        reference = None if copy_classifier else self.reader.model.name_or_path
        if reference == "":
            raise ValueError(
                "`copy_classifier` must be True for a classifier made from a config, got False; "
                "it has no Hub id or folder to refer to."
            )
        self.localizer.save_pretrained(folder, **kwargs)
        if reference is None:
            self.reader.save_pretrained(Path(folder, CLASSIFIER_FOLDER), **kwargs)
        saved = asdict(self.rule) | {
            "classifier": reference,
            "full_size": self.reader.full_size,
            "calibration": self.record,
        }
        Path(folder, CASCADE_FILE).write_text(json.dumps(saved, indent=2) + "\n", "utf-8")

    def override(self, exit_threshold: float | Sequence[float] | None) -> "Cascade":
        """The same cascade with other thresholds; `None` changes nothing."""
        return Cascade(self.localizer, self.reader, self.rule.override(exit_threshold), self.record)

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
        `milliseconds`.

        Args:
            inputs: Texts, or images as `open_image` takes them; one or a list.
            exit_threshold: Thresholds to use instead of the rule's.
            batch_size: Inputs in one forward pass.

        Raises:
            TypeError: if an input is of the wrong type, naming its place.
            ValueError: if a threshold is out of range or an input cannot be read.
        """
        rule = self.rule.override(exit_threshold)
        single = not isinstance(inputs, list | tuple)
        sources = [
            self.localizer.check_input(item, "`inputs`" if single else f"item {index} of `inputs`")
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
            batch = self.localizer.start([sources[row] for row in rows], self.rule.opening)
            opened = self.start(batch, count_milliseconds(started), rule)
            traces.update(zip(rows, opened, strict=True))
        self.read(list(traces.values()), batch_size, rule)
        return [traces[row] for row in range(len(sources))]

    def start(self, batch: Batch, milliseconds: float, rule: ExitRule | None = None) -> list[Trace]:
        """The opening stages of a batch; see `start_traces`. `rule` replaces the cascade's own."""
        return start_traces(batch, self.reader, rule or self.rule, milliseconds)

    def read(
        self, traces: Sequence[Trace], batch_size: int = 32, rule: ExitRule | None = None
    ) -> None:
        """Take traces from `start` through the later stages until each exits."""
        read_stages(traces, self.reader, self.order, rule or self.rule, batch_size)

    def describe(self, traces: Sequence[Trace], sources: Sequence[Any]) -> list[dict[str, Any]]:
        """The answers, see `__call__`, from traces and the inputs that they belong to."""
        views = [trace.view for trace in traces]
        full = self.reader.full_multiply_adds(sources, views)
        return [
            {
                "label": self.labels[int(trace.probs.argmax())],
                "score": trace.confidence,
                "stage": trace.stage,
                "cost": {
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
        return Cascade(localizer, classifier.reader, rule, classifier.record)
    if find_cascade(classifier) is None:
        return None
    return Cascade.attach(classifier, localizer, device, backend)


def _find_reader(localizer: Localizer) -> Any:
    """The reader class of the localizer's modality."""
    return MODALITIES[localizer.model.config.model_type].reader
