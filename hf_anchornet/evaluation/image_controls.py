"""Control boxes to compare selected patches with: random squares and the centre of the image."""

import torch
from torch import Tensor


def select_random_boxes(sizes: Tensor, side: int, count: int, seed: int) -> Tensor:
    """Control: `count` random squares in each image: (batch, count, 4), as in `RankedBoxes`.

    Args:
        sizes: (batch, 2), int64, height and width of each image, at least `side`.
        side: Side of the squares, in pixels.
        count: Squares per image.
        seed: The same seed gives the same squares.
    """
    room = sizes.flip(-1)[:, None] - side + 1  # (batch, 1, 2), places along x and y
    draws = torch.rand(len(sizes), count, 2, generator=torch.Generator().manual_seed(seed))
    low = (draws * room.cpu()).long().to(sizes.device)
    return torch.cat([low, low + side], dim=-1)


def select_centre_box(sizes: Tensor, side: int) -> Tensor:
    """Control: the square in the middle of each image: (batch, 1, 4), as in `RankedBoxes`."""
    low = (sizes.flip(-1)[:, None] - side) // 2
    return torch.cat([low, low + side], dim=-1)
