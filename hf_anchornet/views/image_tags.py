"""Places for the labels of boxes, so that they can be read."""

from collections.abc import Sequence

Corner = tuple[int, int]


def place_tags(
    boxes: Sequence[Sequence[int]], sizes: Sequence[tuple[int, int]], image_size: tuple[int, int]
) -> list[Corner]:
    """The upper left corner of each label: clear of those before it, if there is such a place.

    Tried in this order: inside the box at its four corners, then outside above and below it, then
    inside the box further down. If all collide, the one that covers least of other labels is taken.

    Args:
        boxes: `(x0, y0, x1, y1)` of each box, the most important first.
        sizes: Width and height of its label.
        image_size: Width and height of the picture, which labels do not leave.
    """
    taken: list[tuple[int, int, int, int]] = []
    corners = []
    for box, (width, height) in zip(boxes, sizes, strict=True):
        places = [
            (
                max(0, min(x, image_size[0] - width)),
                max(0, min(y, image_size[1] - height)),
            )
            for x, y in _list_places(box, width, height)
        ]
        x, y = min(places, key=lambda place: _measure_overlap(place, width, height, taken))
        taken.append((x, y, x + width, y + height))
        corners.append((x, y))
    return corners


def frame(box: Sequence[int]) -> list[int]:
    """The corners of a box as Pillow draws it, the last pixels included: at least one pixel."""
    x0, y0, x1, y1 = box
    return [x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)]


def _list_places(box: Sequence[int], width: int, height: int) -> list[Corner]:
    """Places for a label, best first."""
    x0, y0, x1, y1 = box
    sides = (x0, x1 - width)
    corners = [(x, y) for y in (y0, y1 - height) for x in sides]
    outside = [(x, y) for y in (y0 - height, y1) for x in sides]
    down = [(x, y) for y in range(y0 + height, y1 - height, height) for x in sides]
    return [*corners, *outside, *down]


def _measure_overlap(
    place: Corner, width: int, height: int, taken: Sequence[tuple[int, int, int, int]]
) -> int:
    """Pixels of other labels that a label here would cover."""
    x, y = place
    return sum(
        max(0, min(x + width, x1) - max(x, x0)) * max(0, min(y + height, y1) - max(y, y0))
        for x0, y0, x1, y1 in taken
    )
