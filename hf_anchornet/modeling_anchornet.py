"""The spine of every AnchorNet: branch features, linear aggregation, evidence, loss.

Words: `positions` stands for one axis (text) or for two, rows and columns (images); everything
here works on either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

SCORE_SCALE = 8.0
"""Fixed factor in every `w_{b,c}`: a mean over hundreds of positions needs large weights, which
learning rates that suit the trunk would take long to reach."""


@dataclass
class AnchorNetOutput(ModelOutput):
    """What the branches of a trunk see.

    Attributes:
        features: One tensor a branch: (batch, positions, hidden), `f_b` of each window.
        masks: One tensor a branch: (batch, positions), bool, True = the window counts.
    """

    features: tuple[Tensor, ...] | None = None
    masks: tuple[Tensor, ...] | None = None


@dataclass
class AnchorNetClassifierOutput(ModelOutput):
    """A prediction and the evidence that it is the sum of.

    `logits == bias + sum over branches and positions of evidence`, exactly up to rounding.

    Attributes:
        loss: (), if `labels` were given.
        logits: (batch, labels), before softmax or sigmoid.
        bias: (batch, labels), the same in every row: the logits of an empty input.
        evidence: With `output_evidence=True`, one tensor a branch: (batch, positions, labels),
            what each window adds to each logit; zero where the mask is False. float32.
        masks: With `output_evidence=True`, one tensor a branch: (batch, positions), bool.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    bias: Tensor | None = None
    evidence: tuple[Tensor, ...] | None = None
    masks: tuple[Tensor, ...] | None = None


class LinearAggregation(nn.Module):
    """Sum of linear window scores, averaged over positions and over branches.

    `logit_c = bias_c + sum_b sum_p w_{b,c} . norm_b(f_b(p)) / (B |P_b|)`: 2002.03737, section 3
    (global average pooling and a linear classifier, read per position), with two deviations: a
    layer normalisation over channels before each linear map, and the mean over branches in the
    logits instead of one classifier a branch.

    Args:
        num_branches: Number of branches, B.
        hidden_size: Width of each branch's features.
        num_labels: Number of classes.
        dropout_prob: Dropout on the normalised features, in training.
        layer_norm_eps: Epsilon of the normalisation.
    """

    def __init__(
        self,
        num_branches: int,
        hidden_size: int,
        num_labels: int,
        dropout_prob: float,
        layer_norm_eps: float,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            nn.LayerNorm(hidden_size, eps=layer_norm_eps) for _ in range(num_branches)
        )
        self.heads = nn.ModuleList(
            nn.Linear(hidden_size, num_labels, bias=False) for _ in range(num_branches)
        )
        self.dropout = nn.Dropout(dropout_prob)
        self.bias = nn.Parameter(torch.zeros(num_labels))

    def scores(self, features: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Linear score of each window, one float32 tensor a branch: (batch, positions, labels).

        Windows that do not count score zero; `weigh_scores` turns scores into evidence.
        """
        return tuple(
            SCORE_SCALE * head(self.dropout(norm(feature))).float() * mask[..., None]
            for norm, head, feature, mask in zip(
                self.norms, self.heads, features, masks, strict=True
            )
        )


def weigh_scores(scores: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Evidence of each window: its score over `B |P_b|`, with P_b the windows that count."""
    num_branches = len(scores)
    evidence = []
    for score, mask in zip(scores, masks, strict=True):
        count = mask.flatten(1).sum(dim=1).clamp(min=1) * num_branches  # (batch,)
        evidence.append(score / count.view(-1, *[1] * (score.ndim - 1)))
    return tuple(evidence)


def sum_evidence(evidence: Sequence[Tensor]) -> Tensor:
    """Evidence summed over all positions of each branch: (branches, batch, labels)."""
    return torch.stack([branch.flatten(1, -2).sum(dim=1) for branch in evidence])
