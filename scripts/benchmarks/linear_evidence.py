"""Evidence of linear models of n-grams, their exact coefficients, judged as that of a localizer.

Writes a JSON with a report for each model, of the form that `anchornet evaluate` writes, and prints
their tables.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from hf_anchornet.data.splits import DataOptions, find_labels, load_split
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from hf_anchornet.evaluation.explanations import evaluate_explanations
from hf_anchornet.evaluation.tables import make_explainer_table
from hf_anchornet.explain.text_subject import ReadText, TextSubject
from hf_anchornet.files import write_json
from hf_anchornet.model.text_words import LocatedText, Words
from scripts.benchmarks.linear_rivals import LinearRival
from scripts.benchmarks.rivals import NGRAM_RIVALS, RivalOptions, fit_rivals
from scripts.options import parse_options

EXPLAINERS = ("evidence", "occlusion", "lime", "shapley", "random")
"""Explainers that need no network."""


@dataclass
class LinearEvidenceOptions:
    """Options of the measurement.

    Attributes:
        rivals: Linear models to explain: "nb_lr", "tfidf_svm".
        fit_on: Dataset whose training and validation splits they are fitted on, all rows of them;
            default: the one with the spans.
        split: Split to report on.
        output: JSON file to write.
    """

    rivals: list[str] = field(default_factory=lambda: list(NGRAM_RIVALS))
    fit_on: str | None = None
    split: str = "test"
    output: str = "results/evidence_linear.json"

    def __post_init__(self) -> None:
        """Check the names."""
        if not self.rivals or not set(self.rivals) <= set(NGRAM_RIVALS):
            raise ValueError(
                f"`rivals` must be among {list(NGRAM_RIVALS)}, got {self.rivals}; choose from "
                "these."
            )


class LinearSubject(TextSubject):
    """A linear model of n-grams to explain, which reads texts of any length.

    Its evidence is what each n-gram adds to the logits, shared out evenly over its words.

    Args:
        rival: A fitted model of n-grams.
        labels: Names of its labels.
    """

    def __init__(self, rival: LinearRival, labels: Sequence[str]) -> None:
        self.rival, self.labels, self.temperature = rival, list(labels), 1.0
        self.is_anchornet = False
        # All that is asked of the model itself is where it computes.
        self.model: Any = SimpleNamespace(device=torch.device("cpu"))

    def read(self, text: str) -> ReadText:
        """A text with its words, all of which are read; it has no tokens."""
        words, none = Words.split(text), np.zeros(0, dtype=np.int64)
        ids = torch.zeros(1, 0, dtype=torch.int64)
        return ReadText(words, len(words), ids, none.astype(np.bool_), none.reshape(0, 2))

    def locate(self, text: str) -> LocatedText:
        """A text with what each word adds to the logits, its exact evidence."""
        return self.rival.locate(text)

    def predict(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float64]:
        """Probabilities of the labels of texts, in [0, 1]: (texts, labels)."""
        logits = self.rival.decide(texts).astype(np.float64)
        probs: NDArray[np.float64] = softmax(logits / self.temperature, axis=1)
        return probs


def measure_linear_evidence(
    data: DataOptions, options: LinearEvidenceOptions, explaining: ExplanationOptions
) -> dict[str, Any]:
    """The report on each linear model, ready for JSON.

    Args:
        data: The dataset with the spans, and the columns of both datasets.
        options: Which models.
        explaining: How they are explained; see `EXPLAINERS`.

    Returns:
        `split` and `num_rows`, and by model, in `rivals`, `fitted`, see `LinearRival`, and
        `explanations`, see `evaluate_explanations`.

    Raises:
        ValueError: if an explainer needs a network; see also `fit_rivals` and `load_split`.
    """
    if not set(explaining.explainers) <= set(EXPLAINERS):
        raise ValueError(
            f"`explainers` must be among {list(EXPLAINERS)} for linear models, got "
            f"{explaining.explainers}; leave the others out."
        )
    source = replace(data, dataset=options.fit_on or data.dataset, max_rows=0)
    labels = find_labels(load_split(source, source.train_split), source.label_column)
    rivals = fit_rivals(data, labels, RivalOptions(options.rivals, options.fit_on))
    rows = load_split(data, options.split)
    report: dict[str, Any] = {"split": options.split, "num_rows": len(rows), "rivals": {}}
    for name, rival in rivals.items():
        subject = LinearSubject(rival, labels)
        explanations = evaluate_explanations(
            name, options.split, rows, data, explaining, torch.device("cpu"), subject
        )
        report["rivals"][name] = {"fitted": rival.fitted, "explanations": explanations}
    return report


def main() -> None:
    """Parse the options, measure, write, print."""
    data, options, explaining = parse_options(
        DataOptions, LinearEvidenceOptions, ExplanationOptions, description=__doc__
    )
    settings = {"data": asdict(data), "linear": asdict(options)}
    report = {"settings": settings, **measure_linear_evidence(data, options, explaining)}
    write_json(Path(options.output), report)
    for name, row in report["rivals"].items():
        print(f"{name}:\n\n{make_explainer_table(row['explanations'])}")


if __name__ == "__main__":
    main()
