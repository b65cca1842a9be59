"""Publish a trained localizer, classifier or cascade on the Hub: see `--help`.

The token comes from HF_TOKEN or `hf auth login`.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet.cards import CardSources
from hf_anchornet.publishing import build_folder
from hf_anchornet.uploading import upload_folder


@dataclass
class Publication:
    """What is published, and where.

    Attributes:
        folder: Folder of the model: what training, calibration or `save_pretrained` wrote.
        repo_id: Where to, as "name/model".
        private: Make a private repository.
        revision: Branch to write to; default: the main one.
        dry_run: Only show what would be uploaded.
        build_dir: Folder to build in and keep; default: a temporary one.
        results: JSON of measurements for the card.
        reading: The model's name among the classifiers of the results; default: the localizer.
        speed: JSON of scripts/benchmark.py for the card.
        card: A card to take instead of the folder's own or a new one.
        picture: A .png or .jpg for the card.
        license: Licence of the weights, as the Hub abbreviates it.
    """

    folder: str
    repo_id: str
    private: bool = False
    revision: str | None = None
    dry_run: bool = False
    build_dir: str | None = None
    results: str | None = None
    reading: str = ""
    speed: str | None = None
    card: str = ""
    picture: str = ""
    license: str = ""


def read_json(path: str | None) -> dict:
    """The content of a JSON file, {} without one."""
    return json.loads(Path(path).read_text("utf-8")) if path else {}


def publish(chosen: Publication, target: str) -> None:
    """Build, show, and unless it is a dry run upload."""
    sources = CardSources(
        repo_id=chosen.repo_id,
        results=read_json(chosen.results),
        reading=chosen.reading,
        speed=read_json(chosen.speed),
        card=chosen.card,
        picture=chosen.picture,
        license=chosen.license,
    )
    for name in build_folder(chosen.folder, target, sources):
        print(f"{Path(target, name).stat().st_size:>12,}  {name}")
    if chosen.dry_run:
        print(f"dry run: nothing was uploaded to {chosen.repo_id}")
    else:
        print(upload_folder(target, chosen.repo_id, chosen.private, chosen.revision))


def main() -> None:
    """Parse the options and publish; what stops it is told in a line."""
    (chosen,) = HfArgumentParser(Publication).parse_args_into_dataclasses()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            publish(chosen, chosen.build_dir or str(Path(temporary, "model")))
        except (OSError, ValueError) as error:
            sys.exit(f"publish.py: {error}")


if __name__ == "__main__":
    main()
