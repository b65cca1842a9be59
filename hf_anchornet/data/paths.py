"""Names of data files and folders: their format, and hints for names that do not exist."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

FILE_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".parquet": ("parquet", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".tar": ("webdataset", {}),
}
"""Reader of `datasets` and its options, by the lower-case ending of a file's name."""

COMPRESSED = {".gz", ".bz2", ".xz", ".zst"}
"""Further endings that files of text may have."""


def find_format(name: str) -> tuple[str, dict[str, Any]] | None:
    """Reader and options for a file or pattern of files; `None`: a folder or a Hub id.

    Raises:
        ValueError: if there is a file of this name, but of another format.
    """
    *_, before, last = ["", *(suffix.lower() for suffix in ["", *Path(name).suffixes])]
    found = FILE_FORMATS.get(before if last in COMPRESSED else last)
    if found is None and Path(name).is_file():
        raise ValueError(
            f"`dataset` must be a folder, a Hub id or a file whose name ends in one of "
            f"{', '.join(FILE_FORMATS)}, got {name}; rename or convert it."
        )
    return found


def is_local(name: str) -> bool:
    """Whether a name can only be that of a local file or folder, not a Hub id."""
    path = Path(name)
    return path.exists() or path.is_absolute() or name[:1] in (".", "~") or len(path.parts) > 2


def refuse_data_folder(output: str, dataset: str, name: str = "output_dir") -> None:
    """Refuse to write into the folder of a data set: what is written would be read as its rows.

    Args:
        output: Folder or file to write.
        dataset: The data set.
        name: Name of the option for `output`.

    Raises:
        ValueError: if it lies in the folder.
    """
    folder = Path(dataset)
    if folder.is_dir() and Path(output).resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"`{name}` must lie outside of the folder of the data set, {dataset}, got {output}: "
            "its JSON files would be read as rows; choose another folder."
        )


def suggest_path(name: str) -> str:
    """A hint that names the file or folder nearest to a missing one; empty if none is near."""
    path = Path(name)
    try:
        found = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        hint = suggest_path(str(path.parent)) if len(path.parts) > 1 else ""
        return hint.replace("`?", f"/{path.name}`?") if hint else ""
    close = get_close_matches(path.name, found, n=1)
    return f" Did you mean `{path.parent / close[0]}`?" if close else ""
