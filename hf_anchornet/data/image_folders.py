"""Folders of images: one folder per label, and splits without labels beside those with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

METADATA_STEM = "metadata"
"""Stem of a file that describes the images of its folder; then folders name no labels."""


def group_splits(files: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The splits of a folder of images, grouped by whether their folders name labels.

    `datasets` names no labels at all if the images of any split lie on another level.

    Args:
        files: The files of each split.

    Raises:
        ValueError: if a split has folders in folders, or images beside folders of images.
    """
    paths = {str(split): [Path(file) for file in found] for split, found in files.items()}
    if any(path.stem == METADATA_STEM for found in paths.values() for path in found):
        return [[*paths]]
    groups: dict[int, list[str]] = {}
    for split, found in paths.items():
        folders = sorted({path.parent for path in found}, key=lambda path: (len(path.parts), path))
        top = folders[0]
        lowest = next(path for path in folders if len(path.parts) == len(folders[-1].parts))
        while not all(folder.is_relative_to(top) for folder in folders):
            top = top.parent
        levels = {len(folder.relative_to(top).parts) for folder in folders}
        if levels - {0, 1} or len(levels) > 1:
            found_in = f"{lowest} and {top} itself" if 0 in levels else f"{lowest} in {top}"
            raise ValueError(
                f"images of split `{split}` must lie in one folder per label, got {found_in}; move "
                f"the images so that each label is one folder directly in {top}, or name the "
                "labels in a metadata.jsonl."
            )
        groups.setdefault(len(lowest.parts), []).append(split)
    return [*groups.values()]
