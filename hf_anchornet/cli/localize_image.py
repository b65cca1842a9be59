"""The command line for images: their patches as tables, JSON lines and pictures."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_anchornet.views.base import Record, clean_line, wrap
from hf_anchornet.views.image_view import render_patches, render_table

from .shared import describe_answer, load_pipeline, measure_width, show_progress, write_parts

TASK = "patch-localization"
DEMO_PICTURE = Path("anchornet_demo.png")


def localize_images(arguments: argparse.Namespace) -> None:
    """Localize the images that the command line names; print the results or draw them."""
    for name in ("lines", "jsonl"):
        if getattr(arguments, name):
            raise ValueError(f"`--{name}` goes with texts, not with `--image`; leave it out.")
    if arguments.format not in ("text", "jsonl", "png"):
        raise ValueError(
            f"`--format` of images must be one of text, jsonl, png, got {arguments.format}."
        )
    draws = arguments.format == "png"
    if draws and arguments.output is None:
        raise ValueError("`--format png` needs `--output`, a file, of several images a folder.")
    localize = load_pipeline(TASK, arguments, **({"return_maps": True} if draws else {}))
    paths: list[str] = arguments.image
    answers = localize(path for path in paths)
    pairs = show_progress(zip(paths, answers, strict=True), "images", arguments.output)
    if draws:
        _draw(pairs, arguments.output, len(paths))
    else:
        write = _write_jsonl if arguments.format == "jsonl" else _write_text
        files = [Path(path) for path in paths]
        write_parts(write(pairs), arguments.output, files)


def _write_text(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    return (f"{clean_line(path)}: {render_table(result)}\n\n" for path, result in pairs)


def _write_jsonl(pairs: Iterable[tuple[str, Record]]) -> Iterator[str]:
    return (f"{json.dumps({'image': path, **result})}\n" for path, result in pairs)


def _draw(pairs: Iterable[tuple[str, Record]], output: Path, count: int) -> None:
    """One PNG an image: `output` itself, or numbered files in it if there are several."""
    if count > 1:
        output.mkdir(parents=True, exist_ok=True)
    for index, (path, result) in enumerate(pairs):
        target = output if count == 1 else output / f"{index:04d}_{Path(path).stem}.png"
        render_patches(path, result).save(target, "PNG")


def demonstrate_image(arguments: argparse.Namespace) -> None:
    """Localize the sample image with the shipped models, tell what happened and draw it."""
    from hf_anchornet.registration import SAMPLE_IMAGE

    result = load_pipeline(TASK, arguments, return_maps=True)(str(SAMPLE_IMAGE))
    render_patches(SAMPLE_IMAGE, result).save(DEMO_PICTURE, "PNG")
    classifier, width = result["classifier"], measure_width()
    agrees = "agrees" if classifier["label"] == result["label"] else "disagrees"
    print(
        "\n\n".join(
            (
                "\nA photo, and the patches that decided its label:",
                render_table({name: result[name] for name in result if name != "classifier"}),
                wrap(
                    f"The classifier then read only the best patch, cut from the photo. It {agrees}"
                    f": {describe_answer(classifier)}. Boxes and evidence: {DEMO_PICTURE}",
                    width,
                ),
            )
        )
    )
