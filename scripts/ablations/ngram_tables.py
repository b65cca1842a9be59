"""Ways to count n-grams for a linear model, fitted alike and compared on the validation split.

Token or word, listed or hashed, the power of the text's length that counts are divided by, log
ratios or not, and how many n-grams: what the n-gram branches of a localizer should be.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from scipy import sparse
from sklearn.metrics import f1_score
from tokenizers import models, trainers
from transformers import PreTrainedTokenizerFast

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.data.texts import load_labelled_texts, tokenize
from hf_anchornet.files import write_json
from hf_anchornet.model.text_words import encodable
from hf_anchornet.training.linear_model import (
    PRIOR,
    LabelledNgrams,
    count_frequencies,
    fit_linear_model,
)
from hf_anchornet.training.linear_ngrams import STRENGTHS
from hf_anchornet.training.text_vocabulary import (
    encode_ngrams,
    find_ngrams,
    split_words,
    train_tokenizer,
)
from scripts.options import parse_options

SIZES = (1, 2, 3)
MOST_WORDS = 1_000_000


@dataclass(frozen=True)
class Way:
    """A way to count n-grams.

    Attributes:
        words: Whether tokens are words, all of the training split, instead of pieces of words.
        min_count: Occurrences that make an n-gram known.
        most: Most n-grams, the most frequent ones; 0: all.
        buckets: Rows of one table for each size that all n-grams share by their hash; 0: each known
            n-gram has its own.
        exponent: Power of the number of windows that counts are divided by; 1: their mean.
        scaled: Whether frequencies are scaled by naive-Bayes log ratios.
        prior: By how much these ratios are smoothed towards the frequency in all texts.
    """

    words: bool = False
    min_count: int = 5
    most: int = 0
    buckets: int = 0
    exponent: float = 1.0
    scaled: bool = True
    prior: float = PRIOR


BASE = Way()
WAYS = {
    "listed pieces, mean, log ratios": BASE,
    "no log ratios": replace(BASE, scaled=False),
    "log ratios smoothed by a constant alone": replace(BASE, prior=0.0),
    "over the square root of the windows": replace(BASE, exponent=0.5),
    "sum": replace(BASE, exponent=0.0),
    "words": replace(BASE, words=True),
    "words, over the square root": replace(BASE, words=True, exponent=0.5),
    "seen twice": replace(BASE, min_count=2),
    "seen 20 times": replace(BASE, min_count=20),
    "the 20,000 most frequent": replace(BASE, most=20_000),
    "hashed, 3 x 2^15 rows": replace(BASE, buckets=2**15),
    "hashed, 3 x 2^17 rows": replace(BASE, buckets=2**17),
}


@dataclass
class NgramTablesOptions:
    """Options of the comparison.

    Attributes:
        ways: Names among those of `WAYS`.
        vocab_size: Largest number of pieces of the tokenizer, as of `anchornet train`.
        output: JSON file; the set's part of it is written anew, what it says of others stays.
    """

    ways: list[str] = field(default_factory=lambda: list(WAYS))
    vocab_size: int = 24_000
    output: str = "results/ablation_ngram_tables.json"

    def __post_init__(self) -> None:
        """Check the names."""
        unknown = sorted(set(self.ways) - set(WAYS))
        if unknown or not self.ways:
            raise ValueError(
                f"`ways` must be among {list(WAYS)}, got {unknown or self.ways}; leave it out for "
                "all."
            )


def train_word_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer that knows every lower-cased word of `texts`, up to `MOST_WORDS`."""
    inner = split_words(models.WordLevel({}, unk_token="[UNK]"))
    trainer = trainers.WordLevelTrainer(
        vocab_size=MOST_WORDS, special_tokens=["[PAD]", "[UNK]"], show_progress=False
    )
    inner.train_from_iterator(map(encodable, texts), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")


def compare_ways(
    data: DataOptions,
    options: NgramTablesOptions,
    progress: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """The validation split by a linear model, for each way to count.

    Args:
        data: The data set.
        options: Options of the comparison.
        progress: Called with the report so far after each way.

    Returns:
        `settings`, `num_rows` of the validation split, and in `ways` by name the `accuracy`,
        `macro_f1`, mean `loss`, chosen `strength`, `ngrams`, `megabytes` and `seconds`.
    """
    train_rows, validation_rows, labels = load_labelled_texts(data)
    texts = list(train_rows[data.text_column])
    tokenized: dict[bool, tuple[int, list[Dataset]]] = {}
    report: dict[str, Any] = {
        "settings": {"data": asdict(data), "ablation": asdict(options)},
        "num_rows": len(validation_rows),
        "ways": {},
    }
    for name in options.ways:
        way = WAYS[name]
        if way.words not in tokenized:
            tokenizer = (
                train_word_tokenizer(texts)
                if way.words
                else train_tokenizer(texts, options.vocab_size)
            )
            sets = [
                tokenize(rows, tokenizer, data, labels) for rows in (train_rows, validation_rows)
            ]
            tokenized[way.words] = len(tokenizer), sets
        vocab_size, sets = tokenized[way.words]
        report["ways"][name] = _judge_way(way, sets, vocab_size, len(labels))
        progress(report)
    return report


def _judge_way(
    way: Way, sets: Sequence[Dataset], vocab_size: int, num_labels: int
) -> dict[str, Any]:
    """Scores of one way, with the strength of least validation loss."""
    started = time.perf_counter()
    learned, judged, stored = _count(way, sets, vocab_size, num_labels)
    tried = []
    for strength in STRENGTHS:
        linear = fit_linear_model(learned, strength, scaled=way.scaled, prior=way.prior)
        logits = linear.predict(judged.frequencies)
        tried.append((judged.measure_loss(logits) / len(logits), strength, logits))
    loss, strength, logits = min(tried, key=lambda found: found[0])
    right, answers = np.asarray(list(sets[1]["labels"])), logits.argmax(axis=1)
    num_ngrams = learned.frequencies.shape[1]
    return {
        "accuracy": float((answers == right).mean()),
        "macro_f1": float(f1_score(right, answers, average="macro", zero_division=0)),
        "loss": loss,
        "strength": strength,
        "ngrams": num_ngrams,
        "megabytes": (num_ngrams * num_labels * 2 + stored) / 1e6,
        "seconds": time.perf_counter() - started,
    }


def _count(
    way: Way, sets: Sequence[Dataset], vocab_size: int, num_labels: int
) -> tuple[LabelledNgrams, LabelledNgrams, int]:
    """N-grams of the training and the validation split, and the bytes of their codes."""
    stored = 0
    if way.buckets:
        counts = [_hash_frequencies(rows["input_ids"], way.buckets, vocab_size) for rows in sets]
    else:
        codes = find_ngrams(sets[0], SIZES, way.min_count, vocab_size)
        counts = [count_frequencies(rows["input_ids"], codes, vocab_size) for rows in sets]
        # As `NgramScores` stores them.
        stored = sum(
            len(known) * (4 if (vocab_size + 1) ** size < 2**31 else 8)
            for size, known in codes.items()
        )
        if way.most and way.most < counts[0].shape[1]:
            frequent = np.asarray((counts[0] > 0).sum(axis=0)).ravel().argsort()[-way.most :]
            stored = round(stored * way.most / counts[0].shape[1])
            counts = [part[:, np.sort(frequent)] for part in counts]
    found = []
    for rows, frequencies in zip(sets, counts, strict=True):
        lengths = np.array([max(1, len(ids)) for ids in rows["input_ids"]])
        frequencies = sparse.diags(lengths ** (1 - way.exponent)) @ frequencies
        shares = np.eye(num_labels, dtype=np.float32)[np.asarray(list(rows["labels"]))]
        mean_length = float(np.mean(lengths**way.exponent))
        found.append(LabelledNgrams(frequencies.tocsr(), mean_length, shares, False))
    return found[0], found[1], stored


def _hash_frequencies(
    ids: Sequence[Sequence[int]], buckets: int, vocab_size: int
) -> sparse.csr_matrix:
    """As `count_frequencies`, of `buckets` rows for each size that n-grams share by their code."""
    blocks = []
    for size in SIZES:
        # Codes are numbers in base `vocab_size + 1`; an odd multiplier spreads them over all rows.
        found = [
            (encode_ngrams(row, size, vocab_size).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
            >> np.uint64(64 - buckets.bit_length() + 1)
            for row in ids
        ]
        windows = np.array([max(1, len(row)) for row in found])
        counts = np.array([len(row) for row in found])
        ends, values = np.concatenate([[0], np.cumsum(counts)]), np.repeat(1 / windows, counts)
        columns = np.concatenate(found).astype(np.int64)
        block = sparse.csr_matrix((values, columns, ends), shape=(len(ids), buckets))
        block.sum_duplicates()
        blocks.append(block)
    return sparse.hstack(blocks, format="csr")


def main() -> None:
    """Parse the options, compare, write, print."""
    data, options = parse_options(DataOptions, NgramTablesOptions, description=__doc__)
    output, name = Path(options.output), Path(data.dataset).name
    before = json.loads(output.read_text("utf-8")) if output.exists() else {}

    def save(report: dict[str, Any]) -> None:
        write_json(output, before | {name: report})
        way, scores = list(report["ways"].items())[-1]
        print(name, way, json.dumps(scores), flush=True)

    compare_ways(data, options, save)


if __name__ == "__main__":
    main()
