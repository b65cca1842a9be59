"""Localization of images: patches as tables, JSON lines or pictures."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_anchornet.registration import IMAGE_TASK, load_pipeline
from hf_anchornet.views.base import Record, clean_line
from hf_anchornet.views.image_view import render_patches, render_table

from .shared import choose_options, show_progress, write_parts


def localize_images(arguments: argparse.Namespace) -> None:
    """Localize the images that the command line names; print or draw the results."""
    for name in ("lines", "jsonl"):
        if getattr(arguments, name):
            raise ValueError(f"`--{name}` must not be given with `--image`; leave it out.")
    if arguments.format not in ("text", "jsonl", "png"):
        raise ValueError(
            f"`--format` must be text, jsonl or png for images, got {arguments.format}; choose one."
        )
    draws = arguments.format == "png"
    if draws and arguments.output is None:
        raise ValueError(
            "`--format png` needs `--output`, a file, or a folder for several images; add it."
        )
    options = choose_options(arguments)
    if draws and not options.get("zoom"):  # which has no map of the whole image
        options["return_maps"] = True
    localize = load_pipeline(IMAGE_TASK, **options)
    paths: list[str] = arguments.image
    answers = localize(path for path in paths)
    pairs = show_progress(zip(paths, answers, strict=True), "images", arguments.output)
    if draws:
        _draw(pairs, arguments.output, len(paths))
    else:
        write = _write_jsonl if arguments.format == "jsonl" else _write_text
        write_parts(write(pairs), arguments.output, [Path(path) for path in paths])


def _write_text(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    return (f"{clean_line(path)}: {render_table(result)}\n\n" for path, result in pairs)


def _write_jsonl(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    return (f"{json.dumps({'image': path, **result})}\n" for path, result in pairs)


def _draw(pairs: Iterable[tuple[str, Record]], output: Path, count: int) -> None:
    """Write the picture of one image to `output`, or those of several into that folder."""
    if count > 1:
        output.mkdir(parents=True, exist_ok=True)
    for index, (path, result) in enumerate(pairs):
        target = output if count == 1 else output / f"{index:04d}_{Path(path).stem}.png"
        render_patches(path, result).save(target, "PNG")
        print(f"wrote {target}", file=sys.stderr)
