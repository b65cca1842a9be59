"""AnchorNet for text: token embeddings, unpadded 1-D convolutions, exact evidence per span."""

import math

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN

from .configuration_anchornet import AnchorNetTextConfig
from .geometry_anchornet import Window, receptive_windows, valid_positions
from .modeling_anchornet import (
    AnchorNetClassifierOutput,
    AnchorNetOutput,
    LinearAggregation,
    sum_evidence,
    weigh_scores,
)


class TextLayer(nn.Module):
    """One unpadded convolution, added to the centre of what it saw: (batch, hidden, positions)."""

    def __init__(self, config: AnchorNetTextConfig, kernel: int, stride: int, dilation: int):
        super().__init__()
        self.conv = nn.Conv1d(
            config.hidden_size, config.hidden_size, kernel, stride=stride, dilation=dilation
        )
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.crop = (kernel - 1) * dilation // 2
        self.stride = stride

    def forward(self, hidden: Tensor) -> Tensor:
        """Features of the wider windows: (batch, hidden, fewer positions)."""
        wider = self.activation(self.conv(self.dropout(hidden)))
        # The residual is the position at the centre of each window: cropped, never padded.
        last = self.crop + (wider.shape[-1] - 1) * self.stride + 1
        return wider + hidden[..., self.crop : last : self.stride]


class AnchorNetTextPreTrainedModel(PreTrainedModel):
    """Weights and windows that the text models share."""

    config_class = AnchorNetTextConfig
    base_model_prefix = "anchornet"
    main_input_name = "input_ids"
    input_modalities = ("text",)

    def __init__(self, config: AnchorNetTextConfig) -> None:
        super().__init__(config)
        config.validate()  # `from_pretrained(..., field=x)` sets fields after the config's own
        windows = receptive_windows(config.kernel_sizes, config.strides, config.dilations)
        self.windows: tuple[Window, ...] = tuple(windows[depth] for depth in config.branch_depths)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, nn.Embedding | nn.Linear):
            init.normal_(module.weight, std=std)
        elif isinstance(module, nn.Conv1d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
        if getattr(module, "bias", None) is not None:
            init.zeros_(module.bias)


class AnchorNetTextModel(AnchorNetTextPreTrainedModel):
    """The trunk: features of every window of every branch.

    Position `p` of branch `b` sees tokens `[p * s, p * s + r)` and nothing else, with
    `Window(size=r, stride=s) = model.windows[b]`.
    """

    def __init__(self, config: AnchorNetTextConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.projection = nn.Linear(config.embedding_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.layers = nn.ModuleList(
            TextLayer(config, *layer)
            for layer in zip(config.kernel_sizes, config.strides, config.dilations, strict=True)
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding table."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding table."""
        self.embeddings = value

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> AnchorNetOutput:
        """Features and masks of all windows.

        Args:
            input_ids: (batch, tokens), int64.
            attention_mask: (batch, tokens), 1 = real token, contiguous in each row. Positions
                count from a row's first real token, so padding on either side changes nothing.
        """
        input_ids, mask = _align_left(input_ids, attention_mask, self.windows[-1].size)
        hidden = self._embed(input_ids, mask).transpose(1, 2)  # (batch, hidden, tokens)
        by_depth = [hidden]
        for layer in self.layers:
            by_depth.append(layer(by_depth[-1]))
        return AnchorNetOutput(
            features=tuple(by_depth[depth].transpose(1, 2) for depth in self.config.branch_depths),
            masks=tuple(valid_positions(mask, window) for window in self.windows),
        )

    def _embed(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Hidden state of each token alone: (batch, tokens, hidden); blanked tokens embed as 0."""
        if self.training and self.config.token_dropout_prob > 0:
            mask = mask & (torch.rand_like(mask, dtype=torch.float) >= self.config.token_dropout_prob)
        embedded = self.embeddings(input_ids) * mask[..., None]
        return self.activation(self.projection(embedded))


class AnchorNetTextForSequenceClassification(AnchorNetTextPreTrainedModel):
    """A text classifier whose logits are an exact sum over windows of tokens."""

    def __init__(self, config: AnchorNetTextConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.anchornet = AnchorNetTextModel(config)
        self.aggregation = LinearAggregation(
            len(self.windows),
            config.hidden_size,
            config.num_labels,
            config.hidden_dropout_prob,
            config.layer_norm_eps,
        )
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_evidence: bool | None = None,
        return_dict: bool | None = None,
    ) -> AnchorNetClassifierOutput | tuple[Tensor, ...]:
        """Logits, and on request the evidence that adds up to them.

        Args:
            input_ids: (batch, tokens), int64; any length, also 0.
            attention_mask: (batch, tokens), 1 = real token; see `AnchorNetTextModel.forward`.
            labels: (batch,), int64 class indices, or (batch, labels), float in [0, 1], if
                `config.problem_type` is "multi_label_classification".
            output_evidence: Whether to return evidence and masks; default `config.output_evidence`.
            return_dict: `False`: a plain tuple without the fields that are None.
        """
        scores, masks = self._score(input_ids, attention_mask)
        evidence = weigh_scores(scores, masks)
        by_branch = sum_evidence(evidence)  # (branches, batch, labels)
        bias = self.aggregation.bias.float()
        logits = bias + by_branch.sum(dim=0)
        if output_evidence is None:
            output_evidence = self.config.output_evidence
        output = AnchorNetClassifierOutput(
            loss=None if labels is None else self._loss(logits, bias, by_branch, labels),
            logits=logits,
            bias=bias.expand_as(logits),
            evidence=evidence if output_evidence else None,
            masks=masks if output_evidence else None,
        )
        return output.to_tuple() if return_dict is False else output

    def _score(
        self, input_ids: Tensor, attention_mask: Tensor | None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Score and mask of each window of each branch; long texts piece by piece."""
        chunk_size = self.config.chunk_size
        if self.training or chunk_size is None or input_ids.shape[1] <= chunk_size:
            output = self.anchornet(input_ids, attention_mask)
            return self.aggregation.scores(output.features, output.masks), output.masks
        input_ids, mask = _align_left(input_ids, attention_mask, self.windows[-1].size)
        masks = tuple(valid_positions(mask, window) for window in self.windows)
        pieces = [
            self._score_piece(input_ids, mask, masks, start)
            for start in range(0, input_ids.shape[1], self._piece_size(chunk_size))
        ]
        return tuple(torch.cat(branch, dim=1) for branch in zip(*pieces, strict=True)), masks

    def _piece_size(self, chunk_size: int) -> int:
        """`chunk_size` raised to a multiple of every stride, so that no window is split."""
        stride = math.lcm(*(window.stride for window in self.windows))
        return -(-chunk_size // stride) * stride

    def _score_piece(
        self, input_ids: Tensor, mask: Tensor, masks: tuple[Tensor, ...], start: int
    ) -> tuple[Tensor, ...]:
        """Scores of the windows that start in `[start, start + piece size)`, a tensor a branch."""
        size = self._piece_size(self.config.chunk_size)
        tokens = slice(start, start + size + self.windows[-1].size - 1)
        features = self.anchornet(input_ids[:, tokens], mask[:, tokens]).features
        whole_masks = [  # a short piece says nothing about the length of the text
            m[:, start // window.stride :][:, : size // window.stride]
            for m, window in zip(masks, self.windows, strict=True)
        ]
        cut = [f[:, : m.shape[1]] for f, m in zip(features, whole_masks, strict=True)]
        return self.aggregation.scores(cut, whole_masks)

    def _loss(self, logits: Tensor, bias: Tensor, by_branch: Tensor, labels: Tensor) -> Tensor:
        """Loss of the prediction plus the weighted mean loss of each branch alone."""
        loss = self.loss_function(labels, logits, self.config)
        weight = self.config.auxiliary_loss_weight
        if weight == 0:
            return loss
        alone = bias + by_branch * len(by_branch)  # (branches, batch, labels)
        branch_losses = [self.loss_function(labels, branch, self.config) for branch in alone]
        return loss + weight * torch.stack(branch_losses).mean()


def _align_left(
    input_ids: Tensor, attention_mask: Tensor | None, min_length: int
) -> tuple[Tensor, Tensor]:
    """Real tokens first in each row, and at least `min_length` columns.

    Returns:
        `input_ids`, (batch, tokens), int64, and its mask, (batch, tokens), bool.
    """
    length = input_ids.shape[1]
    if attention_mask is None:
        mask = torch.ones_like(input_ids, dtype=torch.bool)
    else:
        mask = attention_mask.bool()
        if length > 0:
            first = mask.int().argmax(dim=1, keepdim=True)  # (batch, 1)
            order = (torch.arange(length, device=mask.device) + first) % length
            input_ids, mask = input_ids.gather(1, order), mask.gather(1, order)
    missing = max(0, min_length - length)
    return nn.functional.pad(input_ids, (0, missing)), nn.functional.pad(mask, (0, missing))
