"""Configurations of the two AnchorNets: fields, defaults and checks."""

from dataclasses import field
from typing import Any, cast

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from .geometry import receptive_windows
from .limits import (
    MOST_LABELS,
    MOST_LAYERS,
    check_at_most,
    check_epsilon,
    check_positive,
    check_rates,
    check_size,
    check_weights,
    check_windows,
)


@strict
class AnchorNetConfig(PreTrainedConfig):
    r"""Fields of both modalities: layers, branches, regularisation.

    The trunk is a list of unpadded convolutions; layer `i` has `kernel_sizes[i]`, `strides[i]`
    and `dilations[i]`, along every axis. A branch reads the trunk after `branch_depths[b]`
    layers, so its window follows from the layers before it.

    Args:
        hidden_size: Width of the features that the branches hand to the linear map.
        hidden_act: Activation of the trunk, a name that transformers knows.
        kernel_sizes: Kernel size of each layer, in positions of the layer below.
        strides: Stride of each layer; empty: all 1.
        dilations: Dilation of each layer; empty: all 1.
        branch_depths: Depth in the trunk of each branch, rising; the last is the last layer.
            Empty: a branch at every depth.
        gated: Whether the score of each trunk window is multiplied by a learned gate in (0, 1);
            puts evidence on fewer windows.
        hidden_dropout_prob: Dropout before each branch's linear map.
        auxiliary_loss_weight: Weight of the branches' own mean loss next to that of the sum.
        evidence_penalty: Weight of the total absolute centred evidence in the training loss;
            makes evidence sparse.
        initializer_range: Standard deviation of the initial linear maps.
        reading_scales: Sizes, in tokens or pixels, of the windows that a classifier is given to
            read; empty: the largest of a text, all of an image. Patches of an image are shown from
            these sizes, too.
        output_evidence: Whether `forward` returns evidence and masks by default.

    Raises:
        StrictDataclassError: (a `ValueError` or `TypeError`) for a bad value or type.
    """

    # `Trainer` gives `compute_metrics` the logits alone.
    keys_to_ignore_at_inference = ["bias", "evidence", "masks", "hidden_states"]  # noqa: RUF012

    hidden_size: int = 128
    hidden_act: str = "gelu"
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 3])
    strides: list[int] = field(default_factory=list)
    dilations: list[int] = field(default_factory=list)
    branch_depths: list[int] = field(default_factory=list)
    gated: bool = False
    hidden_dropout_prob: float = 0.3
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.0
    initializer_range: float = 0.02
    reading_scales: list[int] = field(default_factory=list)
    output_evidence: bool = False

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
        # Before `super()`, which makes a name for each label before it validates.
        check_at_most("num_labels", MOST_LABELS, kwargs.get("num_labels") or 0)
        check_at_most("id2label", MOST_LABELS, len(kwargs.get("id2label") or ()))
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """A configuration from a dictionary.

        Raises:
            ValueError: if the dictionary is of another model type, such as the other modality.
        """
        model_type = config_dict.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f'`model_type` of this checkpoint must be "{cls.model_type}", got "{model_type}"; '
                "load it with the Auto class of its task."
            )
        return super().from_dict(config_dict, **kwargs)

    def validate_layers(self) -> None:
        """Check that the lists describe one trunk and branches inside it."""
        self._check_layer_lists("strides", "dilations")
        check_at_most("kernel_sizes", MOST_LAYERS, len(self.kernel_sizes))
        for name in ("kernel_sizes", "strides", "dilations"):
            check_positive(name, *getattr(self, name))
        check_windows(self.kernel_sizes, self.strides, self.dilations)
        depths, deepest = self.branch_depths, len(self.kernel_sizes)
        rising = depths == sorted(set(depths))
        if not depths or not rising or depths[0] < 0 or depths[-1] != deepest:
            raise ValueError(
                "`branch_depths` must rise strictly from >= 0 to the number of layers "
                f"({deepest}), got {depths}; drop the layers that no branch reads or add a branch."
            )

    def validate_regularisation(self) -> None:
        """Check the activation, the rates and the weights."""
        check_rates(hidden_dropout_prob=self.hidden_dropout_prob)
        check_positive("hidden_size", self.hidden_size)
        if self.hidden_act not in ACT2FN:
            raise ValueError(
                f"`hidden_act` must be an activation of transformers, got {self.hidden_act!r}; it "
                f"knows {', '.join(sorted(ACT2FN))}."
            )
        check_weights(
            auxiliary_loss_weight=self.auxiliary_loss_weight,
            evidence_penalty=self.evidence_penalty,
            initializer_range=self.initializer_range,
        )

    def validate_reading_scales(self) -> None:
        """Check the sizes of what a classifier reads."""
        check_positive("reading_scales", *self.reading_scales)
        check_at_most("reading_scales", 2**31, *self.reading_scales)
        if len(set(self.reading_scales)) < len(self.reading_scales):
            raise ValueError(
                f"`reading_scales` must name each size once, got {self.reading_scales}; leave out "
                "repeats."
            )

    def validate_labels(self) -> None:
        """Check that every label from 0 on has a name."""
        names = self.id2label or {}
        if sorted(map(str, names)) != sorted(map(str, range(len(names)))) or not names:
            raise ValueError(
                "`id2label` must name the labels 0, 1, 2 and so on, got "
                f"{list(names)[:9]}; number them without a gap."
            )

    def _check_layer_lists(self, *names: str) -> None:
        for name in names:
            got = getattr(self, name)
            if len(got) != len(self.kernel_sizes):
                raise ValueError(
                    f"`{name}` must have one entry for each of the {len(self.kernel_sizes)} layers "
                    f"in `kernel_sizes`, got {got}; give as many or leave it out."
                )


@strict
class AnchorNetTextConfig(AnchorNetConfig):
    r"""Configuration of a text AnchorNet; see `AnchorNetConfig` for the shared fields.

    A branch of depth 0 reads the embeddings themselves. The defaults give windows of 1, 3 and 5
    tokens; `kernel_sizes=[3, 3, 3, 3]` with `dilations=[1, 1, 2, 4]` gives 1, 3, 5, 9 and 17.

    Args:
        trunk: Whether there are embeddings and convolutions; without, the model is its n-grams
            alone: no layers, no branches but theirs.
        vocab_size: Number of rows of the embedding table.
        embedding_size: Width of the embedding table.
        ngram_sizes: Sizes of the n-grams that have a score of their own, looked up in a table;
            each adds a branch with windows of that many tokens.
        ngram_counts: Number of known n-grams of each of these sizes.
        ngram_vocab_size: The codes of the known n-grams are numbers in base
            `ngram_vocab_size + 1`. It stays when the embedding table is resized; n-grams with a
            token id of `ngram_vocab_size` or more are unknown. Default: `vocab_size`.
        ngram_dropout_prob: Chance that an n-gram's score is dropped in training.
        ngram_penalty: The `evidence_penalty` of the n-grams; `evidence_penalty` is the trunk's.
        token_dropout_prob: Chance that a token is blanked in training (embedded as zeros).
        layer_norm_eps: Epsilon of the layer normalisations (over channels only).
        chunk_size: At inference, longer texts are processed in pieces of this many tokens
            (plus the overlap that the windows need), at the same result and constant memory.
            `None`: always in one piece.
        pad_token_id: Padding token; its embedding is never used.

    Source: Yang et al., arXiv 2002.03737, carried over from images to text.
    """

    model_type = "anchornet_text"

    trunk: bool = True
    vocab_size: int = 30522
    embedding_size: int = 128
    ngram_sizes: list[int] = field(default_factory=list)
    ngram_counts: list[int] = field(default_factory=list)
    ngram_vocab_size: int | None = None
    ngram_dropout_prob: float = 0.5
    ngram_penalty: float = 0.0
    token_dropout_prob: float = 0.15
    layer_norm_eps: float = 1e-5
    chunk_size: int | None = 16384
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the fields that were left out."""
        if self.ngram_vocab_size is None:  # as in checkpoints from before there was this field
            self.ngram_vocab_size = self.vocab_size
        super().__post_init__(**kwargs)
        if not self.trunk:
            self.kernel_sizes, self.strides, self.dilations, self.branch_depths = [], [], [], []

    def validate_layers(self) -> None:
        """Check the trunk, or that there are n-grams instead."""
        if self.trunk:
            super().validate_layers()
        elif not self.ngram_sizes:
            raise ValueError(
                "`ngram_sizes` must name at least one size for a model without a trunk, got []; "
                "set `trunk=True` or give n-grams."
            )

    def validate_sizes(self) -> None:
        """Check the sizes and rates of text."""
        for name in ("vocab_size", "embedding_size", "ngram_vocab_size"):
            check_positive(name, getattr(self, name))
        if self.chunk_size is not None:
            check_positive("chunk_size", self.chunk_size)
        check_positive("ngram_sizes", *self.ngram_sizes)
        check_positive("ngram_counts", *self.ngram_counts)
        if len(self.ngram_counts) != len(self.ngram_sizes):
            raise ValueError(
                f"`ngram_counts` must have one entry for each of `ngram_sizes` {self.ngram_sizes}, "
                f"got {self.ngram_counts}."
            )
        longest = max(self.ngram_sizes, default=1)
        vocab_size = cast(int, self.ngram_vocab_size)
        if longest >= 63 or (vocab_size + 1) ** longest >= 2**63:
            raise ValueError(
                f"`ngram_sizes` must leave n-gram codes below 2**63, got {self.ngram_sizes} with "
                f"`ngram_vocab_size` {vocab_size}; use shorter n-grams or a smaller vocabulary."
            )
        check_rates(
            token_dropout_prob=self.token_dropout_prob, ngram_dropout_prob=self.ngram_dropout_prob
        )
        check_weights(ngram_penalty=self.ngram_penalty)
        check_epsilon("layer_norm_eps", self.layer_norm_eps)
        check_size(
            vocab_size=self.vocab_size * self.embedding_size,
            embedding_size=self.embedding_size * self.hidden_size,
            hidden_size=self.hidden_size**2 * sum(self.kernel_sizes),
            ngram_counts=sum(self.ngram_counts) * cast(int, self.num_labels),
        )


@strict
class AnchorNetImageConfig(AnchorNetConfig):
    r"""Configuration of an image AnchorNet; see `AnchorNetConfig` for the shared fields.

    Layer 0 is a plain convolution; each further layer is an inverted residual block (Sandler et
    al. 2018): expand to `expand_ratios[i]` times the channels, a depthwise convolution, project to
    `channels[i]`. The defaults have windows of 7, 15, 31, 47, 63, 79 and 95 px after the blocks,
    at a stride of 8 px (2206.03367, table 1), of which the branches read 31, 63 and 95.

    Args:
        num_channels: Channels of the input.
        channels: Channels after each layer.
        expand_ratios: Expansion of each layer; that of layer 0 is not used.
        squeeze_excite: Whether to build the network published with 2206.03367, which is not
            local: squeeze-and-excitation over the whole map in each block, skips cropped at the
            far end instead of both, and branches without normalisation and activation.
        batch_norm_eps: Epsilon of the batch normalisations.
        count_exponent: Power, in [0, 1], of the number of windows by which a branch divides the sum
            of their scores. 1: their mean, in which a large image dilutes a small object; 0.5:
            less so; 0: their sum.

    Source: Yang, An, Xu, ICME 2022, arXiv 2206.03367.
    """

    model_type = "anchornet_image"

    hidden_size: int = 96
    num_channels: int = 3
    channels: list[int] = field(default_factory=lambda: [12, 16, 24, 24, 40, 64, 80, 96])
    expand_ratios: list[int | float] = field(default_factory=lambda: [1, 1, 2, 3, 3, 2, 2, 1.5])
    kernel_sizes: list[int] = field(default_factory=lambda: [3] * 8)
    strides: list[int] = field(default_factory=lambda: [2, 2, 2, 1, 1, 1, 1, 1])
    branch_depths: list[int] = field(default_factory=lambda: [4, 6, 8])
    hidden_act: str = "silu"
    squeeze_excite: bool = False
    batch_norm_eps: float = 1e-5
    count_exponent: float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the lists that were left out."""
        self.channels, self.expand_ratios = list(self.channels), list(self.expand_ratios)
        super().__post_init__(**kwargs)

    def validate_reading_scales(self) -> None:
        """Check that patches are windows of the model."""
        super().validate_reading_scales()
        windows = receptive_windows(self.kernel_sizes, self.strides, self.dilations)
        sizes = [windows[depth].size for depth in self.branch_depths if depth < len(windows)]
        if not set(self.reading_scales) <= set(sizes):
            raise ValueError(
                f"`reading_scales` must be window sizes of this model, {sizes}, got "
                f"{self.reading_scales}; leave it out for all."
            )

    def validate_channels(self) -> None:
        """Check the fields of images."""
        self._check_layer_lists("channels", "expand_ratios")
        check_positive("num_channels", self.num_channels)
        check_positive("channels", *self.channels)
        check_positive("expand_ratios", *self.expand_ratios)
        if not self.kernel_sizes or self.branch_depths[0] == 0:
            raise ValueError(
                "`branch_depths` of an image AnchorNet must be at least 1, got "
                f"{self.branch_depths} over {len(self.kernel_sizes)} layers; a single pixel is no "
                "patch."
            )
        check_epsilon("batch_norm_eps", self.batch_norm_eps)
        if not 0 <= self.count_exponent <= 1:
            raise ValueError(
                f"`count_exponent` must be in [0, 1], got {self.count_exponent}; 1 gives the mean "
                "over windows."
            )
        check_at_most("expand_ratios", 2**10, *self.expand_ratios)
        check_size(
            num_channels=self.num_channels * self.channels[0] * self.kernel_sizes[0] ** 2,
            kernel_sizes=max(self.kernel_sizes) ** 2 * sum(self.channels),
            channels=max(self.channels) ** 2 * int(sum(self.expand_ratios)),
            hidden_size=self.hidden_size * sum(self.channels),
        )
