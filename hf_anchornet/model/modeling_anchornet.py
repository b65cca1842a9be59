"""The base of both AnchorNets: branch features, linear aggregation, evidence, loss.

`positions` stands for one axis (texts) or for two, rows and columns (images); everything here
works on either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput
from transformers.utils.logging import get_logger

from .configuration_anchornet import AnchorNetConfig
from .geometry import Window, center_evidence, receptive_windows
from .loading import load_whole

logger = get_logger(__name__)

SCORE_SCALE = 8.0
"""Fixed factor in every `w_{b,c}`: a mean over hundreds of positions needs large weights, which
would take long to learn at the trunk's learning rate."""

NO_INFORMATION = ("output_attentions", "position_ids", "token_type_ids")
"""Arguments that stock tokenizers and peft pass, and that mean nothing to an AnchorNet."""


@dataclass
class AnchorNetOutput(ModelOutput):
    """The features of every window of every branch.

    Attributes:
        last_hidden_state: The last layer's output; texts: (batch, positions, hidden), images:
            (batch, channels, rows, columns).
        hidden_states: With `output_hidden_states=True`, the output of each layer, in the same
            layout; texts: the embeddings first.
        features: One tensor a branch: (batch, positions, hidden), `f_b` of each window.
        masks: One tensor a branch: (batch, positions), bool, True = the window counts.
    """

    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    features: tuple[Tensor, ...] | None = None
    masks: tuple[Tensor, ...] | None = None


@dataclass
class AnchorNetClassifierOutput(ModelOutput):
    """A prediction and the evidence that adds up to it.

    `logits == bias + sum over branches and positions of evidence`, exactly up to rounding.

    Attributes:
        loss: (), if `labels` were given.
        logits: (batch, labels), before softmax or sigmoid.
        bias: (batch, labels), the same in every row: the logits of an empty input.
        evidence: With `output_evidence=True`, one tensor a branch: (batch, positions, labels),
            what each window adds to each logit; zero where the mask is False. float32.
        masks: With `output_evidence=True`, one tensor a branch: (batch, positions), bool.
        hidden_states: With `output_hidden_states=True`, see `AnchorNetOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    bias: Tensor | None = None
    evidence: tuple[Tensor, ...] | None = None
    masks: tuple[Tensor, ...] | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class LinearAggregation(nn.Module):
    """Sum of linear window scores, averaged over positions and over branches.

    `logit_c = bias_c + sum_b sum_p w_{b,c} . norm_b(f_b(p)) / (B |P_b|)`: 2002.03737, section 3
    (global average pooling and a linear classifier, read per position), with two deviations: a
    normalisation of each position alone before each linear map (text: over channels), and the
    mean over branches in the logits instead of one classifier a branch.

    `config.gated` multiplies the score of a window by `sigmoid(v_b . norm_b(f_b(p)) + d_b)`, one
    number for all labels (in the manner of the gated attention of Ilse et al. 2018, equation 9,
    but not normalised over windows): the sum stays exact, each term local.

    Args:
        config: The model's configuration.
        norms: One normalisation a branch, applied to each position alone.
    """

    def __init__(self, config: AnchorNetConfig, norms: Sequence[nn.Module]) -> None:
        super().__init__()
        num_labels = cast(int, config.num_labels)
        self.norms = nn.ModuleList(norms)
        self.heads = nn.ModuleList(
            nn.Linear(config.hidden_size, num_labels, bias=False) for _ in norms
        )
        num_gates = len(norms) if config.gated else 0
        self.gates = nn.ModuleList(nn.Linear(config.hidden_size, 1) for _ in range(num_gates))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.bias = nn.Parameter(torch.zeros(num_labels))

    def scores(self, features: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Linear score of each window, one float32 tensor a branch: (batch, positions, labels).

        Windows that do not count score zero; `weigh_scores` turns scores into evidence.
        """
        normed = [norm(feature) for norm, feature in zip(self.norms, features, strict=True)]
        scores = tuple(
            SCORE_SCALE * head(self.dropout(feature)).float() * mask[..., None]
            for head, feature, mask in zip(self.heads, normed, masks, strict=True)
        )
        if not self.gates:
            return scores
        return tuple(
            score * torch.sigmoid(gate(feature).float())
            for gate, feature, score in zip(self.gates, normed, scores, strict=True)
        )


def weigh_scores(
    scores: Sequence[Tensor], masks: Sequence[Tensor], num_branches: int, exponent: float = 1.0
) -> tuple[Tensor, ...]:
    """Evidence of each window: its score over `B |P_b| ** exponent`, P_b the windows that count.

    Args:
        scores: One tensor a branch: (batch, positions, labels).
        masks: One tensor a branch: (batch, positions), bool.
        num_branches: B, the number of all branches of the model.
        exponent: 1: the sum of the evidence is a mean.
    """
    evidence = []
    for score, mask in zip(scores, masks, strict=True):
        count = mask.flatten(1).sum(dim=1).clamp(min=1)  # (batch,)
        if exponent != 1:
            count = count.float() ** exponent
        count = count * num_branches
        evidence.append(score / count.view(-1, *[1] * (score.ndim - 1)))
    return tuple(evidence)


def sum_evidence(evidence: Sequence[Tensor]) -> Tensor:
    """Evidence summed over all positions of each branch: (branches, batch, labels)."""
    return torch.stack([branch.flatten(1, -2).sum(dim=1) for branch in evidence])


class AnchorNetPreTrainedModel(PreTrainedModel):
    """The base class of both modalities: a checked configuration, windows, stock arguments."""

    base_model_prefix = "anchornet"
    accepts_loss_kwargs = False  # `**kwargs` of `forward` does not mean that the loss takes them
    pads_exports = True
    config: AnchorNetConfig

    def __init__(self, config: AnchorNetConfig) -> None:
        super().__init__(config)
        config.validate()  # `from_pretrained(..., field=x)` sets fields after the config's own
        by_depth = receptive_windows(config.kernel_sizes, config.strides, config.dilations)
        self.windows: tuple[Window, ...] = tuple(by_depth[depth] for depth in config.branch_depths)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *args: Any,
        output_loading_info: bool = False,
        **options: Any,
    ) -> Any:
        """The model of a folder or Hub id, whole or not at all; see `load_whole`.

        A model that lacks weights is returned to callers who ask for their names by
        `output_loading_info=True` or give the weights themselves, `None` as folder.
        """
        whole = not output_loading_info and pretrained_model_name_or_path is not None
        model, info = load_whole(
            super().from_pretrained,
            pretrained_model_name_or_path,
            *args,
            refuse_incomplete=whole,
            **options,
        )
        return (model, info) if output_loading_info else model

    @property
    def export_padding(self) -> int:
        """Tokens or pixels added to each axis under `torch.export`; otherwise 0.

        `torch.export` cannot trace an axis that may have a single position. Padded, texts may be
        shorter than the largest window and images as small as it. Masks of the added windows are
        False.
        """
        exporting = self.pads_exports and torch.compiler.is_exporting()
        return max(window.stride for window in self.windows) if exporting else 0

    def check_extra(self, extra: dict[str, Any]) -> None:
        """Ignore further arguments of `forward`, as transformers does, but log unknown names.

        Raises:
            ValueError: if attentions are asked for.
        """
        if extra.get("output_attentions") or self.config.output_attentions:
            raise ValueError(
                "`output_attentions` must be False, got True: an AnchorNet has no attention; "
                "`output_evidence=True` returns what each window adds to the logits."
            )
        unknown = [name for name in extra if extra[name] is not None and name not in NO_INFORMATION]
        if unknown:
            logger.warning_once(
                f"{type(self).__name__} ignores unknown arguments: {', '.join(sorted(unknown))}."
            )

    def pack(self, output: ModelOutput, return_dict: bool | None) -> Any:
        """The output, or the tuple of what is in it if `return_dict` or the config says so."""
        keep = self.config.return_dict if return_dict is None else return_dict
        return output if keep else output.to_tuple()


class AnchorNetClassifier(AnchorNetPreTrainedModel):
    """The base class of the classifiers of both modalities: from window scores to the loss."""

    aggregation: LinearAggregation

    @property
    def count_exponent(self) -> float:
        """See `weigh_scores`."""
        return 1.0

    @property
    def branch_penalties(self) -> list[float]:
        """Weight of each branch's absolute evidence in the training loss."""
        return [self.config.evidence_penalty] * len(self.windows)

    def classify(
        self,
        scores: Sequence[Tensor],
        masks: tuple[Tensor, ...],
        labels: Tensor | None,
        output_evidence: bool | None,
        hidden_states: tuple[Tensor, ...] | None,
    ) -> AnchorNetClassifierOutput:
        """Logits, and on request the evidence that adds up to them.

        Args:
            scores: One tensor a branch, of all branches or of some: (batch, positions, labels), see
                `LinearAggregation`.
            masks: One tensor a branch: (batch, positions), bool, True = the window counts.
            labels: (batch,), int64 class indices, or (batch, labels), float in [0, 1]:
                probabilities, which add up to 1 unless `config.problem_type` is
                "multi_label_classification".
            output_evidence: Whether to return evidence and masks; default `config.output_evidence`.
            hidden_states: Returned as they are.
        """
        evidence = weigh_scores(scores, masks, len(self.windows), self.count_exponent)
        by_branch = sum_evidence(evidence)  # (branches, batch, labels)
        bias = self.aggregation.bias.float()
        logits = bias + by_branch.sum(dim=0)
        if output_evidence is None:
            output_evidence = self.config.output_evidence
        return AnchorNetClassifierOutput(
            loss=None if labels is None else self._loss(logits, bias, by_branch, labels, evidence),
            logits=logits,
            bias=bias.expand_as(logits),
            evidence=evidence if output_evidence else None,
            masks=masks if output_evidence else None,
            hidden_states=hidden_states,
        )

    def _loss(
        self,
        logits: Tensor,
        bias: Tensor,
        by_branch: Tensor,
        labels: Tensor,
        evidence: tuple[Tensor, ...],
    ) -> Tensor:
        """Loss of the prediction; in training also the auxiliary losses and penalties."""
        loss = self._cross_entropy(logits, labels)
        if not self.training:
            return loss
        if self.config.auxiliary_loss_weight > 0:
            alone = bias + by_branch * len(by_branch)  # (branches, batch, labels)
            losses = [self._cross_entropy(branch, labels) for branch in alone]
            loss = loss + self.config.auxiliary_loss_weight * torch.stack(losses).mean()
        return loss + self.penalize(evidence)

    def penalize(self, evidence: Sequence[Tensor]) -> Tensor:
        """Penalty on the absolute centred evidence, a mean over the batch: ().

        Args:
            evidence: One tensor a branch: (batch, positions, labels).
        """
        loss = evidence[0].new_zeros(())
        for penalty, branch in zip(self.branch_penalties, evidence, strict=True):
            if penalty > 0:
                loss = loss + penalty * center_evidence(branch).abs().sum() / len(branch)
        return loss

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Transformers' own loss; a single-label model may also learn from probabilities."""
        single = self.config.problem_type == "single_label_classification"
        if single and labels.shape == logits.shape:
            return nn.functional.cross_entropy(logits, labels)
        loss: Tensor = self.loss_function(labels, logits, self.config)
        return loss
