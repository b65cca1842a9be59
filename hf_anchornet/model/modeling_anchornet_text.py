"""AnchorNet for text: token embeddings, unpadded 1-D convolutions, exact evidence per span."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN

from .configuration_anchornet import AnchorNetTextConfig
from .geometry import Window, valid_positions
from .modeling_anchornet import (
    AnchorNetClassifier,
    AnchorNetClassifierOutput,
    AnchorNetOutput,
    AnchorNetPreTrainedModel,
    LinearAggregation,
)


class TextLayer(nn.Module):
    """One unpadded convolution, added to the centre of each window."""

    def __init__(self, config: AnchorNetTextConfig, kernel: int, stride: int, dilation: int):
        super().__init__()
        width = config.hidden_size
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)  # over channels only
        self.conv = nn.Conv1d(width, width, kernel, stride=stride, dilation=dilation)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.crop = (kernel - 1) * dilation // 2
        self.stride = stride

    def forward(self, hidden: Tensor) -> Tensor:
        """Features of the wider windows: (batch, fewer positions, hidden)."""
        wider: Tensor = self.conv(self.norm(hidden).transpose(1, 2)).transpose(1, 2)
        wider = self.dropout(self.activation(wider))
        # The residual is the position at the centre of each window: cropped, never padded.
        last = self.crop + (wider.shape[1] - 1) * self.stride + 1
        centre: Tensor = hidden[:, self.crop : last : self.stride]
        return wider + centre


class NgramTable(nn.Embedding):
    """Scores of the known n-grams of one size, initially 0; row 0, of unknown ones, stays 0."""


class NgramScores(nn.Module):
    """Score of each known n-gram, looked up: a linear map of the n-gram's one-hot code.

    Regions of one-hot words (Johnson and Zhang, NAACL 2015), as in linear models of n-grams (Wang
    and Manning, ACL 2012): what a narrow trunk cannot remember, such as the sentiment of one name
    or idiom, costs one row instead of width. An unknown n-gram scores 0.
    """

    def __init__(self, config: AnchorNetTextConfig) -> None:
        super().__init__()
        self.sizes = list(config.ngram_sizes)
        self.vocab_size = cast(int, config.ngram_vocab_size)
        self.dropout_prob = config.ngram_dropout_prob
        self.tables = nn.ModuleList(
            NgramTable(count + 1, cast(int, config.num_labels), padding_idx=0)
            for count in config.ngram_counts
        )
        for size, count in zip(self.sizes, config.ngram_counts, strict=True):
            # Half the space on disk where the codes are small enough.
            narrow = (self.vocab_size + 1) ** size < 2**31
            dtype = torch.int32 if narrow else torch.int64
            self.register_buffer(f"codes_{size}", torch.zeros(count, dtype=dtype))

    @staticmethod
    def encode(input_ids: Tensor, mask: Tensor, vocab_size: int, size: int) -> Tensor:
        """Code of the n-gram at each position: (batch, tokens - size + 1), int64.

        The code is -1 where a token id is `vocab_size` or more: no two n-grams share another code.
        """
        digits = (input_ids + 1) * mask  # (batch, tokens), 0 = no token
        positions = digits.shape[1] - size + 1
        code = torch.zeros_like(digits[:, :positions])
        fits = torch.ones_like(code, dtype=torch.bool)
        for offset in range(size):
            digit = digits[:, offset : offset + positions]
            code, fits = code * (vocab_size + 1) + digit, fits & (digit <= vocab_size)
        return torch.where(fits, code, -1)

    def set_codes(self, size: int, codes: Tensor) -> None:
        """Make `codes`, (count,), int64, the known n-grams of this size.

        Raises:
            ValueError: if a code is none of `encode` with `config.ngram_vocab_size`.
        """
        if len(codes) and not 0 <= codes.min() <= codes.max() < (self.vocab_size + 1) ** size:
            raise ValueError(
                f"`codes` must be in [0, {self.vocab_size + 1} ** {size}), got "
                f"{codes.min()} to {codes.max()}; encode them with `ngram_vocab_size` "
                f"{self.vocab_size}."
            )
        getattr(self, f"codes_{size}").copy_(codes.sort().values)

    def forward(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Scores of the n-grams at every position, a tensor a size: (batch, positions, labels)."""
        scores = []
        for size, table in zip(self.sizes, self.tables, strict=True):
            known = getattr(self, f"codes_{size}")
            code = self.encode(input_ids, mask, self.vocab_size, size).to(known.dtype)
            row = torch.searchsorted(known, code).clamp(max=len(known) - 1)
            scores.append(self._drop(table(torch.where(known[row] == code, row + 1, 0))))
        return tuple(scores)

    def _drop(self, scores: Tensor) -> Tensor:
        """Drop whole n-grams, all labels at once, in training."""
        if not self.training or self.dropout_prob == 0:
            return scores
        keep = torch.rand_like(scores[..., :1]) >= self.dropout_prob
        return scores * keep / (1 - self.dropout_prob)


class AnchorNetTextPreTrainedModel(AnchorNetPreTrainedModel):
    """The base class of the text models."""

    config_class = AnchorNetTextConfig
    main_input_name = "input_ids"
    input_modalities = ("text",)  # type: ignore[assignment]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, NgramTable):
            init.zeros_(module.weight)
        elif isinstance(module, nn.Embedding | nn.Linear):
            init.normal_(module.weight, std=std)
        elif isinstance(module, nn.Conv1d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
        elif isinstance(module, NgramScores):
            for codes in module.buffers(recurse=False):
                init.zeros_(codes)
        bias = getattr(module, "bias", None)
        if bias is not None:
            init.zeros_(bias)

    def align_left(self, tokens: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Real tokens first in each row, and at least as many columns as the largest window has.

        Returns:
            `tokens` in their layout, and their mask, (batch, tokens), bool.
        """
        length = tokens.shape[1]
        if attention_mask is None:
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        else:
            mask = attention_mask.bool()
            if length > 0:
                first = mask.int().argmax(dim=1, keepdim=True)  # (batch, 1)
                order = torch.arange(length, device=mask.device) + first
                order = torch.where(order < length, order, order - length)  # wrap around
                mask = mask.gather(1, order)
                if tokens.ndim == 3:
                    order = order[..., None].expand(-1, -1, tokens.shape[2])
                tokens = tokens.gather(1, order)
        largest, extra = max(window.size for window in self.windows), self.export_padding
        missing = largest + extra if extra else max(0, largest - length)
        return pad_right(tokens, missing), pad_right(mask, missing)


class AnchorNetTextModel(AnchorNetTextPreTrainedModel):
    """The trunk: features of every window of every branch.

    Position `p` of branch `b` sees tokens `[p * s, p * s + r)` and nothing else, with
    `Window(size=r, stride=s) = model.windows[b]`.
    """

    _input_embed_layer = "embeddings"
    # The head of a classifier.
    _keys_to_ignore_on_load_unexpected = (r"^aggregation\.", r"^ngrams\.")  # type: ignore[assignment]

    def __init__(self, config: AnchorNetTextConfig) -> None:
        if not config.trunk:
            raise ValueError(
                "`trunk` must be True for a model that returns features, got False; load this "
                "checkpoint with AutoModelForSequenceClassification."
            )
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        same_width = config.embedding_size == config.hidden_size
        self.projection = (
            nn.Identity() if same_width else nn.Linear(config.embedding_size, config.hidden_size)
        )
        self.layers = nn.ModuleList(
            TextLayer(config, *layer)
            for layer in zip(config.kernel_sizes, config.strides, config.dilations, strict=True)
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> AnchorNetOutput | tuple[Tensor, ...]:
        """Features and masks of all windows.

        Args:
            input_ids: (batch, tokens), int64.
            attention_mask: (batch, tokens), 1 = real token, contiguous in each row. Positions
                count from a row's first real token, so padding on either side changes nothing.
            inputs_embeds: (batch, tokens, embedding), instead of `input_ids`.
            output_hidden_states: Whether to return them; default `config.output_hidden_states`.
            return_dict: `False`: a plain tuple without the fields that are None; default
                `config.return_dict`.
            kwargs: Ignored; unknown names are logged.

        Raises:
            ValueError: unless exactly one of `input_ids` and `inputs_embeds` is given.
        """
        self.check_extra(kwargs)
        tokens, mask = self.align_left(choose_tokens(input_ids, inputs_embeds), attention_mask)
        hidden_states = self.compute_hidden_states(tokens, mask)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        output = AnchorNetOutput(
            last_hidden_state=hidden_states[-1],
            hidden_states=hidden_states if output_hidden_states else None,
            features=self.pick_features(hidden_states),
            masks=tuple(valid_positions(mask, window) for window in self.windows),
        )
        return cast(AnchorNetOutput, self.pack(output, return_dict))

    def compute_hidden_states(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """The embeddings and each layer's output: (batch, positions, hidden).

        Args:
            tokens: (batch, tokens), int64, or embedded, (batch, tokens, embedding); at least as
                many as the largest window has.
            mask: (batch, tokens), bool, True = real token; these stand first in each row.
        """
        hidden_states = [self._embed(tokens, mask)]
        for layer in self.layers:
            hidden_states.append(layer(hidden_states[-1]))
        return tuple(hidden_states)

    def pick_features(self, hidden_states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The hidden states that the branches read."""
        return tuple(hidden_states[depth] for depth in self.config.branch_depths)

    def _embed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Hidden state of each token alone: (batch, tokens, hidden); blanked tokens embed as 0."""
        if self.training and self.config.token_dropout_prob > 0:
            kept = torch.rand_like(mask, dtype=torch.float) >= self.config.token_dropout_prob
            mask = mask & kept
        embedded = tokens if tokens.ndim == 3 else self.embeddings(tokens)
        hidden: Tensor = self.projection(embedded * mask[..., None])
        return hidden


class AnchorNetTextForSequenceClassification(AnchorNetTextPreTrainedModel, AnchorNetClassifier):
    """A text classifier whose logits are an exact sum over windows of tokens."""

    def __init__(self, config: AnchorNetTextConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        if config.trunk:
            self.anchornet = AnchorNetTextModel(config)
        self.ngrams = NgramScores(config)
        self.aggregation = LinearAggregation(
            config, [nn.LayerNorm(config.hidden_size, config.layer_norm_eps) for _ in self.windows]
        )
        self.windows += tuple(Window(size, stride=1) for size in config.ngram_sizes)
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def ngram_windows(self) -> tuple[Window, ...]:
        """The windows of the n-gram branches, the last of `windows`; empty without n-grams."""
        return self.windows[len(self.windows) - len(self.config.ngram_sizes) :]

    @property
    def branch_penalties(self) -> list[float]:
        """Weight of each branch's absolute evidence in the training loss: trunk, then n-grams."""
        ngrams = [self.config.ngram_penalty] * len(self.config.ngram_sizes)
        trunk = [self.config.evidence_penalty] * (len(self.windows) - len(ngrams))
        return trunk + ngrams

    @property
    def reading_scales(self) -> list[int]:
        """Sizes, in tokens, of the spans that a classifier should be given to read."""
        return self.config.reading_scales or [max(window.size for window in self.windows)]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_evidence: bool | None = None,
        return_dict: bool | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> AnchorNetClassifierOutput | tuple[Tensor, ...]:
        """Logits, and on request the evidence that adds up to them.

        Args:
            input_ids: (batch, tokens), int64; any length, also 0.
            attention_mask: (batch, tokens), 1 = real token; see `AnchorNetTextModel.forward`.
            labels: (batch,), int64 class indices, or (batch, labels), float in [0, 1]:
                probabilities, which add up to 1 unless `config.problem_type` is
                "multi_label_classification".
            output_evidence: Whether to return evidence and masks; default `config.output_evidence`.
            return_dict: See `AnchorNetTextModel.forward`.
            inputs_embeds: See `AnchorNetTextModel.forward`; for models without n-grams only.
            output_hidden_states: Whether to return them; default `config.output_hidden_states`.
                Then long texts are processed in one piece.
            kwargs: Ignored; unknown names are logged.

        Raises:
            ValueError: as `AnchorNetTextModel.forward`, or if the model has n-grams and
                `inputs_embeds` is given.
        """
        self.check_extra(kwargs)
        if inputs_embeds is not None and self.config.ngram_sizes:
            raise ValueError(
                "`inputs_embeds` must be None for a model with n-grams, which are looked up by "
                f"token ids, got a tensor of shape {tuple(inputs_embeds.shape)}; give `input_ids`."
            )
        tokens, mask = self.align_left(choose_tokens(input_ids, inputs_embeds), attention_mask)
        masks = tuple(valid_positions(mask, window) for window in self.windows)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        chunk_size = None if self.training or output_hidden_states else self.config.chunk_size
        hidden_states = None
        if chunk_size is None or tokens.shape[1] <= chunk_size:
            scores, hidden_states = self._score_piece(tokens, mask, masks)
        else:
            scores = self._score_in_pieces(tokens, mask, masks, chunk_size)
        if not output_hidden_states:
            hidden_states = None
        output = self.classify(scores, masks, labels, output_evidence, hidden_states)
        return cast(AnchorNetClassifierOutput, self.pack(output, return_dict))

    @torch.no_grad()
    def glance(
        self, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> AnchorNetClassifierOutput:
        """The answer of the n-gram branches alone: bias plus the terms that they add in `forward`.

        The tables are looked up; the trunk does not run. `evidence` and `masks` hold the n-gram
        branches only, in the order of `ngram_windows`, with the values that `forward` gives them.

        Args:
            input_ids: (batch, tokens), int64; any length, also 0; always in one piece.
            attention_mask: (batch, tokens), 1 = real token; see `AnchorNetTextModel.forward`.

        Raises:
            ValueError: if the model has no n-grams.
        """
        if not self.config.ngram_sizes:
            raise ValueError(
                "`ngram_sizes` must name at least one size for a glance, got []: this model has no "
                "n-grams; call it, or train one with n-grams."
            )
        tokens, mask = self.align_left(input_ids, attention_mask)
        masks = tuple(valid_positions(mask, window) for window in self.ngram_windows)
        scores = self._score_ngrams(tokens, mask, masks)
        return self.classify(scores, masks, None, output_evidence=True, hidden_states=None)

    # Compiled, it would be compiled anew for each length: only what it calls is.
    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
    def _score_in_pieces(
        self, tokens: Tensor, mask: Tensor, masks: tuple[Tensor, ...], chunk_size: int
    ) -> tuple[Tensor, ...]:
        """As `_score_piece` of the whole text, at constant memory."""
        length, largest = tokens.shape[1], max(window.size for window in self.windows)
        # A piece ends where a window of every stride ends, so that none is split or repeated.
        stride = math.lcm(*(window.stride for window in self.windows))
        size = -(-chunk_size // stride) * stride
        # Room behind the text, so that its last piece holds a window of every branch too.
        tokens, mask = pad_right(tokens, largest - 1), pad_right(mask, largest - 1)
        pieces = []
        for start in range(0, length, size):
            piece = slice(start, start + size + largest - 1)
            cut = tuple(
                m[:, start // window.stride :][:, : size // window.stride]
                for m, window in zip(masks, self.windows, strict=True)
            )
            pieces.append(self._score_piece(tokens[:, piece], mask[:, piece], cut)[0])
        return tuple(torch.cat(branch, dim=1) for branch in zip(*pieces, strict=True))

    def _score_piece(
        self, tokens: Tensor, mask: Tensor, masks: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Scores of the first windows of each branch, as many as `masks` has, and hidden states.

        The masks are those of the whole text: a piece cannot tell which windows are clipped.
        Scores are 0 where the mask is False.
        """
        num_trunk = len(self.windows) - len(self.ngram_windows)
        trunk_masks, ngram_masks = masks[:num_trunk], masks[num_trunk:]
        by_ngram = self._score_ngrams(tokens, mask, ngram_masks)
        if not self.config.trunk:
            return by_ngram, ()
        hidden_states = self.anchornet.compute_hidden_states(tokens, mask)
        features = self.anchornet.pick_features(hidden_states)
        features = tuple(
            feature[:, : m.shape[1]] for feature, m in zip(features, trunk_masks, strict=True)
        )
        return self.aggregation.scores(features, trunk_masks) + by_ngram, hidden_states

    def _score_ngrams(
        self, tokens: Tensor, mask: Tensor, masks: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Scores of the n-gram branches, as `_score_piece`, float32; `masks` are theirs."""
        return tuple(
            score[:, : m.shape[1]].float() * m[..., None]
            for score, m in zip(self.ngrams(tokens, mask), masks, strict=True)
        )


def choose_tokens(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    """The one of the two that is given.

    Raises:
        ValueError: if both or neither are given.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError(
            "exactly one of `input_ids` and `inputs_embeds` must be given, got "
            f"{'neither' if input_ids is None else 'both'}; leave one out."
        )
    return cast(Tensor, inputs_embeds if input_ids is None else input_ids)


def pad_right(tokens: Tensor, count: int) -> Tensor:
    """`tokens` with `count` zeros behind each row, (batch, tokens) or (batch, tokens, width)."""
    return nn.functional.pad(tokens, (0, 0) * (tokens.ndim - 2) + (0, count))
