"""Localization of images: patches as tables, JSON lines, a page or pictures."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hf_anchornet.model.image_files import is_url
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.model.pipeline_inputs import name_place
from hf_anchornet.registration import IMAGE_TASK, load_pipeline
from hf_anchornet.views.base import Record, clean_line
from hf_anchornet.views.image_html import TITLE, render_patches_html
from hf_anchornet.views.image_view import render_patches, render_table
from hf_anchornet.views.page import render_page

from .outputs import check_inputs, check_output, write_parts
from .shared import choose_options, show_progress

WITHOUT_MAP = ("text", "jsonl")
"""Formats that do not show where in an image the evidence is."""


def localize_images(arguments: argparse.Namespace) -> None:
    """Localize the images that the command line names; print or draw the results."""
    for name in ("lines", "jsonl"):
        if getattr(arguments, name):
            raise ValueError(f"`--{name}` must not be given with `--image`; leave it out.")
    draws = arguments.format == "png"
    if draws and arguments.output is None:
        raise ValueError(
            "`--format png` needs `--output`, a file, or a folder for several images; add it."
        )
    options = choose_options(arguments, IMAGE_TASK)
    # What is zoomed has no map of the whole image.
    if arguments.format not in WITHOUT_MAP and not options.get("zoom"):
        options["return_maps"] = True
    paths: list[str] = arguments.image
    files = [path for path in paths if not is_url(path)]
    check_inputs("--image", files)
    targets = _name_targets(paths, arguments.output, draws)
    for target in targets:
        check_output(target, files)
    localize = load_pipeline(IMAGE_TASK, **options)
    answers = _localize_files(localize, paths)
    pairs = show_progress(zip(paths, answers, strict=True), "images", arguments.output)
    if draws:
        for target, (path, result) in zip(targets, pairs, strict=True):
            render_patches(path, result).save(target, "PNG")
            print(f"wrote {target}", file=sys.stderr)
    else:
        write = _WRITERS[arguments.format]
        write_parts(write(pairs), arguments.output)


def _localize_files(localize: LocalizationPipeline, paths: Sequence[str]) -> Iterator[Record]:
    """The answers; errors about an image name its file instead of its place."""
    try:
        # The call itself reads the first image.
        yield from localize(path for path in paths)
    except ValueError as error:
        said = str(error)
        for index, path in enumerate(paths):
            place = name_place(index)
            if said.startswith((f"{place}:", f"{place} ")):
                named = f"`--image` {clean_line(path)}"
                raise ValueError(named + said.removeprefix(place)) from error
        raise


def _write_text(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    return (f"{clean_line(path)}: {render_table(result)}\n\n" for path, result in pairs)


def _write_jsonl(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    return (f"{json.dumps({'image': path, **result})}\n" for path, result in pairs)


def _write_html(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    fragments = (render_patches_html(path, result, clean_line(path)) for path, result in pairs)
    return render_page(fragments, TITLE)


_WRITERS = {"text": _write_text, "jsonl": _write_jsonl, "html": _write_html}


def _name_targets(paths: Sequence[str], output: Path | None, draws: bool) -> list[Path]:
    """The files to write: one, or a drawn picture of each image in a folder, made here."""
    if output is None:
        return []
    if not draws or len(paths) == 1:
        return [output]
    if output.exists() and not output.is_dir():
        raise ValueError(
            f"`--output` must be a folder for several images, got the file {output}; name another."
        )
    output.mkdir(parents=True, exist_ok=True)
    return [output / f"{index:04d}_{Path(path).stem}.png" for index, path in enumerate(paths)]
