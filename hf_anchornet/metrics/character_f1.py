"""Character F1: how well chosen characters fit those that humans marked."""

from collections.abc import Sequence
from itertools import pairwise

import datasets
import evaluate

_CITATION = """\
@inproceedings{pavlopoulos-etal-2021-semeval,
    title = {{SemEval}-2021 Task 5: Toxic Spans Detection},
    author = {Pavlopoulos, John and Sorensen, Jeffrey and Laugier, L{\\'e}o and
              Androutsopoulos, Ion},
    booktitle = {Proceedings of the 15th International Workshop on Semantic Evaluation},
    year = {2021},
}
"""

_INPUTS = """\
Args:
    predictions: For every document its chosen spans `[start, end)` in characters, in any order:
        whole numbers from 0.
    references: For every document the spans that humans marked, likewise.

Returns:
    `character_f1`: Mean over documents of the F1 of the characters in spans, in [0, 1], higher is
        better. A document without spans on both sides has F1 1, with spans on one side only 0.
    `num_documents`: Number of documents in the mean: all.
    `num_without_spans`: Number of documents in which no character is marked.

Raises:
    ValueError: A span is not two whole numbers with 0 <= start < end, spans of one side of a
        document overlap, or there are no documents.
"""


class CharacterF1(evaluate.Metric):
    """Mean F1 of the characters in chosen spans, documents counting alike.

    The F1 of SemEval-2021 task 5, toxic spans (Pavlopoulos et al. 2021), as in `f1` of the
    organizers' code, with spans in place of lists of offsets: `[2, 5)` is 2, 3, 4.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    # An integer type would silently cut an offset of 0.5 down to 0.
                    "predictions": datasets.List(datasets.List(datasets.Value("float64"))),
                    "references": datasets.List(datasets.List(datasets.Value("float64"))),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[list[float]]], references: list[list[list[float]]]
    ) -> dict[str, float]:
        if not references:
            raise ValueError(
                "`references` must hold at least one document, got none; check the spans column."
            )
        scores = []
        for index, (chosen, marked) in enumerate(zip(predictions, references, strict=True)):
            _check_spans("predictions", index, chosen)
            _check_spans("references", index, marked)
            scores.append(_f1(_characters(chosen), _characters(marked)))
        return {
            "character_f1": sum(scores) / len(scores),
            "num_documents": len(scores),
            "num_without_spans": sum(not marked for marked in references),
        }


def _f1(chosen: set[int], marked: set[int]) -> float:
    total = len(chosen) + len(marked)
    return 2 * len(chosen & marked) / total if total else 1.0


def _characters(spans: Sequence[Sequence[float]]) -> set[int]:
    return {place for start, end in spans for place in range(int(start), int(end))}


def _check_spans(name: str, index: int, spans: Sequence[Sequence[float]]) -> None:
    for span in spans:
        whole = len(span) == 2 and all(x is not None and float(x).is_integer() for x in span)
        if not whole or not 0 <= span[0] < span[1]:
            raise ValueError(
                f"`{name}` must hold spans [start, end) of whole numbers with 0 <= start < end, "
                f"got {span} in document {index}; leave empty spans out."
            )
    for first, second in pairwise(sorted(spans, key=lambda span: span[0])):
        if first[1] > second[0]:
            raise ValueError(
                f"`{name}` must not overlap within a document, got {first} and {second} in "
                f"document {index}; merge them."
            )
