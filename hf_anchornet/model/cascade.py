"""A localizer, then a classifier that reads what it points at, as far as the answer is in doubt."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from transformers.utils import PushToHubMixin, cached_file

from .backend import EAGER
from .cascade_file import read_cascade_file
from .cascade_rule import DEFAULT_THRESHOLD, ExitRule, Stage
from .cascade_trace import (
    Batch,
    Localizer,
    Reader,
    Trace,
    count_milliseconds,
    read_stages,
    start_traces,
)
from .classifier import Classifier, is_multi_label, label_names, match_labels
from .image_reader import PatchReader
from .localizer import load_localizer
from .text_reader import SpanReader

CASCADE_FILE = "cascade.json"
CLASSIFIER_FOLDER = "classifier"

READERS: dict[str, Any] = {"anchornet_text": SpanReader, "anchornet_image": PatchReader}
"""By the model type of the localizer."""


class Cascade(PushToHubMixin):
    """A localizer answers; where it is in doubt, a classifier reads what it points at.

    The classifier reads more from stage to stage: spans of a text under a growing budget, those
    of the largest absolute evidence for any label, or the best patches of an image, their logits
    averaged. `ExitRule` tells what the answer of a stage is and when an input leaves; only those
    that have not left go on. An input with nothing (more) to read keeps its answer.

    ```python
    >>> from hf_anchornet import DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER, Cascade
    >>> cascade = Cascade.load(DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER, [32, 64, "full"])
    >>> answer = cascade("I loved it. The cast is superb, and only the ending is dull.")
    >>> answer["label"], answer["stage"]
    ('positive', 0)

    ```

    Args:
        localizer: Who answers first.
        reader: Who reads; its labels have the names of the localizer's.
        rule: Stages, thresholds and temperatures.
        record: What the calibration found, kept with the cascade.

    Raises:
        ValueError: if the labels differ, if a model's labels are independent of each other or if a
            stage leaves no room for text.
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
        reader.check_stages(rule.stages)
        self.localizer, self.reader, self.rule = localizer, reader, rule
        self.record = dict(record or {})
        self.labels = label_names(localizer.model)

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
        """A cascade of two models that is not calibrated yet: all temperatures are 1.

        Args:
            localizer: Folder or Hub id.
            classifier: In any of its forms, of the localizer's modality.
            stages: What the classifier reads; see `ExitRule`.
            exit_threshold: One for all stages or one for each; see `ExitRule`.
            full_size: Tokens that a full text is cut to, or pixels of a side that a whole image
                is scaled to; default: what the classifier can read, as its processor scales.
            device: Where to put the models that are loaded here.
            backend: What computes both, "eager", "compile" or "onnx"; see `make_network`.
        """
        rule = ExitRule.make(stages, exit_threshold)
        first = load_localizer(localizer, device, backend)
        reader = READERS[first.model.config.model_type].load(
            classifier, device, full_size=full_size, backend=backend
        )
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
            device: Where to put the models.
            backend: As `load` takes it.
            hub: As for every `from_pretrained`: `revision`, `token`, `cache_dir`.

        Raises:
            OSError: if there is no cascade, it may not be read or its classifier is missing.
        """
        settings = _read_settings(source, **hub)
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
        """As `from_pretrained`, behind a localizer that is loaded already."""
        settings = _read_settings(source, **hub)
        return cls._attach(settings, source, localizer, device, backend, **hub)

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
        reader = READERS[localizer.model.config.model_type].load(
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

        The folder is the localizer's, too: pipelines load it as such.

        Args:
            folder: Where to.
            copy_classifier: `False`: keep only the Hub id or path that the classifier came from.
            kwargs: For the models' `save_pretrained`.

        Raises:
            ValueError: if only a reference is to be kept and the classifier has none.
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
        read) and `cost`: `localizer_multiply_adds`, `classifier_multiply_adds`,
        `full_multiply_adds` (of the classifier on the full input) and `milliseconds`.

        Args:
            inputs: Texts, or images as `open_image` takes them; one or a list.
            exit_threshold: Instead of the rule's thresholds.
            batch_size: Inputs in one forward pass.

        Raises:
            TypeError: if an input is of another type, naming its place.
            ValueError: if a threshold is out of range or an input cannot be read.
        """
        cascade = self.override(exit_threshold)
        if not isinstance(inputs, list | tuple):
            sources = [self.localizer.check_input(inputs, "`inputs`")]
            return cascade.describe(cascade.follow(sources, batch_size), sources)[0]
        sources = [
            self.localizer.check_input(item, f"item {index} of `inputs`")
            for index, item in enumerate(inputs)
        ]
        return cascade.describe(cascade.follow(sources, batch_size), sources)

    def follow(self, sources: Sequence[Any], batch_size: int = 32) -> list[Trace]:
        """Each checked input on its way up to the stage at which it leaves; see `__call__`."""
        order = sorted(range(len(sources)), key=lambda row: self.localizer.measure(sources[row]))
        traces: dict[int, Trace] = {}
        for start in range(0, len(sources), batch_size):
            rows = order[start : start + batch_size]
            started = perf_counter()
            batch = self.localizer.read([sources[row] for row in rows])
            traces.update(zip(rows, self.start(batch, count_milliseconds(started)), strict=True))
        self.read(list(traces.values()), batch_size)
        return [traces[row] for row in range(len(sources))]

    def start(self, batch: Batch, milliseconds: float) -> list[Trace]:
        """Stage 0 of a batch, see `start_traces`."""
        return start_traces(batch, self.reader, self.rule, milliseconds)

    def read(self, traces: Sequence[Trace], batch_size: int = 32) -> None:
        """Take traces from `start` on through the later stages, each up to where it leaves."""
        read_stages(traces, self.reader, self.order, self.rule, batch_size)

    def describe(self, traces: Sequence[Trace], sources: Sequence[Any]) -> list[dict[str, Any]]:
        """The answers, see `__call__`, from traces and the inputs that they belong to."""
        full = self.reader.full_multiply_adds(sources) if sources else []
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


def _read_settings(source: str | PathLike[str], **hub: Any) -> dict[str, Any]:
    """What `cascade.json` says."""
    try:
        path = cached_file(source, CASCADE_FILE, **hub)
    except OSError as error:
        raise OSError(
            f"`source` must be the Hub id or folder of a cascade, got {str(source)!r}; write "
            f"one with `Cascade.save_pretrained` or check id and token. {error}"
        ) from error
    return read_cascade_file(str(path))
