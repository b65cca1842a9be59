"""The simplest rivals by name, and their fit to the splits of a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, Normalizer

from hf_anchornet.data.splits import DataOptions
from scripts.benchmarks.linear_rivals import (
    LinearRival,
    solve_logistic,
    solve_naive_bayes,
    solve_svm,
)
from scripts.benchmarks.ngram_features import NgramFeatures
from scripts.benchmarks.static_features import StaticFeatures
from scripts.benchmarks.text_methods import load_texts

NGRAM_RIVALS: dict[str, Callable[[], LinearRival]] = {
    "nb_lr": lambda: LinearRival(
        NgramFeatures(make_pipeline(Binarizer(), Normalizer())),
        solve_naive_bayes,
        (10.0, 30.0, 100.0, 300.0, 1000.0),
    ),
    "tfidf_svm": lambda: LinearRival(
        NgramFeatures(TfidfTransformer(sublinear_tf=True)), solve_svm, (0.1, 0.3, 1.0, 3.0, 10.0)
    ),
}
"""Classifiers whose weights of n-grams are their exact evidence."""

RIVALS = (*NGRAM_RIVALS, "static")


@dataclass
class RivalOptions:
    """Linear classifiers to measure beside the models, fitted in the run.

    Attributes:
        rivals: Their names: "nb_lr", "tfidf_svm" (n-grams), "static" (embeddings without a
            network); a single "": none.
        fit_on: Dataset whose training and validation splits they are fitted on, all rows of them;
            default: the one that is measured.
        encoder: Folder or Hub id of the encoder from which "static" is distilled.
    """

    rivals: list[str] = field(default_factory=lambda: list(RIVALS))
    fit_on: str | None = None
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"

    def __post_init__(self) -> None:
        """Check the names."""
        self.rivals = [name for name in self.rivals if name]
        unknown = sorted(set(self.rivals) - set(RIVALS))
        if unknown:
            raise ValueError(
                f'`rivals` must be among {list(RIVALS)}, got {unknown[0]!r}; a single "" is none.'
            )


def fit_rivals(
    data: DataOptions, labels: Sequence[str], options: RivalOptions, wanted: Sequence[str] = ()
) -> dict[str, LinearRival]:
    """Fitted rivals by name.

    Args:
        data: The dataset that is measured, and its columns.
        labels: Names of the labels in the order of the probabilities.
        options: Which rivals, and what they are fitted on.
        wanted: Names of methods that are measured; others are not fitted. Empty: all.

    Raises:
        ImportError: if "static" is asked for and model2vec is not installed.
        ValueError: see `LinearRival.fit` and `load_texts`.
    """
    names = [name for name in options.rivals if not wanted or name in wanted]
    rivals = {
        name: NGRAM_RIVALS[name]()
        if name in NGRAM_RIVALS
        else LinearRival(StaticFeatures(options.encoder), solve_logistic, (0.1, 1.0, 10.0, 100.0))
        for name in names
    }
    if rivals:
        source = replace(data, dataset=options.fit_on or data.dataset, max_rows=0)
        train = load_texts(source, source.train_split, labels)
        validation = load_texts(source, source.validation_split, labels)
        for rival in rivals.values():
            rival.fit(train, validation, len(labels))
    return rivals
