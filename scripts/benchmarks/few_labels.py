"""Few labels: a localizer beside the simplest rivals and SetFit, on the same few rows."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import hf_anchornet
from hf_anchornet.data.holdout import hold_out_splits
from hf_anchornet.data.splits import DataOptions, load_split, sample_rows
from hf_anchornet.files import write_json
from scripts.benchmarks.machine import describe_hardware
from scripts.options import parse_options

BATCH_SIZE = 32
SAME = ("dataset", "text_column", "label_column", "draws", "test_rows", "encoder")
"""Options that reports in the same file must share."""
SETFIT = "run `pip install 'setfit>=1.1'`, or leave it out of `methods`"


@dataclass
class FewLabelsOptions:
    """Options of the comparison.

    Attributes:
        encoder: Folder or Hub id of the encoder that the localizer, "frozen" and "setfit" begin
            with.
        counts: Labelled texts of each label.
        draws: Draws of these from the training split.
        test_rows: Rows of the test split, always the same; 0: all.
        methods: Names among those of `METHODS`.
        setfit_iterations: For each of `counts`, the pairs of equal and of different labels that
            SetFit draws for each text. Its authors take 20; a pair takes a second on one core.
        output: JSON file to write; methods and counts of an earlier run on the same draws stay in
            it.
    """

    encoder: str
    counts: list[int] = field(default_factory=lambda: [8, 64])
    draws: int = 5
    test_rows: int = 2000
    methods: list[str] = field(default_factory=lambda: list(METHODS))
    setfit_iterations: list[int] = field(default_factory=lambda: [20, 5])
    output: str = "results/few_labels.json"

    def __post_init__(self) -> None:
        """Check the names."""
        unknown = sorted(set(self.methods) - set(METHODS))
        if unknown or not self.methods:
            raise ValueError(
                f"`methods` must be among {list(METHODS)}, got {unknown or self.methods}; leave it "
                "out for all."
            )
        if len(self.setfit_iterations) != len(self.counts):
            raise ValueError(
                f"`setfit_iterations` must have one number for each of `counts` {self.counts}, got "
                f"{self.setfit_iterations}."
            )


@dataclass(frozen=True)
class Draw:
    """A few labelled texts, and the texts to classify.

    Attributes:
        rows: Columns of texts and labels; all that a method may learn from.
        texts: Texts to classify.
        data: Names of the columns.
        options: Options of the comparison.
        seed: Number of the draw.
        iterations: That of `setfit_iterations`.
    """

    rows: Dataset
    texts: Sequence[str]
    data: DataOptions
    options: FewLabelsOptions
    seed: int
    iterations: int = 20

    @property
    def learned(self) -> tuple[list[str], list[Any]]:
        """The labelled texts and their labels."""
        return list(self.rows[self.data.text_column]), list(self.rows[self.data.label_column])


def draw_rows(rows: Dataset, label_column: str, count: int, seed: int) -> Dataset:
    """`count` rows of each label, at random.

    Raises:
        ValueError: if a label has fewer.
    """
    labels = np.asarray(rows[label_column])
    random, chosen = np.random.default_rng(seed), []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < count:
            raise ValueError(
                f"`counts` must be at most {len(places)}, the rows of label {label!r}, got "
                f"{count}; choose fewer."
            )
        chosen += random.choice(places, count, replace=False).tolist()
    return rows.select(sorted(chosen))


def answer_by_unigrams(draw: Draw) -> list[Any]:
    """TF-IDF of words and logistic regression."""
    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    return list(model.fit(*draw.learned).predict(draw.texts))


def answer_by_frozen_encoder(draw: Draw) -> list[Any]:
    """Sentence embeddings and logistic regression."""
    encoder = _import_sentence_transformers().SentenceTransformer(draw.options.encoder)
    texts, labels = draw.learned
    model = LogisticRegression(max_iter=1000).fit(encoder.encode(texts), labels)
    return list(model.predict(encoder.encode(list(draw.texts), show_progress_bar=False)))


def answer_by_setfit(draw: Draw) -> list[Any]:
    """SetFit (Tunstall et al. 2022) with its authors' settings: one epoch, batches of 16."""
    try:
        import setfit
    except ImportError as error:
        raise ImportError(f"`methods` holds setfit, which is not installed; {SETFIT}.") from error
    texts, labels = draw.learned
    names = sorted(set(map(str, labels)))
    model = setfit.SetFitModel.from_pretrained(draw.options.encoder, labels=names)
    with tempfile.TemporaryDirectory() as folder:
        arguments = setfit.TrainingArguments(
            output_dir=folder,
            batch_size=16,
            num_epochs=1,
            num_iterations=draw.iterations,
            seed=draw.seed,
            report_to="none",
            save_strategy="no",
        )
        learned = Dataset.from_dict({"text": texts, "label": [str(label) for label in labels]})
        setfit.Trainer(model=model, args=arguments, train_dataset=learned).train()
    by_name = {str(label): label for label in labels}
    found = model.predict(list(draw.texts), batch_size=BATCH_SIZE, show_progress_bar=False)
    return [by_name[str(label)] for label in found]


def answer_by_localizer(draw: Draw) -> list[Any]:
    """`anchornet train --encoder` by its defaults; it holds its validation rows out itself."""
    data, column = draw.data, draw.data.text_column
    with tempfile.TemporaryDirectory() as folder:
        rows, parts = Path(folder) / "rows", Path(folder) / "parts"
        rows.mkdir()
        draw.rows.to_parquet(rows / "train.parquet")
        alone = replace(data, dataset=str(rows), subset=None, train_split="train", max_rows=0)
        held, _, _ = hold_out_splits(
            replace(alone, validation_split="validation"),
            draw.rows,
            column,
            "train",
            draw.seed,
            parts,
        )
        hf_anchornet.train(
            held.dataset,
            Path(folder) / "localizer",
            encoder=draw.options.encoder,
            text_column=column,
            label_column=data.label_column,
            seed=draw.seed,
        )
        localize = hf_anchornet.load(Path(folder) / "localizer")
    by_name = {str(label): label for label in draw.learned[1]}
    found = localize(list(draw.texts), batch_size=BATCH_SIZE)
    return [by_name[answer["label"]] for answer in found]


METHODS: Mapping[str, Callable[[Draw], list[Any]]] = {
    "unigrams": answer_by_unigrams,
    "frozen": answer_by_frozen_encoder,
    "setfit": answer_by_setfit,
    "localizer": answer_by_localizer,
}
"""The label of each text, by the name of the method."""


def compare_methods(
    data: DataOptions,
    options: FewLabelsOptions,
    progress: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Accuracy of each method on the test split, for each number of labels and draw.

    Args:
        data: The data set.
        options: Options of the comparison.
        progress: Called with the report so far after each method.

    Returns:
        `settings`, `hardware`, `num_rows`, and in `counts` by number of labels and method the
        `accuracy` of each draw, and their `mean`.
    """
    train = load_split(data, data.train_split)
    test = sample_rows(load_split(data, "test"), options.test_rows)
    texts, right = list(test[data.text_column]), np.asarray(test[data.label_column])
    report: dict[str, Any] = {
        "settings": {"data": asdict(data), "comparison": asdict(options)},
        "hardware": describe_hardware(),
        "num_rows": len(test),
        "counts": {},
    }
    for count, iterations in zip(options.counts, options.setfit_iterations, strict=True):
        found: dict[str, list[float]] = {name: [] for name in options.methods}
        for seed in range(options.draws):
            rows = draw_rows(train, data.label_column, count, seed)
            for name in options.methods:
                answers = METHODS[name](Draw(rows, texts, data, options, seed, iterations))
                found[name].append(float((np.asarray(answers) == right).mean()))
                report["counts"][str(count)] = {
                    method: {"accuracy": scores, "mean": float(np.mean(scores))}
                    for method, scores in found.items()
                    if scores
                }
                progress(report)
    return report


def keep_earlier(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """A report with the methods and counts of an earlier one that it does not measure again.

    Raises:
        ValueError: if the earlier one is about other rows or draws.
    """
    old, new = (_list_shared(report) for report in (before, now))
    if old != new:
        raise ValueError(
            f"`output` holds a comparison with {old}, this one has {new}; write to another file."
        )
    counts = {count: dict(found) for count, found in before["counts"].items()}
    for count, found in now["counts"].items():
        counts[count] = counts.get(count, {}) | found
    return {**now, "counts": dict(sorted(counts.items(), key=lambda item: int(item[0])))}


def _list_shared(report: Mapping[str, Any]) -> dict[str, Any]:
    settings = report["settings"]
    return {
        name: value
        for name, value in (settings["data"] | settings["comparison"]).items()
        if name in SAME
    }


def _import_sentence_transformers() -> Any:
    try:
        import sentence_transformers
    except ImportError as error:
        raise ImportError(
            f"`methods` holds frozen, which needs SetFit's library; {SETFIT}."
        ) from error
    return sentence_transformers


def main() -> None:
    """Parse the options, compare, write, print."""
    data, options = parse_options(DataOptions, FewLabelsOptions, description=__doc__)

    output = Path(options.output)
    before = json.loads(output.read_text("utf-8")) if output.exists() else None

    def save(report: dict[str, Any]) -> None:
        write_json(output, report if before is None else keep_earlier(before, report))
        print(json.dumps(report["counts"]), flush=True)

    compare_methods(data, options, save)


if __name__ == "__main__":
    main()
