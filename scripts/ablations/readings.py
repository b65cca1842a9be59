"""Ways to make a shorter text of a long one, trained and evaluated alike."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from hf_anchornet.calibration.temperature import fit_temperature
from hf_anchornet.data.splits import DataOptions, number_labels
from hf_anchornet.data.texts import load_labelled_texts, make_collator
from hf_anchornet.evaluation.localization import localize_texts
from hf_anchornet.files import write_json
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.text_budget import select_best_spans
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_reader import SpanReader, join_spans
from hf_anchornet.model.text_words import LocatedText, Span, encodable
from hf_anchornet.training.batches import make_text_loader
from hf_anchornet.training.defaults import complete_options
from hf_anchornet.training.fit import fit_model, make_accelerator
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions, make_text_classifier
from scripts.options import parse_options

_CLAUSE_END = re.compile(r"[.!?,;:]+[\"')\]]*\s+|\n")


class TextView(NamedTuple):
    """A text as the localizer sees it.

    Attributes:
        located: Its words and their attribution.
        logits: (labels,), float32.
        scales: Sizes of the spans that a classifier should read, in tokens of the localizer.
    """

    located: LocatedText
    logits: NDArray[np.float32]
    scales: Sequence[int]


def view_texts(localizer: TextLocalizer, texts: Sequence[str]) -> list[TextView]:
    """Each text as the localizer sees it."""
    return [
        TextView(located, logits, localizer.reading_scales)
        for batch in localize_texts(localizer, texts)
        for located, logits in zip(batch.locate(), batch.logits.cpu().numpy(), strict=True)
    ]


def split_windows(view: TextView) -> Sequence[Span]:
    """Windows of the size that the localizer wants read."""
    return view.located.spans(view.scales)


def split_clauses(view: TextView) -> Sequence[Span]:
    """Parts of the text between punctuation marks."""
    return view.located.words.cut(_CLAUSE_END)


def split_sentences(view: TextView) -> Sequence[Span]:
    """Whole sentences."""
    return view.located.words.sentences()


class Idea(NamedTuple):
    """One way to shorten a text; the defaults are those of the package.

    Attributes:
        split: Cuts a text into the ranges of words to choose from.
        neutral: Whether words count for their evidence on any label, or on the predicted one only.
        separated: Whether the classifier's separator stands between the parts.
        keeps_positions: Whether each token keeps its position in the full text.
    """

    split: Callable[[TextView], Sequence[Span]] = split_windows
    neutral: bool = True
    separated: bool = False
    keeps_positions: bool = False


IDEAS = {
    "windows": Idea(),
    "predicted": Idea(neutral=False),
    "clauses": Idea(split_clauses),
    "sentences": Idea(split_sentences),
    "separated": Idea(separated=True),
    "positions": Idea(keeps_positions=True),
}


@dataclass
class AblationOptions:
    """Options of the comparison.

    Attributes:
        localizer: Folder or Hub id of the localizer.
        classifier: Checkpoint that each idea's classifier starts from.
        ideas: Names in `IDEAS`; default: all.
        max_tokens: Most tokens that a classifier reads, special tokens included.
        seeds: Seeds of one training each.
        output: JSON file to write.
    """

    localizer: str
    classifier: str
    ideas: list[str] = field(default_factory=lambda: list(IDEAS))
    max_tokens: int = 64
    seeds: list[int] = field(default_factory=lambda: [0])
    output: str = "results/ablation.json"

    def __post_init__(self) -> None:
        """Check the names."""
        unknown = sorted(set(self.ideas) - set(IDEAS))
        if unknown or not self.ideas:
            raise ValueError(f"`ideas` must be among {sorted(IDEAS)}, got {self.ideas}.")


def select_spans(idea: Idea, view: TextView, costs: NDArray[np.int64], budget: int) -> list[Span]:
    """What an idea takes of a text under a budget, in reading order.

    Windows are chosen where no part fits.

    Args:
        idea: The rule of selection.
        view: The text and its localization.
        costs: (words,), int64, the classifier's tokens of each word.
        budget: The classifier's tokens to spend.
    """
    located = view.located
    predicted = located.attribution[:, int(view.logits.argmax())]
    values = located.strength if idea.neutral else predicted
    for spans in (idea.split(view), split_windows(view), located.spans([1])):
        chosen = select_best_spans(spans, values, costs, budget)
        if chosen:
            return chosen
    return []


def encode(idea: Idea, reader: SpanReader, view: TextView, max_tokens: int) -> dict[str, list[int]]:
    """`input_ids` and `position_ids` of what an idea takes of a text, at most `max_tokens` each."""
    words, costs = view.located.words, reader.count(view.located.words)
    between = f" {reader.tokenizer.sep_token} " if idea.separated else " "
    budget = max_tokens - reader.num_special_tokens
    while True:
        spans = select_spans(idea, view, costs, budget)
        text = encodable(join_spans(words, spans, between))
        ids: list[int] = reader.tokenizer(text)["input_ids"]
        if len(ids) <= max_tokens:
            break
        budget -= len(ids) - max_tokens
    places = np.arange(len(ids))
    if idea.keeps_positions:
        before = np.concatenate([[0], costs.cumsum()])
        kept = [np.arange(before[first], before[last]) + 1 for first, last in spans]
        inner = np.concatenate([[0], *kept])
        places = np.append(inner, inner[-1] + 1)[: len(ids)]
        places = np.minimum(places, reader.model.config.max_position_embeddings - 1)
    return {"input_ids": ids, "position_ids": places.tolist()}


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A padded batch of rows of `Split.encode`."""
    places = [torch.tensor(row["position_ids"]) for row in rows]
    batch = make_collator(pad_token_id=0)(list(rows))  # masked: any token will do
    return batch | {"position_ids": pad_sequence(places, batch_first=True)}


@torch.inference_mode()
def compute_logits(model: PreTrainedModel, rows: Dataset, batch_size: int = 32) -> Tensor:
    """Logits of rows of `Split.encode`: (rows, labels)."""
    model.eval()
    batches = [
        collate([rows[row] for row in range(start, min(start + batch_size, len(rows)))])
        for start in range(0, len(rows), batch_size)
    ]
    for batch in batches:
        del batch["labels"]
    return torch.cat([model(**batch).logits for batch in batches])


def judge(localizer: Tensor, classifier: Tensor, targets: Tensor) -> dict[str, float]:
    """Accuracy of both models and of the mean of their calibrated probabilities, in [0, 1].

    Args:
        localizer: Logits, (rows, labels).
        classifier: Logits, (rows, labels), in the same order of labels.
        targets: (rows,), int64.
    """
    probs = [
        (logits / fit_temperature(logits, targets)).softmax(dim=-1)
        for logits in (localizer, classifier)
    ]
    answers = {"localizer": probs[0], "classifier": probs[1], "mean": probs[0] + probs[1]}
    return {
        name: float((p.argmax(dim=-1) == targets).float().mean()) for name, p in answers.items()
    }


@dataclass(frozen=True)
class Split:
    """Localized texts, and the index of the right label of each."""

    views: Sequence[TextView]
    targets: Sequence[int]

    def encode(self, idea: Idea, reader: SpanReader, max_tokens: int) -> Dataset:
        """Shortened texts: columns `input_ids`, `position_ids`, `length` and `labels`."""
        rows = [encode(idea, reader, view, max_tokens) for view in self.views]
        columns = {name: [row[name] for row in rows] for name in ("input_ids", "position_ids")}
        lengths = [len(row["input_ids"]) for row in rows]
        return Dataset.from_dict({**columns, "length": lengths, "labels": list(self.targets)})


def compare_readings(
    data: DataOptions, options: AblationOptions, training: TrainingOptions
) -> dict[str, Any]:
    """For each idea the mean of `judge` over the seeds, on the validation split.

    Returns:
        `settings`, `num_rows` of the validation split, and `ideas`: for each the mean scores and
        `seeds`, the scores of each seed.
    """
    train_rows, validation_rows, _ = load_labelled_texts(data)
    localizer = TextLocalizer.load(options.localizer)
    labels = label_names(localizer.model)
    splits = [
        Split(
            view_texts(localizer, rows[data.text_column]),
            number_labels(rows, data.label_column, labels),
        )
        for rows in (train_rows, validation_rows)
    ]
    report: dict[str, Any] = {}
    for name in options.ideas:
        scores = []
        for seed in options.seeds:
            run = replace(
                training, seed=seed, output_dir=str(Path(training.output_dir, f"{name}_{seed}"))
            )
            scores.append(train_and_judge(IDEAS[name], options, run, splits, labels))
        means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
        report[name] = {**means, "seeds": scores}
    settings = {"data": asdict(data), "ablation": asdict(options), "training": asdict(training)}
    return {"settings": settings, "num_rows": len(validation_rows), "ideas": report}


def train_and_judge(
    idea: Idea,
    options: AblationOptions,
    training: TrainingOptions,
    splits: Sequence[Split],
    labels: Sequence[str],
) -> dict[str, float]:
    """Train a classifier on shortened texts; its scores by `judge` on the validation split.

    Args:
        idea: The way to shorten a text.
        options: Options of the comparison.
        training: Options of the training, whose best checkpoint is judged.
        splits: Training and validation split.
        labels: Names of the labels, in the order of the localizer.

    Raises:
        ValueError: If the idea needs a separator that the tokenizer does not have.
    """
    start = TextClassifierOptions(localizer=options.localizer, classifier=options.classifier)
    model, tokenizer = make_text_classifier(start, [], labels)
    if idea.separated and tokenizer.sep_token is None:
        raise ValueError(
            '`ideas` must leave out "separated" for a classifier whose tokenizer has no separator, '
            f"got {options.ideas} and {options.classifier}."
        )
    reader = SpanReader(model, tokenizer)
    train_set, validation_set = (split.encode(idea, reader, options.max_tokens) for split in splits)
    accelerator, complete = make_accelerator(training), complete_options(training)
    batches = accelerator.num_processes * training.gradient_accumulation_steps
    fit_model(
        model,
        tokenizer,
        make_text_loader(train_set, collate, complete.batch_size, training.seed, batches),
        make_text_loader(validation_set, collate, complete.batch_size),
        complete,
        accelerator,
        settings={"classifier": options.classifier, "max_tokens": options.max_tokens},
    )
    best = AutoModelForSequenceClassification.from_pretrained(training.output_dir)
    localized = torch.from_numpy(np.stack([view.logits for view in splits[1].views]))
    return judge(localized, compute_logits(best, validation_set), torch.tensor(splits[1].targets))


def main() -> None:
    """Parse the options, train, evaluate, write, print."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data, options, training = parse_options(
        DataOptions, AblationOptions, TrainingOptions, description=__doc__
    )
    report = compare_readings(data, options, training)
    write_json(Path(options.output), report)
    print("| idea | classifier | mean with the localizer |\n|---|---|---|")
    for name, scores in report["ideas"].items():
        print(f"| {name} | {scores['classifier']:.4f} | {scores['mean']:.4f} |")


if __name__ == "__main__":
    main()
