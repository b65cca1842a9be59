"""Where a command writes: never over an input, and over an earlier file only when it is done."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def check_inputs(option: str, paths: Iterable[str | Path]) -> None:
    """Check that files are there before work begins; pipes and devices count as files.

    Raises:
        ValueError: naming the option and the first path that is missing or a folder.
    """
    for path in map(Path, paths):
        is_there = _is_there(path)
        if not is_there or path.is_dir():
            what = "the folder " if is_there else ""
            raise ValueError(f"`{option}` must be a file, got {what}{str(path)!r}; check the path.")


def check_output(output: Path, inputs: Sequence[str | Path]) -> None:
    """Check that a file can be written and is none of the inputs.

    Raises:
        ValueError: naming the file and the remedy.
    """
    if output.is_dir():
        raise ValueError(f"`--output` must be a file, got the folder {output}; name a file in it.")
    if not output.parent.is_dir():
        raise ValueError(
            f"`--output` must be in a folder that is there, got {output}; make the folder first."
        )
    if any(_is_same_file(output, Path(path)) for path in inputs):
        raise ValueError("`--output` must not be one of the input files; choose another name.")


def write_parts(parts: Iterable[str], output: Path | None) -> None:
    """Write each part to standard output as soon as it is there, or all to `output`.

    An earlier file is replaced when all is written. If that fails, what was written is kept beside
    it, under a name that ends with ".partial". Call `check_output` before any work.
    """
    if output is None:
        _write(parts, sys.stdout)
        return
    with _replacing(output) as stream:
        _write(parts, stream)


def _write(parts: Iterable[str], stream: TextIO) -> None:
    for part in parts:
        stream.write(part)
        stream.flush()


@contextmanager
def _replacing(output: Path) -> Iterator[TextIO]:
    """A stream whose content becomes that of a file at the end; a pipe or device as it is."""
    if output.exists() and not output.is_file():
        with output.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    target = output.resolve()  # a link stays one
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        try:
            yield stream
        except BaseException:
            if stream.tell():
                print(f"anchornet: what was done before is in {partial}", file=sys.stderr)
            else:
                partial.unlink()
            raise
    partial.replace(target)


def _is_same_file(one: Path, other: Path) -> bool:
    return _is_there(one) and _is_there(other) and one.samefile(other)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False
