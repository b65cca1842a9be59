"""Explanations of a split: one record per example and explainer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hf_anchornet.data.boxes import check_boxes
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, number_labels
from hf_anchornet.explain.image_explainers import IMAGE_EXPLAINERS, explain_image
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.text_explainers import TEXT_EXPLAINERS, explain_text
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.text_words import Words

from .call_cost import measure_call
from .image_erasure import FILLS, erase_cells
from .records import Record
from .text_erasure import erase_rationale, erase_words
from .text_plausibility import check_spans, choose_rationale, smooth_scores

Scores = NDArray[np.float64]
"""(words,) or (rows, columns)."""

Degrees = dict[str, dict[str, list[float]]]
"""Probabilities as in `ErasureProbs`, by what replaces words or cells."""


@dataclass
class ExplanationOptions:
    """Explainers of the predictions of a split, and how their explanations are evaluated.

    Attributes:
        explainers: Names of explainers: "evidence", an AnchorNet's own, for texts also
            "refined_evidence", or for any classifier "integrated_gradients", "occlusion", "lime",
            "shapley", for texts "attention_rollout", for images "grad_cam"; Shapley values of parts
            that a localizer proposes, "span_shapley", "sentence_shapley", "passage_shapley",
            "span_shapley_in_context", "sentence_shapley_in_context", for images "patch_shapley";
            for a cascade "answer", the explanation of its own answer; "random" is the control.
        parts_localizer: Folder or Hub id of the AnchorNet that proposes parts; default: the
            explained model itself, if it is one.
        spans_column: Column of spans that people marked, [start, end] in characters; "": there
            is no such column.
        only_labels: Explain only examples of these labels, by name; default: all.
        true_labels: Explain the true label of each example, for spans or boxes that were marked
            by people who knew it; default: the predicted label.
        max_explained: Maximum number of examples to explain, a fixed random sample of those that
            people marked, or of all if nobody marked any; 0: all.
        smoothing: Standard deviation, in words, of the smoothing of word scores before they are
            compared with spans; 0: none.
        calibration_split: Split on which a temperature of the model is fitted first; "": none. It
            changes no prediction, but how far probabilities fall when words or cells are removed.
        mass: The hard rationale of a text is the fewest words that hold this share of the positive
            scores, in (0, 1].
        resamples: Resamples of the examples for intervals of 95 % of the scores (bootstrap); 0: no
            intervals.
        faithfulness: Also predict each example without its best words or cells and with only them.
        records: Parquet file for the records of all examples; if it exists and was made with the
            same model and settings, its records are reused.
    """

    explainers: list[str] = field(default_factory=lambda: ["evidence"])
    parts_localizer: str | None = None
    spans_column: str = "spans"
    only_labels: list[str] = field(default_factory=list)
    true_labels: bool = False
    max_explained: int = 0
    smoothing: float = 0.0
    mass: float = 0.5
    resamples: int = 1000
    calibration_split: str = ""
    faithfulness: bool = True
    records: str | None = None

    def __post_init__(self) -> None:
        """Check names and ranges."""
        unknown = sorted(set(self.explainers) - {*TEXT_EXPLAINERS, *IMAGE_EXPLAINERS})
        if unknown:
            raise ValueError(
                f"`explainers` must be among {sorted({*TEXT_EXPLAINERS, *IMAGE_EXPLAINERS})}, got "
                f"{unknown[0]!r}; choose from these."
            )
        if self.calibration_split and "answer" in self.explainers:
            raise ValueError(
                '`calibration_split` must be "" for a cascade, got '
                f"{self.calibration_split!r}; its probabilities are calibrated: leave it out."
            )
        if self.max_explained < 0:
            raise ValueError(
                f"`max_explained` must be at least 0, got {self.max_explained}; 0 explains all."
            )
        if self.resamples < 0:
            raise ValueError(f"`resamples` must be at least 0, got {self.resamples}; 0 is none.")
        if not self.smoothing >= 0:
            raise ValueError(f"`smoothing` must be at least 0, got {self.smoothing}; 0 is none.")
        if not 0 < self.mass <= 1:
            raise ValueError(f"`mass` must be in (0, 1], got {self.mass}; try 0.5.")


def explain_rows(
    subject: TextSubject | ImageSubject,
    rows: Dataset,
    data: DataOptions,
    options: ExplanationOptions,
) -> Iterator[Record]:
    """Records of one label of each example of a split, by every explainer in turn.

    The first example is explained twice and only measured the second time, so that one-time work
    such as imports does not count.

    Args:
        subject: The model to explain.
        rows: The split.
        data: Its columns.
        options: Which explainers and examples; blank texts are left out.

    Raises:
        ValueError: if a span or box is invalid, a label unknown, or an explainer cannot explain
            this kind of model.
    """
    is_text = isinstance(subject, TextSubject)
    source = _Texts(rows, data, options) if is_text else _Images(rows, data)
    targets = number_labels(rows, data.label_column, subject.labels)
    if options.true_labels and any(isinstance(target, list) for target in targets):
        raise ValueError(
            "`true_labels` must be False for examples with several labels, got True; explain the "
            "predicted ones."
        )
    chosen = choose_rows(rows, source.text_column, source.marks)
    if options.only_labels:
        wanted = _number_names(options.only_labels, subject.labels)
        chosen = [row for row in chosen if wanted & _list_labels(targets[row])]
    chosen = draw_rows(chosen, options.max_explained)
    for count, row in enumerate(tqdm(chosen, desc="explaining", disable=None)):
        example, fields = source.open(row)
        target = None if isinstance(targets[row], list) else targets[row]
        explain = partial(_explain, source, subject, example, target, options)
        if not count:
            list(explain())
        for record in explain():
            yield {"row": row, "label": target, **fields, **record}


def _list_labels(target: Any) -> set[int]:
    """The numbers of the labels of a target: a number, or a vector of 0.0 and 1.0."""
    if not isinstance(target, list):
        return {target}
    return {number for number, value in enumerate(target) if value > 0.5}


def choose_rows(rows: Dataset, text_column: str, marks: Sequence[Any]) -> list[int]:
    """The rows to explain: those that people marked, else all; without blank texts.

    Args:
        rows: The split.
        text_column: Column of the texts; "": the split holds images.
        marks: Human spans or boxes of each row.
    """
    marked = [row for row, found in enumerate(marks) if found]
    chosen = marked or list(range(len(rows)))
    if text_column:
        texts = rows[text_column]
        chosen = [row for row in chosen if texts[row].strip()]
    return chosen


def draw_rows(rows: Sequence[int], at_most: int) -> list[int]:
    """A fixed random sample of at most so many rows, in order; 0: all."""
    if not at_most or at_most >= len(rows):
        return list(rows)
    places = np.random.default_rng(0).permutation(len(rows))[:at_most]
    return [rows[place] for place in sorted(places.tolist())]


def _number_names(names: Sequence[str], labels: Sequence[str]) -> set[int]:
    unknown = sorted(set(names) - set(labels))
    if unknown:
        raise ValueError(
            f"`only_labels` must be labels of the model, {list(labels)}, got {unknown[0]!r}; check "
            "the spelling."
        )
    return {labels.index(name) for name in names}


def _explain(
    source: "_Texts | _Images",
    subject: Any,
    example: Any,
    target: int | None,
    options: ExplanationOptions,
) -> Iterator[Record]:
    """One record per explainer, without the fields of the row."""
    probs = subject.predict([example])[0]
    label = target if options.true_labels and target is not None else int(probs.argmax())
    for method in options.explainers:
        call = partial(source.explain, subject, example, label, method)
        cost = measure_call(call, subject.model.device)
        scores = cost.result
        yield {
            "explainer": method,
            "explained": label,
            "probs": probs.tolist(),
            "scores": scores.ravel().tolist(),
            "shape": list(scores.shape),
            "degrees": source.erase(example, scores, label, subject.predict)
            if options.faithfulness
            else {},
            "seconds": cost.seconds,
            "peak_mib": cost.peak_mib,
        }


class _Texts:
    """Texts and the spans that people marked."""

    explain = staticmethod(explain_text)

    def __init__(self, rows: Dataset, data: DataOptions, options: ExplanationOptions) -> None:
        self.rows, self.text_column, self.options = rows, data.text_column, options
        self.marks = _read_marks(rows, options.spans_column)

    def open(self, row: int) -> tuple[str, Record]:
        """A text and its own fields of a record."""
        text = self.rows[row][self.text_column]
        name = f"`{self.options.spans_column}` in row {row}"
        return text, {"text": text, "spans": check_spans(self.marks[row] or [], text, name)}

    def erase(self, text: str, scores: Scores, label: int, predict: Callable[..., Any]) -> Degrees:
        """Probabilities of the label without the best words and with only them."""
        words = Words.split(text)
        smooth = smooth_scores(scores, self.options.smoothing)
        mask = choose_rationale(smooth, self.options.mass)
        return {
            "cut": erase_words(words, scores, label, predict).to_record(),
            "rationale": erase_rationale(words, mask, label, predict).to_record(),
        }


class _Images:
    """Images and the boxes that people drew."""

    text_column = ""
    explain = staticmethod(explain_image)

    def __init__(self, rows: Dataset, data: DataOptions) -> None:
        self.column = data.boxes_column
        self.marks = _read_marks(rows, self.column)
        self.pictures = open_pictures(rows, data)

    def open(self, row: int) -> tuple[Any, Record]:
        """An image and its own fields of a record."""
        picture = self.pictures[row]
        boxes = check_boxes(self.marks[row] or [], f"`{self.column}` in row {row}", picture.size)
        return picture, {"size": list(picture.size), "boxes": boxes}

    def erase(self, image: Any, scores: Scores, label: int, predict: Callable[..., Any]) -> Degrees:
        """Probabilities of the label without the best cells and with only them, by fill."""
        return {
            fill: erase_cells(image, scores, label, predict, fill).to_record() for fill in FILLS
        }


def _read_marks(rows: Dataset, column: str) -> list[Any]:
    return list(rows[column]) if column in rows.column_names else [None] * len(rows)
