"""Comprehensiveness: how much the answer falls when the best evidence is taken away."""

import datasets
import evaluate
import numpy as np

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
    predictions: For every document the probabilities of the explained label without the best
        evidence, in [0, 1], one a bin; ERASER's bins are the best 1, 5, 10, 20 and 50 % of words.
        One bin, the words of a hard rationale, gives the comprehensiveness of that.
    references: For every document the probability of the same label for the whole input.

Returns:
    `comprehensiveness`: Mean over documents and bins of the fall of the probability, in [-1, 1],
        higher is better: the answer needs what was taken away. 0 = it does not matter.
    `by_bin`: The mean over documents for each bin, in the order given.
    `num_documents`: Number of documents in the means: all.

Raises:
    ValueError: A probability is not in [0, 1], documents differ in their number of bins, a
        document has no bin, or there are no documents.
"""


class Comprehensiveness(evaluate.Metric):
    """Mean fall of the probability of a label when its best evidence is taken away (AOPC).

    Section 4.2 of ERASER (DeYoung et al. 2020), for soft scores as an "area over the perturbation
    curve". The formula of their paper divides by one more than the number of bins, since it counts
    the whole input as a bin without a fall; their code (`_instances_aopc`), which makes the
    published numbers, takes the plain mean over bins, and so does this: 6/5 of the formula at five
    bins.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.Value("float64"),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[float]], references: list[float]
    ) -> dict[str, float | list[float]]:
        _check_documents(predictions, references)
        falls = np.array(references)[:, None] - np.array(predictions)  # (documents, bins)
        return {
            "comprehensiveness": float(falls.mean()),
            "by_bin": falls.mean(axis=0).tolist(),
            "num_documents": len(falls),
        }


def _check_documents(predictions: list[list[float]], references: list[float]) -> None:
    if not references:
        raise ValueError(
            "`references` must hold at least one document, got none; check the records."
        )
    for index, (changed, whole) in enumerate(zip(predictions, references, strict=True)):
        if not changed or len(changed) != len(predictions[0]):
            raise ValueError(
                "`predictions` must hold one probability for every bin, got "
                f"{len(changed)} in document {index} and {len(predictions[0])} in document 0; give "
                "all documents the same bins, at least one."
            )
        for name, values in (("predictions", changed), ("references", [whole])):
            for value in values:
                if value is None or not 0 <= value <= 1:
                    raise ValueError(
                        f"`{name}` must be probabilities in [0, 1], got {value} in document "
                        f"{index}; take the softmax of logits."
                    )
