"""Descriptions, citations and input checks shared by the metrics of this folder.

`evaluate.load` copies a metric and the files it imports by `from .file import name`, but not what
those files import in turn, and it takes the first metric class it finds. So this file imports
nothing from the package and defines no metric.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

ERASER = """\
@inproceedings{deyoung-etal-2020-eraser,
    title = {{ERASER}: A Benchmark to Evaluate Rationalized {NLP} Models},
    author = {DeYoung, Jay and Jain, Sarthak and Rajani, Nazneen Fatema and Lehman, Eric and
              Xiong, Caiming and Socher, Richard and Wallace, Byron C.},
    booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
                 Linguistics},
    year = {2020},
}
"""

MAX_BOX_ACC = """\
@inproceedings{choe-etal-2020-evaluating,
    title = {Evaluating Weakly Supervised Object Localization Methods Right},
    author = {Choe, Junsuk and Oh, Seong Joon and Lee, Seungho and Chun, Sanghyuk and
              Akata, Zeynep and Shim, Hyunjung},
    booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
    year = {2020},
}
"""

POINTING = """\
@article{zhang-etal-2018-excitation,
    title = {Top-Down Neural Attention by Excitation Backprop},
    author = {Zhang, Jianming and Bargal, Sarah Adel and Lin, Zhe and Brandt, Jonathan and
              Shen, Xiaohui and Sclaroff, Stan},
    journal = {International Journal of Computer Vision},
    volume = {126},
    year = {2018},
}
"""

NUMBER = datasets.Value("float64")
"""Also the type of labels and offsets: an integer type would silently truncate 0.5 to 0."""
NUMBERS = datasets.List(NUMBER)
ROWS = datasets.List(NUMBERS)


def describe(
    description: str | None, citation: str, inputs: str, predictions: Any, references: Any
) -> evaluate.MetricInfo:
    """Description of a metric for `evaluate`.

    Args:
        description: Module docstring of the metric.
        citation: BibTeX entry.
        inputs: Arguments and results.
        predictions: Type of one prediction.
        references: Type of one reference.
    """
    return evaluate.MetricInfo(
        description=description,
        citation=citation,
        inputs_description=inputs,
        features=datasets.Features({"predictions": predictions, "references": references}),
    )


def compute_in_memory(
    metric: type[evaluate.Metric],
    predictions: Sequence[Any],
    references: Sequence[Any],
    **options: Any,
) -> dict[str, Any]:
    """Scores of a metric, computed without files.

    Args:
        metric: Class of the metric.
        predictions: See the metric.
        references: See the metric.
        options: Further arguments of the metric.
    """
    scores: dict[str, Any] = metric(keep_in_memory=True).compute(
        predictions=predictions, references=references, **options
    )
    return scores


def require_examples(references: Sequence[Any], unit: str) -> None:
    """Check that there is at least one document, text or example.

    Raises:
        ValueError: if there are no references.
    """
    if not references:
        raise ValueError(
            f"`references` must hold at least one {unit}, got none; check the column of references."
        )


def require_marked(found: bool, references: Sequence[Any], thing: str, unit: str) -> None:
    """Check that a human marked something in at least one document or image.

    Raises:
        ValueError: if `found` is False.
    """
    if not found:
        raise ValueError(
            f"`references` must hold a {thing} for at least one {unit}, got {len(references)} "
            f"{unit}s without any; check the column of references."
        )


def average(
    name: str, values: Sequence[float], references: Sequence[Any], thing: str, unit: str
) -> dict[str, float]:
    """Mean over the documents or images in which a human marked something, and their numbers.

    Returns:
        `name`, the mean; `num_{unit}s`, how many have a value; `num_skipped`, how many do not.

    Raises:
        ValueError: if there are no values.
    """
    require_marked(len(values) > 0, references, thing, unit)
    return {
        name: sum(values) / len(values),
        f"num_{unit}s": len(values),
        "num_skipped": len(references) - len(values),
    }


def check_words(index: int, predictions: Sequence[float], references: Sequence[float]) -> None:
    """Check the word labels of a document and that each word has one prediction.

    Raises:
        ValueError: if the two sides differ in length or a label is not 0 or 1.
    """
    if len(predictions) != len(references):
        raise ValueError(
            "`predictions` and `references` must hold one value per word, got "
            f"{len(predictions)} and {len(references)} in document {index}; split both into the "
            "same words."
        )
    check_binary("references", index, references)


def check_binary(name: str, index: int, values: Sequence[float]) -> None:
    """Check that the values of a document are 0 or 1.

    Raises:
        ValueError: if one is not.
    """
    for value in values:
        if value not in (0, 1):
            raise ValueError(
                f"`{name}` must be 0 or 1, got {value} in document {index}; apply a threshold to "
                "graded values."
            )


def check_scores(index: int, scores: Sequence[float]) -> None:
    """Check that the word scores of a document are finite.

    Raises:
        ValueError: if one is not.
    """
    for score in scores:
        if score is None or not math.isfinite(score):
            raise ValueError(
                f"`predictions` must be finite, got {score} in document {index}; give words "
                "without a score the lowest one."
            )


def check_spans(name: str, index: int, spans: Sequence[Sequence[float]]) -> None:
    """Check that the spans of a document are `[start, end)` of whole numbers.

    Raises:
        ValueError: if one is not.
    """
    for span in spans:
        whole = len(span) == 2 and all(x is not None and float(x).is_integer() for x in span)
        if not whole or not 0 <= span[0] < span[1]:
            raise ValueError(
                f"`{name}` must hold spans [start, end) of whole numbers with 0 <= start < end, "
                f"got {span} in document {index}; leave empty spans out."
            )


def check_disjoint_spans(name: str, index: int, spans: Sequence[Sequence[float]]) -> None:
    """Check the spans of a document as `check_spans` does, and that they do not overlap.

    Raises:
        ValueError: if a span is invalid or two of them overlap.
    """
    check_spans(name, index, spans)
    for first, second in pairwise(sorted(spans, key=lambda span: span[0])):
        if first[1] > second[0]:
            raise ValueError(
                f"`{name}` must not overlap within a document, got {first} and {second} in "
                f"document {index}; merge them."
            )


def check_boxes(name: str, index: int, boxes: Sequence[Sequence[float]]) -> None:
    """Check that the boxes of an image are `[x0, y0, x1, y1]`, finite and not empty.

    Raises:
        ValueError: if one is not.
    """
    for box in boxes:
        finite = len(box) == 4 and all(x is not None and math.isfinite(x) for x in box)
        if not finite or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(
                f"`{name}` must hold boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {box} "
                f"for image {index}; give corners, not width and height."
            )


def check_objects(
    index: int, boxes: Sequence[Sequence[float]], size: tuple[float, float] = (math.inf, math.inf)
) -> None:
    """Check the human boxes of an image: as `check_boxes`, in pixels and inside the image.

    Args:
        index: Number of the image.
        boxes: The human boxes.
        size: Width and height of the image, if they are known.

    Raises:
        ValueError: if a box is invalid, in fractions of the image or outside it.
    """
    check_boxes("references", index, boxes)
    for box in boxes:
        if max(box) <= 1:
            raise ValueError(
                f"`references` must hold boxes in pixels, got {box} for image {index}, which looks "
                "like fractions; multiply them by the width and height of the image."
            )
        # Boxes that were scaled to a map may exceed it by an error of rounding.
        far = any(edge > limit * (1 + 1e-9) for edge, limit in zip(box[2:], size, strict=True))
        if min(box) < 0 or far:
            within = f" of {size[0]} x {size[1]} pixels" if far else ""
            raise ValueError(
                f"`references` must hold boxes inside the image{within}, got {box} for image "
                f"{index}; give them in pixels of the image or, for maps, of the map."
            )


def check_map(index: int, values: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Score map of an image as an array: (rows, columns), float64, finite.

    Raises:
        ValueError: if rows differ in length, the map is empty or a value is not finite.
    """
    lengths = sorted({len(row) for row in values})
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(
            f"`predictions` must hold rows of one length, got rows of {lengths} values for image "
            f"{index}; give one value per pixel."
        )
    scores = np.array(values, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"`predictions` must be finite, got {scores[~np.isfinite(scores)][0]} for image "
            f"{index}; give pixels without a score a 0."
        )
    return scores


def pair_ious(ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of each pair of boxes, (a, 4) and (b, 4): (a, b)."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (ones, others)]
    ious: NDArray[np.float64] = shared / (sizes[0][:, None] + sizes[1][None] - shared)
    return ious
