"""Options that the user left out, chosen by the number of training rows."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from .options import RATES, CompleteOptions, TrainingOptions

logger = logging.getLogger(__name__)

Options = TypeVar("Options")


@dataclass(frozen=True)
class Defaults:
    """Values of options of the same names; without arguments those of large sets.

    Attributes:
        num_epochs: See `TrainingOptions`, as for the next six.
        batch_size: Smaller makes more steps of few rows.
        patience: Ends what `num_epochs` would carry too far.
        learning_rate: Of the trunk.
        embedding_learning_rate: Of the embedding table.
        ngram_learning_rate: Of the n-gram tables.
        warmup_ratio: Share of the steps.
        vocab_size: See `TextLocalizerOptions`, as for the next three.
        ngram_sizes: Few texts say little of pairs of words.
        ngram_min_count: Smaller knows n-grams that few rows would hide.
        crop_tokens: Larger misses less of what decides a long text; many texts make up for that.
    """

    num_epochs: int = 3
    batch_size: int = 32
    patience: int = 0
    learning_rate: float = 2e-3
    embedding_learning_rate: float = 5e-4
    ngram_learning_rate: float = 0.5
    warmup_ratio: float = 0.05
    vocab_size: int = 24_000
    ngram_sizes: list[int] = field(default_factory=lambda: [1, 2, 3])
    ngram_min_count: int = 10
    crop_tokens: int = 250


LARGE = Defaults()

PRETRAINED = Defaults(
    batch_size=16, learning_rate=5e-5, embedding_learning_rate=5e-5, warmup_ratio=0.1
)
"""Defaults of a classifier that starts from a checkpoint: the rate that made it would undo it."""

ADAPTERS = replace(PRETRAINED, learning_rate=5e-4)
"""Defaults of low-rank adapters, which start from zero."""

NORMALISED = replace(PRETRAINED, learning_rate=1e-3)
"""Defaults of a pretrained network with batch normalisation, such as EfficientNet or ResNet: at the
rate of a transformer it learns next to nothing in a few epochs."""

FEW = Defaults(20, batch_size=8, patience=4, ngram_min_count=2, crop_tokens=1000)

TEXTS_BELOW = {
    300: replace(FEW, ngram_sizes=[1]),
    1_000: FEW,
    3_000: Defaults(12, batch_size=16, patience=3, ngram_min_count=3, crop_tokens=1000),
    10_000: Defaults(6, batch_size=16, patience=2, ngram_min_count=5, crop_tokens=1000),
    20_000: Defaults(4, batch_size=32, patience=2, ngram_min_count=8),
}
"""Defaults of text localizers by the number of rows below which they hold, rising."""

IMAGES_BELOW = {10_000: Defaults(20, batch_size=16), 50_000: Defaults(8)}
"""The same of image localizers and other new networks for images."""

PRETRAINED_EPOCHS_BELOW = {3_000: 10, 10_000: 5}
"""Epochs of a pretrained image classifier, in the same way; `PRETRAINED` has those of more rows."""


def choose_defaults(num_rows: int | None, modality: str = "text") -> Defaults:
    """The defaults of a localizer.

    Args:
        num_rows: Number of training rows; `None` if unknown, as of a stream: those of large sets.
        modality: "text" or "image".
    """
    table = TEXTS_BELOW if modality == "text" else IMAGES_BELOW
    for limit, defaults in table.items():
        if num_rows is not None and num_rows < limit:
            return defaults
    return LARGE


def choose_pretrained_epochs(num_rows: int, modality: str) -> int:
    """Epochs of a classifier that starts from a checkpoint.

    Args:
        num_rows: Number of training rows.
        modality: "text" or "image"; texts are longer, and say more each.
    """
    for limit, epochs in PRETRAINED_EPOCHS_BELOW.items():
        if modality == "image" and num_rows < limit:
            return epochs
    return PRETRAINED.num_epochs


def complete_options(options: TrainingOptions, defaults: Defaults = LARGE) -> CompleteOptions:
    """Training options with values for all that were left out."""
    if isinstance(options, CompleteOptions):
        return options
    filled = _fill(options, defaults)
    return CompleteOptions(**{field.name: getattr(filled, field.name) for field in fields(filled)})


def choose_options(
    localizer: Options, options: TrainingOptions, num_rows: int | None
) -> tuple[Options, CompleteOptions, dict[str, Any]]:
    """Options of a text localizer and its training with values for all that were left out.

    One line of the log says what they are.

    Args:
        localizer: A dataclass of options.
        options: Options of the training.
        num_rows: Number of training rows; `None` if unknown.

    Returns:
        Both, and `num_rows` with the options that were left out, by name.
    """
    defaults = choose_defaults(num_rows)
    given, known = vars(localizer) | vars(options), asdict(defaults)
    left_out = {name: value for name, value in known.items() if given.get(name, 0) is None}
    filled, complete = _fill(localizer, defaults), complete_options(options, defaults)
    logger.info(_describe(num_rows, vars(filled) | vars(complete)))
    return filled, complete, {"num_rows": num_rows, **left_out}


def _fill(options: Options, defaults: Defaults) -> Options:
    """A copy of a dataclass in which the options that are None have their defaults, if any."""
    known = asdict(defaults)
    left_out = [name for name in known if getattr(options, name, 0) is None]
    return replace(options, **{name: known[name] for name in left_out})  # type: ignore[type-var]


def _describe(num_rows: int | None, options: Mapping[str, Any]) -> str:
    """What a training will do, such as "1,445 rows: 6 epochs, batches of 16, ..."."""
    rows = "a stream" if num_rows is None else f"{num_rows:,} rows"
    patience = options["patience"]
    ending = f" (fewer if {patience} in a row bring nothing)" if patience else ""
    sizes, seen = ", ".join(map(str, options["ngram_sizes"])), options["ngram_min_count"]
    ngrams = f"n-grams of {sizes} tokens seen {seen} times, " if sizes else ""
    rates = (options[name] for name in RATES)
    return (
        f"{rows}: {options['num_epochs']} epochs{ending}, batches of {options['batch_size']}, "
        f"{ngrams}crops of {options['crop_tokens']} tokens, learning rates "
        f"{' / '.join(f'{rate:g}' for rate in rates)} (trunk / embeddings / n-grams)"
    )
