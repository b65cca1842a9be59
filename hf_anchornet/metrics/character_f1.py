"""Character F1: how well selected characters match those that humans marked."""

from collections.abc import Sequence

import evaluate

from .common import ROWS, check_disjoint_spans, describe, require_examples

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
    predictions: For each document its selected spans `[start, end)` in characters, in any order:
        whole numbers from 0.
    references: For each document the spans that humans marked, likewise.

Returns:
    `character_f1`: Mean over documents of the F1 of the characters in spans, in [0, 1], higher is
        better. A document without spans on both sides has F1 1, with spans on one side only 0.
    `num_documents`: Number of documents.
    `num_without_spans`: Number of documents in which no character is marked.

Raises:
    ValueError: A span is not two whole numbers with 0 <= start < end, spans of one side of a
        document overlap, or there are no documents.
"""


class CharacterF1(evaluate.Metric):
    """Mean F1 of the characters in selected spans; every document has the same weight.

    The F1 of SemEval-2021 task 5, toxic spans (Pavlopoulos et al. 2021), as in `f1` of the
    organizers' code, with spans in place of lists of offsets: `[2, 5)` is 2, 3, 4.
    """

    def _info(self) -> evaluate.MetricInfo:
        return describe(__doc__, _CITATION, _INPUTS, ROWS, ROWS)

    def _compute(
        self, predictions: list[list[list[float]]], references: list[list[list[float]]]
    ) -> dict[str, float]:
        require_examples(references, "document")
        scores = []
        for index, (selected, marked) in enumerate(zip(predictions, references, strict=True)):
            check_disjoint_spans("predictions", index, selected)
            check_disjoint_spans("references", index, marked)
            scores.append(_f1(_characters(selected), _characters(marked)))
        return {
            "character_f1": sum(scores) / len(scores),
            "num_documents": len(scores),
            "num_without_spans": sum(not marked for marked in references),
        }


def _f1(selected: set[int], marked: set[int]) -> float:
    total = len(selected) + len(marked)
    return 2 * len(selected & marked) / total if total else 1.0


def _characters(spans: Sequence[Sequence[float]]) -> set[int]:
    return {place for start, end in spans for place in range(int(start), int(end))}
