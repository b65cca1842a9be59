"""Comprehensiveness and sufficiency: how much a prediction depends on its best evidence."""

import evaluate
import numpy as np

from .common import ERASER, NUMBER, NUMBERS, describe, require_examples

_INPUTS = """\
Args:
    predictions: For each document a dict of probabilities of the explained label, in [0, 1], one
        per bin: `without` its best evidence and with `only` that. ERASER's bins are the best 1, 5,
        10, 20 and 50 % of the words. A hard rationale is one bin.
    references: For each document the probability of the same label for the whole input.

Returns:
    `comprehensiveness`: Mean drop of the probability without the evidence, over documents and
        bins, in [-1, 1]; higher is better: the prediction needs what was removed.
    `sufficiency`: Mean drop with only the evidence, in [-1, 1]; lower is better: what was kept is
        enough. A negative value means higher confidence than on the whole input.
    `comprehensiveness_by_bin`, `sufficiency_by_bin`: Means over documents for each bin, in order.
    `num_documents`: Number of documents.

Raises:
    ValueError: A probability is not in [0, 1], documents differ in their number of bins, a
        document has no bin, or there are no documents.
"""


class Faithfulness(evaluate.Metric):
    """Mean drop of a label's probability without its best evidence, and with nothing else.

    Section 4.2 of ERASER (DeYoung et al. 2020); over several bins, the "area over the perturbation
    curve" (AOPC). The paper divides the sum over bins by one more than their number. The authors'
    code (`_instances_aopc`), which produced the published numbers, takes the plain mean over bins,
    as this does: 6/5 of the formula at five bins. Values are neither clipped at 0 nor normalised
    by those of an empty input, as some later papers do.
    """

    def _info(self) -> evaluate.MetricInfo:
        predictions = {"without": NUMBERS, "only": NUMBERS}
        return describe(__doc__, ERASER, _INPUTS, predictions, NUMBER)

    def _compute(
        self, predictions: list[dict[str, list[float]]], references: list[float]
    ) -> dict[str, float | list[float]]:
        require_examples(references, "document")
        _check_probs("references", [[whole] for whole in references])
        scores: dict[str, float | list[float]] = {}
        for score, side in (("comprehensiveness", "without"), ("sufficiency", "only")):
            probs = [document[side] for document in predictions]
            _check_probs("predictions", probs)
            drops = np.array(references)[:, None] - np.array(probs)  # (documents, bins)
            scores[score] = float(drops.mean())
            scores[f"{score}_by_bin"] = drops.mean(axis=0).tolist()
        return scores | {"num_documents": len(references)}


def _check_probs(name: str, documents: list[list[float]]) -> None:
    for index, probs in enumerate(documents):
        if not probs or len(probs) != len(documents[0]):
            raise ValueError(
                f"`{name}` must hold one probability per bin, got {len(probs)} in document "
                f"{index} and {len(documents[0])} in document 0; give all documents the same "
                "bins, at least one."
            )
        for prob in probs:
            if prob is None or not 0 <= prob <= 1:
                raise ValueError(
                    f"`{name}` must be probabilities in [0, 1], got {prob} in document {index}; "
                    "take the softmax of logits."
                )
