"""The authors' own code, loaded from a checkout of github winycg/AnchorNet, beside ours.

Their boxes are `(row, column, row + 94, column + 94)`: rows first, ends inclusive. Their greedy
choice differs from `select_top_patches` in two ways. Its IoU treats the inclusive corners as
half-open, so windows have 94 px; at a stride of 8 px and a limit of 0.3 this changes no decision.
And the window at position 0 is taken at its turn whatever it overlaps, since their code compares
the position with 0 where it seems to mean the first rank.
"""

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig
from hf_anchornet.model.costs import count_multiply_adds
from hf_anchornet.model.geometry import Window
from hf_anchornet.model.modeling_anchornet_image import (
    AnchorNetForImageClassification,
    AnchorNetImageModel,
)
from hf_anchornet.model.selection import list_windows, select_top_patches
from scripts.benchmarks.timing import compare_times, time_interleaved
from scripts.reference.convert_anchornet import (
    convert_reference_state_dict,
    random_reference_state_dict,
    reference_config,
)

WINDOW = Window(size=95, stride=8)
"""The only scale of the published network."""


class Reference(NamedTuple):
    """The parts of the authors' code that are used: the network's class and the choice of boxes."""

    network_class: Callable[[], nn.Module]
    localize: Callable[..., list[tuple[int, int, int, int]]]


def load_reference(folder: str | Path) -> Reference:
    """The authors' code, executed from their files.

    Args:
        folder: A checkout of github winycg/AnchorNet.

    Raises:
        FileNotFoundError: If the folder is no such checkout.
    """
    models, utils = Path(folder) / "models/anchornet.py", Path(folder) / "utils.py"
    return Reference(_run_file(models).AnchorNet, _run_file(utils).localize_bbox)


def _run_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"reference_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise FileNotFoundError(
            f"`reference` must be a checkout of github.com/winycg/AnchorNet, but {path} is missing."
        )
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Networks


def make_networks(reference: Reference, seed: int) -> tuple[nn.Module, nn.Module]:
    """The authors' network with random weights and our conversion of it, for inference."""
    network = reference.network_class()
    network.load_state_dict(random_reference_state_dict(seed), strict=False)
    model = AnchorNetForImageClassification(reference_config())
    model.load_state_dict(convert_reference_state_dict(network.state_dict()))
    return network.train(False).requires_grad_(False), model.train(False)


def random_pixels(seed: int, *shape: int) -> Tensor:
    """Pixels uniform in [-2, 2), the same on every machine, of the given shape."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 4 - 2


@torch.inference_mode()
def run_reference(network: nn.Module, pixel_values: Tensor) -> dict[str, Tensor]:
    """Features, class map of the predicted label and logits of the authors' network.

    Args:
        network: Their network.
        pixel_values: (batch, channels, height, width).

    Returns:
        `features` (batch, rows, columns, hidden), `class_map` (batch, rows, columns), the sum
        over hidden of features times the label's weights, and `logits` (batch, labels).
    """
    features, weight, logits = network(pixel_values)
    chosen = weight[logits.argmax(dim=1), :, None, None]
    return {
        "features": features.permute(0, 2, 3, 1),
        "class_map": (features * chosen).sum(dim=1),
        "logits": logits,
    }


@torch.inference_mode()
def run_converted(model: nn.Module, pixel_values: Tensor) -> dict[str, Tensor]:
    """The outputs of `run_reference` for our network, with the map from its evidence."""
    features = model.get_submodule("anchornet")(pixel_values).features[0]
    output = model(pixel_values, output_evidence=True)
    evidence = output.evidence[0]  # (batch, rows, columns, labels)
    label = output.logits.argmax(dim=1)[:, None, None, None].expand(*evidence.shape[:3], 1)
    return {
        "features": features,
        "class_map": evidence.gather(3, label)[..., 0] * evidence[0, ..., 0].numel(),
        "logits": output.logits,
    }


def compare_networks(
    reference: Reference, seed: int, height: int, width: int
) -> dict[str, dict[str, float]]:
    """Largest absolute difference and largest absolute value of each output of both networks."""
    network, model = make_networks(reference, seed)
    pixel_values = random_pixels(seed, 2, 3, height, width)
    expected, got = run_reference(network, pixel_values), run_converted(model, pixel_values)
    return {
        name: {
            "difference": float((expected[name] - got[name]).abs().max()),
            "largest": float(expected[name].abs().max()),
        }
        for name in expected
    }


# Boxes


def random_maps(seed: int, num_maps: int, size: int, blur: int = 1) -> Tensor:
    """Random square maps, (maps, rows, columns), each value the mean of `blur` x `blur` numbers."""
    wide = size + blur - 1
    noise = torch.rand(num_maps, wide, wide, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, blur, stride=1)


def choose_boxes(maps: Tensor, top_k: int, iou_threshold: float) -> Tensor:
    """The best windows of each map by `select_top_patches`: (maps, top_k, 4), int64.

    Args:
        maps: (maps, rows, columns).
        top_k: Number of boxes.
        iou_threshold: Largest IoU allowed.

    Returns:
        Boxes `(x0, y0, x1, y1)`, half-open, in pixels; -1 where a rank is empty.
    """
    lows, _ = list_windows([WINDOW], [maps[..., None]])
    return _select_boxes(maps.flatten(1), lows, lows + WINDOW.size, top_k, iou_threshold)


def choose_published_boxes(maps: Tensor, top_k: int, iou_threshold: float) -> Tensor:
    """Boxes by the authors' own rules, see the module's docstring, with one limit for all ranks.

    The window at position 0 is made empty, so that it overlaps nothing and is always taken; later
    windows that overlap it are left out beforehand.
    """
    lows, _ = list_windows([WINDOW], [maps[..., None]])  # (patches, 2), row and column
    highs = lows + WINDOW.size - 1
    scores = maps.flatten(1)
    shared = (highs[:1] - lows).clamp(min=0).prod(dim=1)
    iou = shared.double() / (2 * (WINDOW.size - 1) ** 2 - shared)  # with position 0, (patches,)
    scores = scores.masked_fill((iou > iou_threshold) & (scores < scores[:, :1]), -torch.inf)
    highs[0] = lows[0]
    return _select_boxes(scores, lows, highs, top_k, iou_threshold)


def _select_boxes(
    scores: Tensor, lows: Tensor, highs: Tensor, top_k: int, iou_threshold: float
) -> Tensor:
    index, filled = select_top_patches(scores, lows[None], highs[None], top_k, iou_threshold)
    corners = lows[index].flip(-1)  # (maps, top_k, 2), x before y
    return torch.cat([corners, corners + WINDOW.size], dim=-1).masked_fill(~filled[..., None], -1)


def choose_reference_boxes(
    reference: Reference, maps: Tensor, top_k: int, iou_threshold: float
) -> Tensor:
    """The boxes of the authors' loop, in the format of `choose_boxes`."""
    boxes = torch.full((len(maps), top_k, 4), -1)
    for index, chosen in enumerate(run_reference_loop(reference, maps, top_k, iou_threshold)):
        first_row, first_column, last_row, last_column = torch.tensor(chosen).T
        found = torch.stack([first_column, first_row, last_column + 1, last_row + 1], dim=1)
        boxes[index, : len(found)] = found
    return boxes


def run_reference_loop(
    reference: Reference, maps: Tensor, top_k: int, iou_threshold: float
) -> list[list[tuple[int, int, int, int]]]:
    """The boxes of each map as returned by the authors' code, one map after the other."""
    rows, columns = maps.shape[1:]
    positions = [(row, column) for row in range(rows) for column in range(columns)]
    limits = [iou_threshold] * max(1, top_k - 1)
    return [
        reference.localize(positions, one, WINDOW.size, WINDOW.stride, top_k, limits)
        for one in maps
    ]


def compare_boxes(
    reference: Reference, maps: Tensor, top_k: int, iou_threshold: float
) -> dict[str, float]:
    """Share of the maps whose boxes all equal the authors', in the same order."""
    expected = choose_reference_boxes(reference, maps, top_k, iou_threshold)

    def share(boxes: Tensor) -> float:
        return float((boxes == expected).flatten(1).all(dim=1).float().mean())

    return {
        "equal": share(choose_boxes(maps, top_k, iou_threshold)),
        "equal_with_their_rule_for_position_0": share(
            choose_published_boxes(maps, top_k, iou_threshold)
        ),
    }


# Speed


def measure_selection(
    reference: Reference, maps: Tensor, top_k: int, iou_threshold: float, rounds: int
) -> dict[str, Any]:
    """Processor milliseconds to choose the boxes of all maps, and our speed-up."""
    seconds = time_interleaved(
        {
            "authors": lambda: run_reference_loop(reference, maps, top_k, iou_threshold),
            "ours": lambda: choose_boxes(maps, top_k, iou_threshold),
            "ours_with_their_rule": lambda: choose_published_boxes(maps, top_k, iou_threshold),
        },
        rounds,
    )
    return {
        "processor_milliseconds": _milliseconds(seconds),
        "times_faster": {
            name: compare_times(seconds["authors"], seconds[name])
            for name in ("ours", "ours_with_their_rule")
        },
    }


def measure_trunks(
    reference: Reference, baselines: Mapping[str, nn.Module], image_size: int, rounds: int
) -> dict[str, Any]:
    """Multiply-adds an image, processor milliseconds a batch of 8, and ratios to the baselines.

    Args:
        reference: The authors' code.
        baselines: Networks to compare with, for inference.
        image_size: Height and width in pixels.
        rounds: Number of timed rounds.
    """
    network, _ = make_networks(reference, seed=0)
    default = AnchorNetImageModel(AnchorNetImageConfig()).train(False)
    networks = {"default": default.fuse(), "authors": network, **baselines}
    pixel_values = random_pixels(0, 8, 3, image_size, image_size)
    with torch.inference_mode():
        seconds = time_interleaved(
            {name: partial(network, pixel_values) for name, network in networks.items()}, rounds
        )
    return {
        "image_size": image_size,
        "batch_size": len(pixel_values),
        "multiply_adds": {
            name: count_multiply_adds(network, pixel_values[:1])
            for name, network in {**networks, "default": default}.items()
        },
        "processor_milliseconds": _milliseconds(seconds),
        "time_ratio": {
            f"{name} / {baseline}": compare_times(seconds[name], seconds[baseline])
            for baseline in baselines
            for name in ("default", "authors")
        },
    }


def _milliseconds(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: 1000 * statistics.median(rounds) for name, rounds in seconds.items()}
