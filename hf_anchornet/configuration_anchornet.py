"""The configuration of an AnchorNet: its fields, their defaults and what makes them valid."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class AnchorNetTextConfig(PreTrainedConfig):
    r"""Configuration of a text AnchorNet.

    The trunk is a list of unpadded 1-D convolutions; layer `i` has `kernel_sizes[i]`,
    `strides[i]` and `dilations[i]`. A branch reads the trunk after `branch_depths[b]` layers
    (0: the embeddings themselves), so its window follows from the layers before it. The
    defaults give windows of 1, 3 and 5 tokens; `kernel_sizes=[3, 3, 3, 3]` with
    `dilations=[1, 1, 2, 4]` gives 1, 3, 5, 9 and 17.

    Args:
        vocab_size: Number of rows of the embedding table.
        embedding_size: Width of the embedding table.
        hidden_size: Width of the trunk.
        kernel_sizes: Kernel size of each layer, in positions of the layer below.
        strides: Stride of each layer; empty: all 1.
        dilations: Dilation of each layer; empty: all 1.
        branch_depths: Depth in the trunk of each branch, rising; the last is the last layer.
            Empty: a branch at every depth.
        ngram_sizes: Sizes of the n-grams that have a score of their own, looked up in a table;
            each adds a branch with windows of that many tokens.
        ngram_counts: Number of known n-grams of each of these sizes.
        ngram_dropout_prob: Chance that an n-gram's score is dropped in training.
        hidden_act: Activation of the trunk, a name that transformers knows.
        hidden_dropout_prob: Dropout before each layer and each branch's linear map.
        token_dropout_prob: Chance that a token is blanked in training (embedded as zeros).
        auxiliary_loss_weight: Weight of the branches' own mean loss next to that of the sum.
        evidence_penalty: Weight of the total absolute centred evidence in the training loss;
            makes evidence sparse.
        layer_norm_eps: Epsilon of the layer normalisations (over channels only).
        initializer_range: Standard deviation of the initial embeddings and linear maps.
        output_evidence: Whether `forward` returns evidence and masks when it is not asked.
        reading_scales: Sizes of the spans, in tokens, that are handed to a classifier; empty:
            the largest window.
        chunk_size: At inference, longer texts are processed in pieces of this many tokens
            (plus the overlap that the windows need), at the same result and constant memory.
            `None`: always in one piece.
        pad_token_id: Padding token; its embedding is never used.

    Raises:
        StrictDataclassError: (a `ValueError` or `TypeError`) for a bad value or type.

    Source: Yang et al., arXiv 2002.03737, carried over from images to text.
    """

    model_type = "anchornet_text"

    vocab_size: int = 30522
    embedding_size: int = 128
    hidden_size: int = 128
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    strides: list[int] = field(default_factory=list)
    dilations: list[int] = field(default_factory=list)
    branch_depths: list[int] = field(default_factory=list)
    ngram_sizes: list[int] = field(default_factory=list)
    ngram_counts: list[int] = field(default_factory=list)
    ngram_dropout_prob: float = 0.5
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.3
    token_dropout_prob: float = 0.15
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.0
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    output_evidence: bool = False
    reading_scales: list[int] = field(default_factory=list)
    chunk_size: int | None = 16384
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the lists that were left out."""
        if not __name__.startswith("transformers_modules."):
            # The installed package knows its pipelines: it need not ask to trust remote code.
            kwargs.pop("custom_pipelines", None)
        self.kernel_sizes = list(self.kernel_sizes)
        num_layers = len(self.kernel_sizes)
        self.strides = list(self.strides or [1] * num_layers)
        self.dilations = list(self.dilations or [1] * num_layers)
        self.branch_depths = list(self.branch_depths or range(num_layers + 1))
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    def validate_layers(self) -> None:
        """Check that the lists describe one trunk and branches inside it."""
        for name in ("strides", "dilations"):
            got = getattr(self, name)
            if len(got) != len(self.kernel_sizes):
                raise ValueError(
                    f"`{name}` must have one entry for each of the {len(self.kernel_sizes)} layers "
                    f"in `kernel_sizes`, got {got}; give as many or leave it out."
                )
        for name in ("kernel_sizes", "strides", "dilations"):
            _check_positive(name, *getattr(self, name))
        depths, deepest = self.branch_depths, len(self.kernel_sizes)
        rising = depths == sorted(set(depths))
        if not depths or not rising or depths[0] < 0 or depths[-1] != deepest:
            raise ValueError(
                "`branch_depths` must rise strictly from >= 0 to the number of layers "
                f"({deepest}), got {depths}; drop the layers that no branch reads or add a branch."
            )

    def validate_sizes(self) -> None:
        """Check the sizes, rates and weights."""
        for name in ("vocab_size", "embedding_size", "hidden_size"):
            _check_positive(name, getattr(self, name))
        if self.chunk_size is not None:
            _check_positive("chunk_size", self.chunk_size)
        _check_positive("reading_scales", *self.reading_scales)
        _check_positive("ngram_sizes", *self.ngram_sizes)
        _check_positive("ngram_counts", *self.ngram_counts)
        if len(self.ngram_counts) != len(self.ngram_sizes):
            raise ValueError(
                f"`ngram_counts` must have one entry for each of `ngram_sizes` {self.ngram_sizes}, "
                f"got {self.ngram_counts}."
            )
        if (self.vocab_size + 1) ** max(self.ngram_sizes, default=1) >= 2**63:
            raise ValueError(
                f"`ngram_sizes` must leave n-gram codes below 2**63, got {self.ngram_sizes} with "
                f"`vocab_size` {self.vocab_size}; use shorter n-grams or a smaller vocabulary."
            )
        for name in ("hidden_dropout_prob", "token_dropout_prob", "ngram_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), got {getattr(self, name)}.")
        for name in ("auxiliary_loss_weight", "evidence_penalty"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must be >= 0, got {getattr(self, name)}; 0 switches it off."
                )


def _check_positive(name: str, *values: int) -> None:
    bad = [value for value in values if value < 1]
    if bad:
        raise ValueError(f"`{name}` must be at least 1, got {bad[0]}; give a positive number.")
