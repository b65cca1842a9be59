"""Token F1: how well chosen words fit the words that humans marked as evidence."""

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

_CITATION = """\
@inproceedings{deyoung-etal-2020-eraser,
    title = {{ERASER}: A Benchmark to Evaluate Rationalized {NLP} Models},
    author = {DeYoung, Jay and Jain, Sarthak and Rajani, Nazneen Fatema and Lehman, Eric and
              Xiong, Caiming and Socher, Richard and Wallace, Byron C.},
    booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
                 Linguistics},
    year = {2020},
}
"""

_INPUTS = """\
Args:
    predictions: For every document its words: 1 = chosen as evidence, 0 = not.
    references: For every document the labels of its words: 1 = marked by a human, 0 = not.

Returns:
    `token_f1`: Mean over documents of the F1 of each, in [0, 1], higher is better. A document with
        words on one side only has F1 0.
    `precision`: Mean over the same documents of the share of chosen words that are marked, in
        [0, 1], 0 where none is chosen.
    `recall`: Mean over the same documents of the share of marked words that are chosen, in [0, 1],
        0 where none is marked.
    `micro_f1`, `micro_precision`, `micro_recall`: The same of all words of all documents together.
    `num_documents`: Number of documents in the means.
    `num_skipped`: Number of documents left out, because no word is chosen and none marked.

Raises:
    ValueError: A document's two sides differ in number, a value is neither 0 nor 1, or no document
        has a marked word.
"""


class TokenF1(evaluate.Metric):
    """Mean F1 of chosen words, documents counting alike.

    The token F1 of ERASER (DeYoung et al. 2020, section 4.1) for hard rationales, as in
    `score_hard_rationale_predictions` of the authors' code on single tokens: `token_f1` is its
    "instance_macro", which papers that use the benchmark print as token F1, `micro_f1` its
    "instance_micro". Documents without a word on either side do not exist for that code, either.
    It divides by zero where no document has a chosen word; here all is 0 then.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    # An integer type would silently cut a value of 0.5 down to 0.
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.List(datasets.Value("float64")),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[float]], references: list[list[float]]
    ) -> dict[str, float]:
        counts = []
        for index, (chosen, marked) in enumerate(zip(predictions, references, strict=True)):
            _check_document(index, chosen, marked)
            if any(chosen) or any(marked):
                both = sum(a * b for a, b in zip(chosen, marked, strict=True))
                counts.append([both, sum(chosen), sum(marked)])
        table = np.array(counts, dtype=np.float64).reshape(-1, 3)
        if not table[:, 2].any():
            raise ValueError(
                "`references` must mark a word in at least one document, "
                f"got {len(references)} documents without any; check the label column."
            )
        precision, recall, f1 = _scores(table).mean(axis=1).tolist()
        micro_precision, micro_recall, micro_f1 = _scores(table.sum(axis=0)).tolist()
        return {
            "token_f1": f1,
            "precision": precision,
            "recall": recall,
            "micro_f1": micro_f1,
            "micro_precision": micro_precision,
            "micro_recall": micro_recall,
            "num_documents": len(table),
            "num_skipped": len(references) - len(table),
        }


def _scores(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision, recall and F1, (3, ...), of words on both sides, chosen, marked: (..., 3)."""
    both, chosen, marked = np.moveaxis(table, -1, 0)
    return np.stack(
        [both / np.maximum(chosen, 1), both / np.maximum(marked, 1), 2 * both / (chosen + marked)]
    )


def _check_document(index: int, chosen: list[float], marked: list[float]) -> None:
    if len(chosen) != len(marked):
        raise ValueError(
            "`predictions` and `references` must hold one value for every word, got "
            f"{len(chosen)} and {len(marked)} in document {index}; split both into the same words."
        )
    for name, values in (("predictions", chosen), ("references", marked)):
        for value in values:
            if value not in (0, 1):
                raise ValueError(
                    f"`{name}` must be 0 or 1, got {value} in document {index}; "
                    "apply a threshold to graded values."
                )
