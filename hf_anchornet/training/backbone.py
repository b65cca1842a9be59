"""A pretrained trunk of an image localizer: the first blocks of a network, without padding."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel

from hf_anchornet.model.geometry import receptive_windows
from hf_anchornet.model.loading import find_fault, load_processor, load_whole

from .image_options import ImageLocalizerOptions

LARGEST_WINDOW = 95
"""Pixels of the largest window, unless branches are chosen: that of the default trunk."""
NUM_BRANCHES = 3


def can_start_from(source: str) -> bool:
    """Whether the network of a folder or Hub id can be a backbone.

    Raises:
        OSError: if it cannot be found or is damaged.
    """
    try:
        Backbone.open(source)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Unit:
    """A convolution without bias and its batch normalisation."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is convolved alone, by more than one pixel."""
        conv = self.conv
        alone = conv.groups == conv.in_channels == conv.out_channels
        return alone and conv.kernel_size[0] > 1

    @property
    def is_pointwise(self) -> bool:
        """Whether channels are mixed, each pixel alone."""
        return self.conv.kernel_size == (1, 1) and self.conv.groups == 1


@dataclass(frozen=True)
class Block:
    """An inverted residual block (Sandler et al. 2018), or as the first layer a convolution.

    Attributes:
        units: "expand" (not of every block), "depthwise" and "project"; of the first layer "".
    """

    units: dict[str, Unit]

    @property
    def spatial(self) -> nn.Conv2d:
        """The convolution that sees more than one pixel."""
        return self.units["depthwise" if "depthwise" in self.units else ""].conv

    @property
    def channels(self) -> int:
        """Channels after the block."""
        return list(self.units.values())[-1].conv.out_channels

    @property
    def expand_ratio(self) -> float:
        """Channels inside, over those before."""
        if "expand" not in self.units:
            return 1
        before, wide = self.units["expand"].conv.in_channels, self.spatial.in_channels
        ratio = wide / before
        return ratio if int(ratio * before) == wide else math.nextafter(ratio, math.inf)


@dataclass(frozen=True)
class Backbone:
    """A network whose first blocks are the trunk that a localizer starts from.

    Squeeze-and-excitation, which sees the whole image, is left out.

    Attributes:
        source: Folder or Hub id.
        blocks: Its first layer and all inverted residual blocks that follow.
        hidden_act: Name of its activation.
        image_mean: Mean of each channel that its processor subtracts.
        image_std: Deviation of each channel that its processor divides by.
    """

    source: str
    blocks: list[Block]
    hidden_act: str
    image_mean: list[float]
    image_std: list[float]

    @classmethod
    def open(cls, source: str) -> "Backbone":
        """The backbone of a folder or Hub id.

        Raises:
            OSError: if it cannot be found or is damaged.
            ValueError: if it does not begin as MobileNetV2 and EfficientNet do.
        """
        model, info = load_whole(
            AutoModel.from_pretrained, source, dtype=torch.float32, refuse_incomplete=False
        )
        blocks, hidden_act = list(_read_blocks(model)), getattr(model.config, "hidden_act", None)
        if len(blocks) < 2 or not isinstance(hidden_act, str):
            raise ValueError(
                "`backbone` must begin with a convolution and inverted residual blocks, as "
                f'MobileNetV2 and EfficientNet do, got {source} of type "{model.config.model_type}"'
                "; choose another network or leave it out."
            )
        fault = find_fault(model, {"missing_keys": info.get("missing_keys")})
        if fault is not None:
            raise OSError(
                f"`backbone` must hold all weights of its network, got {source}: {fault}."
            )
        processor = load_processor(AutoImageProcessor.from_pretrained, source)
        return cls(source, blocks, hidden_act, processor.image_mean, processor.image_std)

    @property
    def dilations(self) -> list[int]:
        """Dilation of each layer."""
        return [block.spatial.dilation[0] for block in self.blocks]

    def list_fields(self, options: ImageLocalizerOptions) -> dict[str, Any]:
        """Fields of the config that no option sets, of a localizer with these options."""
        first = self.blocks[0].units[""]
        return {
            "hidden_act": self.hidden_act,
            "batch_norm_eps": first.norm.eps,
            "num_channels": first.conv.in_channels,
            "dilations": self.dilations[: len(options.channels)],
        }

    def choose_architecture(self, options: ImageLocalizerOptions) -> ImageLocalizerOptions:
        """The same options with the layers of the backbone, up to the last branch.

        Args:
            options: Without `branch_depths` of their own the branches are the largest ones whose
                windows have at most `LARGEST_WINDOW` pixels.

        Raises:
            ValueError: if other layers are given, or a branch lies above the backbone.
        """
        layers: dict[str, Any] = {
            "channels": [block.channels for block in self.blocks],
            "expand_ratios": [block.expand_ratio for block in self.blocks],
            "kernel_sizes": [block.spatial.kernel_size[0] for block in self.blocks],
            "strides": [block.spatial.stride[0] for block in self.blocks],
        }
        plain = ImageLocalizerOptions()
        for name, values in layers.items():
            given = getattr(options, name)
            if given not in (getattr(plain, name), values[: len(given)]):
                raise ValueError(
                    f"`{name}` must be left out with `backbone`, which decides it, got {given}; "
                    "leave out one of them."
                )
        depths = options.branch_depths
        if depths == plain.branch_depths:
            depths = self._choose_branches(layers["kernel_sizes"], layers["strides"])
        if not depths or max(depths) > len(self.blocks):
            raise ValueError(
                f"`branch_depths` must be at most {len(self.blocks)}, the layers of `backbone` "
                f"{self.source}, got {depths}; lower them."
            )
        cut: dict[str, Any] = {name: values[: max(depths)] for name, values in layers.items()}
        return replace(options, branch_depths=depths, **cut)

    def _choose_branches(self, kernel_sizes: list[int], strides: list[int]) -> list[int]:
        windows = receptive_windows(kernel_sizes, strides, self.dilations)
        small = [depth for depth, window in enumerate(windows) if window.size <= LARGEST_WINDOW]
        return [depth for depth in small if depth > 0][-NUM_BRANCHES:]

    def give_trunk(self, model: PreTrainedModel) -> None:
        """Copy the weights of the blocks to a localizer made by these options."""
        weights: dict[str, Tensor] = {}
        for index, block in enumerate(self.blocks[: len(model.config.channels)]):
            for name, unit in block.units.items():
                start = ".".join(filter(None, ("anchornet.layers", str(index), name)))
                for part in ("conv", "norm"):
                    state = getattr(unit, part).state_dict()
                    weights |= {f"{start}.{part}.{key}": value for key, value in state.items()}
        unknown = model.load_state_dict(weights, strict=False).unexpected_keys
        assert not unknown, unknown


def _read_blocks(model: nn.Module) -> Iterator[Block]:
    """The first convolution, then blocks as long as units follow each other as in one."""
    units = list(_read_units(model.modules()))
    if not units or units[0].is_pointwise or units[0].conv.groups > 1:
        return
    yield Block({"": units[0]})
    place = 1
    while found := _take_block(units[place:]):
        yield Block(found)
        place += len(found)


def _take_block(units: Sequence[Unit]) -> dict[str, Unit]:
    """The units, by their names, of the block that these begin with; none if it is no block."""
    for names in (("expand", "depthwise", "project"), ("depthwise", "project")):
        found = dict(zip(names, units, strict=False))
        if len(found) == len(names) and all(
            unit.is_depthwise if name == "depthwise" else unit.is_pointwise
            for name, unit in found.items()
        ):
            return found
    return {}


def _read_units(modules: Iterable[nn.Module]) -> Iterator[Unit]:
    """Convolutions that a normalisation follows, in the order in which the network has them."""
    last: nn.Conv2d | None = None
    for module in modules:
        if isinstance(module, nn.Conv2d):
            last = module if module.bias is None else None
        elif isinstance(module, nn.BatchNorm2d) and last is not None:
            if module.num_features == last.out_channels:
                yield Unit(last, module)
            last = None
