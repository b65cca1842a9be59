"""Options of a text localizer, which are also options of the command line."""

import math
from dataclasses import dataclass, field

from .distillation import PIECE_WORDS

ARCHITECTURE = ("hidden_size", "kernel_sizes", "dilations", "trunk", "gated")
"""Options that a localizer to start from decides."""

SET_ANEW = (
    "hidden_dropout_prob",
    "token_dropout_prob",
    "ngram_dropout_prob",
    "auxiliary_loss_weight",
    "evidence_penalty",
    "ngram_penalty",
)
"""Options that may differ from those of a localizer to start from."""


@dataclass
class TextLocalizerOptions:
    """Architecture and starting point of a text localizer.

    Attributes:
        from_localizer: Trained localizer to start from: its tokenizer, embeddings and trunk, and
            with the same labels also the rest. For other labels, heads and n-grams start anew.
        encoder: Encoder checkpoint whose tokenizer is used and from which the first embeddings are
            computed: `tokenizer` and `embeddings` in one. Helps most on small sets.
        tokenizer: Checkpoint whose tokenizer is used; by default one is trained on the training
            split.
        vocab_size: Largest number of tokens of a tokenizer trained here. Larger keeps more words
            whole and makes the model bigger. By default 24,000.
        embeddings: Encoder checkpoint from which the first embeddings are computed, each token of
            the localizer read alone; random by default.
        teacher: Text classifier checkpoint of the same labels. The localizer also learns its
            probabilities for short pieces of the training texts.
        distillation_weight: Share of the teacher, in [0, 1], in the targets of these pieces; the
            rest is the label of the text.
        piece_words: Fewest and most words of a piece; pieces end at a sentence where possible.
        hidden_size: Width of embeddings and trunk. Larger is usually more accurate, and slower.
        kernel_sizes: Kernel size of each convolution, in tokens. Every layer adds a branch with
            larger windows: 3 3 gives windows of 1, 3 and 5 tokens.
        dilations: Dilation of each convolution; all 1 by default. 1 1 2 4 with kernel sizes
            3 3 3 3 gives windows of 1, 3, 5, 9 and 17 tokens.
        trunk: Whether to build the convolutions; without, the localizer is its n-grams alone and
            costs what a linear model costs.
        ngram_sizes: Lengths, in tokens, of n-grams that have a learned score of their own. By
            default 1 2 3, with fewer than 300 rows 1.
        linear_weight: Weight with which a linear model of the same n-grams is added to what was
            learned; 0: none. By default the validation split decides how much of both counts; with
            fewer than 100 rows there, the linear model answers alone. Larger is usually more
            accurate and spreads evidence over more words. With a `teacher`: of the linear
            model that corrects what was learned from it; by default 1.
        ngram_min_count: Occurrences in the training split that make an n-gram known. Larger gives
            a smaller model and less overfitting. By default 10, or less with fewer than 20,000
            rows.
        gated: Let each window scale its evidence by a learned factor in (0, 1), which concentrates
            evidence on fewer windows.
        hidden_dropout_prob: Dropout, in [0, 1), before each branch's linear layer.
        token_dropout_prob: Probability, in [0, 1), of blanking a token in training.
        ngram_dropout_prob: Probability, in [0, 1), of dropping an n-gram's score in training.
        auxiliary_loss_weight: Weight of the loss of each branch on its own. Larger makes every
            window size predictive by itself.
        evidence_penalty: Weight of the total absolute evidence of the convolutions. Larger gives
            sparser evidence.
        ngram_penalty: Weight of the total absolute evidence of the n-grams.
        crop_tokens: Length in tokens of the random crop of each text that a step trains on.
            Larger sees more of a text and takes more memory. By default 250, with fewer than
            10,000 rows 1,000.
    """

    from_localizer: str | None = None
    encoder: str | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    embeddings: str | None = None
    teacher: str | None = None
    distillation_weight: float = 0.9
    piece_words: list[int] = field(default_factory=lambda: list(PIECE_WORDS))
    hidden_size: int = 128
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    dilations: list[int] = field(default_factory=list)
    trunk: bool = True
    ngram_sizes: list[int] | None = None
    linear_weight: float | None = None
    ngram_min_count: int | None = None
    gated: bool = True
    hidden_dropout_prob: float = 0.3
    token_dropout_prob: float = 0.15
    ngram_dropout_prob: float = 0.5
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.01
    ngram_penalty: float = 0.05
    crop_tokens: int | None = None

    def __post_init__(self) -> None:
        """Check what the model's configuration does not."""
        if not 0 <= self.distillation_weight <= 1:
            raise ValueError(
                f"`distillation_weight` must be in [0, 1], got {self.distillation_weight}."
            )
        if not self.trunk and self.ngram_sizes == []:
            raise ValueError("`ngram_sizes` must name at least one size without a trunk, got [].")
        if self.linear_weight and self.ngram_sizes == []:
            raise ValueError(
                f"`linear_weight` must be 0 or left out without n-grams, got {self.linear_weight}; "
                "name their sizes by `ngram_sizes`."
            )
        if self.linear_weight is not None and not 0 <= self.linear_weight < math.inf:
            raise ValueError(
                f"`linear_weight` must be at least 0, got {self.linear_weight}; leave it out to "
                "have it chosen."
            )
        if len(self.piece_words) != 2 or not 1 <= self.piece_words[0] <= self.piece_words[1]:
            raise ValueError(
                "`piece_words` must be the fewest and the most words of a piece, got "
                f"{self.piece_words}; try 16 48."
            )
        for name in ("vocab_size", "ngram_min_count", "crop_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self._share("encoder", "tokenizer", "embeddings")
        self._share("from_localizer", "tokenizer")
        if not self.trunk and self.embeddings is not None:
            raise ValueError(
                f"`embeddings` must be None without a trunk, got {self.embeddings}: n-grams are "
                "looked up by token; to use the tokenizer of an encoder, name it by `tokenizer`."
            )
        if self.from_localizer is not None and self.embeddings is not None:
            raise ValueError(
                f"`embeddings` must be None with `from_localizer`, got {self.embeddings}: the "
                "localizer has embeddings; leave out one of them."
            )

    def _share(self, name: str, *parts: str) -> None:
        """Let one option stand for others, which must not contradict it."""
        source = getattr(self, name)
        for part in parts if source is not None else ():
            value = getattr(self, part)
            if value not in (None, source):
                raise ValueError(
                    f"`{part}` must be None with `{name}`, got {value}: `{name}` brings its own; "
                    "leave out one of them."
                )
            setattr(self, part, source)
