"""AnchorNet for images: unpadded inverted residual blocks, exact evidence per box."""

from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers import initialization as init
from transformers.activations import ACT2FN

from .configuration_anchornet import AnchorNetImageConfig
from .geometry import Window, valid_positions
from .modeling_anchornet import (
    AnchorNetClassifier,
    AnchorNetClassifierOutput,
    AnchorNetOutput,
    AnchorNetPreTrainedModel,
    LinearAggregation,
)


class ConvNorm(nn.Module):
    """An unpadded convolution, a batch normalisation and optionally the trunk's activation.

    Batch statistics are used in training only. In evaluation the normalisation is a fixed affine
    map of each channel, so a window sees its own pixels only.
    """

    def __init__(
        self,
        config: AnchorNetImageConfig,
        channels: tuple[int, int],
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(
            *channels, kernel, stride=stride, dilation=dilation, groups=groups, bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(channels[1], eps=config.batch_norm_eps)
        self.activation = ACT2FN[config.hidden_act] if activate else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, channels, rows, columns), fewer rows and columns if `kernel` is above 1."""
        output: Tensor = self.activation(self.norm(self.conv(hidden)))
        return output

    def fuse(self) -> None:
        """Fold the normalisation into the convolution, activate in place; for inference only."""
        self.conv = fuse_conv_bn_eval(cast(Any, self.conv), cast(Any, self.norm))
        self.norm = nn.Identity()
        if hasattr(self.activation, "inplace"):
            self.activation.inplace = True


class SqueezeExcite(nn.Module):
    """A gate a channel, computed from the mean of the whole map (Hu et al. 2018): not local."""

    def __init__(self, config: AnchorNetImageConfig, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden: Tensor) -> Tensor:
        """The gated map, of the same shape: (batch, channels, rows, columns)."""
        mean = hidden.mean(dim=(2, 3), keepdim=True)
        gate: Tensor = self.excite(self.activation(self.squeeze(mean))).sigmoid()
        return hidden * gate


class ImageLayer(nn.Module):
    """An unpadded inverted residual block, added to the centre of each window."""

    def __init__(self, config: AnchorNetImageConfig, index: int) -> None:
        super().__init__()
        before, after = config.channels[index - 1], config.channels[index]
        kernel, stride = config.kernel_sizes[index], config.strides[index]
        dilation, ratio = config.dilations[index], config.expand_ratios[index]
        wide = int(ratio * before)
        self.expand = nn.Identity() if ratio == 1 else ConvNorm(config, (before, wide))
        self.depthwise = ConvNorm(
            config, (wide, wide), kernel, stride=stride, dilation=dilation, groups=wide
        )
        self.gate = (
            SqueezeExcite(config, wide, max(1, before // 4))
            if config.squeeze_excite
            else nn.Identity()
        )
        self.project = ConvNorm(config, (wide, after), activate=False)
        self.has_skip = stride == 1 and before == after
        self.crop = 0 if config.squeeze_excite else (kernel - 1) * dilation // 2

    def forward(self, hidden: Tensor) -> Tensor:
        """Features of the wider windows: (batch, channels, fewer rows, fewer columns)."""
        wider: Tensor = self.project(self.gate(self.depthwise(self.expand(hidden))))
        if not self.has_skip:
            return wider
        # The skip is the position at the centre of each window: cropped, never padded.
        rows, columns = wider.shape[2:]
        crop = self.crop
        return wider + hidden[:, :, crop : crop + rows, crop : crop + columns]


class AnchorNetImagePreTrainedModel(AnchorNetPreTrainedModel):
    """The base class of the image models."""

    config_class = AnchorNetImageConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)  # type: ignore[assignment]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(cast(Tensor, module.running_mean))
            init.ones_(cast(Tensor, module.running_var))
            init.zeros_(cast(Tensor, module.num_batches_tracked))
        bias = getattr(module, "bias", None)
        if bias is not None:
            init.zeros_(bias)

    def fuse(self) -> "AnchorNetImagePreTrainedModel":
        """A copy for inference: normalisations folded into convolutions, channels last in memory.

        The copy gives the same output up to rounding in about three quarters of the time. Its
        weights have other names, so save the original.
        """
        fused: Any = deepcopy(self).train(False)
        for module in fused.modules():
            if isinstance(module, ConvNorm):
                module.fuse()
        return cast(AnchorNetImagePreTrainedModel, fused.to(memory_format=torch.channels_last))


class AnchorNetImageModel(AnchorNetImagePreTrainedModel):
    """The trunk: features of every window of every branch.

    Position `(i, j)` of branch `b` sees the pixels `[i * s, i * s + r) x [j * s, j * s + r)` and
    nothing else, with `Window(size=r, stride=s) = model.windows[b]`.
    """

    # The head of a classifier.
    _keys_to_ignore_on_load_unexpected = (r"^aggregation\.", r"^ngrams\.")  # type: ignore[assignment]

    def __init__(self, config: AnchorNetImageConfig) -> None:
        super().__init__(config)
        stem = ConvNorm(
            config,
            (config.num_channels, config.channels[0]),
            config.kernel_sizes[0],
            stride=config.strides[0],
            dilation=config.dilations[0],
        )
        blocks = (ImageLayer(config, index) for index in range(1, len(config.channels)))
        self.layers = nn.ModuleList([stem, *blocks])
        self.branches = nn.ModuleList(
            self._make_branch(config, config.channels[depth - 1]) for depth in config.branch_depths
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Module:
        """The first layer, as transformers has it for images."""
        return self.layers[0]

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the first layer."""
        self.layers[0] = value

    @staticmethod
    def _make_branch(config: AnchorNetImageConfig, channels: int) -> nn.Module:
        if config.squeeze_excite:
            return nn.Conv2d(channels, config.hidden_size, 1)
        return ConvNorm(config, (channels, config.hidden_size))

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> AnchorNetOutput | tuple[Tensor, ...]:
        """Features and masks of all windows: (batch, rows, columns, hidden) and without hidden.

        Args:
            pixel_values: (batch, channels, height, width), as the image processor makes them;
                height and width at least those of the largest window.
            pixel_mask: (batch, height, width), 1 = real pixel; each image fills a rectangle at the
                top left, at least as large as the largest window. Default: all are real.
            output_hidden_states: Whether to return them; default `config.output_hidden_states`.
            return_dict: `False`: a plain tuple without the fields that are None; default
                `config.return_dict`.
            kwargs: Ignored; unknown names are logged.

        Raises:
            ValueError: if the images are smaller than the largest window or have another number
                of channels than the model.
        """
        self.check_extra(kwargs)
        self._check_pixels(pixel_values)
        if pixel_mask is None:
            pixel_mask = torch.ones_like(pixel_values[:, 0])
        if self.export_padding:
            padding = (0, self.export_padding) * 2
            pixel_values = nn.functional.pad(pixel_values, padding)
            pixel_mask = nn.functional.pad(pixel_mask, padding)
        hidden, hidden_states = pixel_values, []
        for layer in self.layers:
            hidden = layer(hidden)
            hidden_states.append(hidden)
        features = tuple(
            branch(hidden_states[depth - 1]).permute(0, 2, 3, 1)
            for branch, depth in zip(self.branches, self.config.branch_depths, strict=True)
        )
        masks = tuple(
            _valid_windows(pixel_mask.bool(), window, *feature.shape[1:3])
            for window, feature in zip(self.windows, features, strict=True)
        )
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        output = AnchorNetOutput(
            last_hidden_state=hidden,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            features=features,
            masks=masks,
        )
        return cast(AnchorNetOutput, self.pack(output, return_dict))

    def _check_pixels(self, pixel_values: Tensor) -> None:
        largest, (channels, height, width) = self.windows[-1].size, pixel_values.shape[1:]
        if channels != self.config.num_channels:
            raise ValueError(
                f"`pixel_values` must have the {self.config.num_channels} channels of "
                f"`config.num_channels`, got {channels}; set `num_channels` of the image processor."
            )
        if height < largest or width < largest:
            raise ValueError(
                f"`pixel_values` must be at least as large as the largest window, {largest} x "
                f"{largest} px, got {height} x {width}; enlarge the images, as the image processor "
                "does."
            )


class AnchorNetForImageClassification(AnchorNetImagePreTrainedModel, AnchorNetClassifier):
    """An image classifier whose logits are an exact sum over windows of pixels."""

    def __init__(self, config: AnchorNetImageConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.anchornet = AnchorNetImageModel(config)
        self.aggregation = LinearAggregation(config, [nn.Identity() for _ in self.windows])
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def count_exponent(self) -> float:
        """See `AnchorNetImageConfig`."""
        return cast(float, self.config.count_exponent)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_evidence: bool | None = None,
        return_dict: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> AnchorNetClassifierOutput | tuple[Tensor, ...]:
        """Logits, and on request the evidence that adds up to them.

        Args:
            pixel_values: See `AnchorNetImageModel.forward`.
            pixel_mask: See `AnchorNetImageModel.forward`.
            labels: (batch,), int64 class indices, or (batch, labels), float in [0, 1]:
                probabilities, which add up to 1 unless `config.problem_type` is
                "multi_label_classification".
            output_evidence: Whether to return evidence and masks; default `config.output_evidence`.
            return_dict: See `AnchorNetImageModel.forward`.
            output_hidden_states: See `AnchorNetImageModel.forward`.
            kwargs: Ignored; unknown names are logged.
        """
        trunk = self.anchornet(
            pixel_values, pixel_mask, output_hidden_states, return_dict=True, **kwargs
        )
        scores = self.aggregation.scores(trunk.features, trunk.masks)
        output = self.classify(scores, trunk.masks, labels, output_evidence, trunk.hidden_states)
        return cast(AnchorNetClassifierOutput, self.pack(output, return_dict))


def _valid_windows(mask: Tensor, window: Window, num_rows: int, num_columns: int) -> Tensor:
    """Which windows hold real pixels only: (batch, rows, columns), bool."""
    rows = valid_positions(mask[:, :, 0], window, num_rows)
    columns = valid_positions(mask[:, 0], window, num_columns)
    return rows[:, :, None] & columns[:, None, :]
