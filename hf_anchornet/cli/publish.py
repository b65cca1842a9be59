"""`anchornet publish`: upload a model to the Hub with its code and a card."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hf_anchornet.model.image_files import open_file
from hf_anchornet.publishing.card import CardSources, read_training
from hf_anchornet.publishing.folder import build_folder, check_empty
from hf_anchornet.publishing.model_files import list_left_out
from hf_anchornet.publishing.upload import upload_folder
from hf_anchornet.views.base import clean_line

from .checks import read_json_option
from .options import OptionParser, build_options

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Upload a trained localizer, classifier or cascade to the Hub, with its code and a card.
The token comes from HF_TOKEN or `hf auth login`."""
EXAMPLES = "  anchornet publish --folder runs/cascade --repo-id you/reviews --dry-run"


@dataclass
class PublishOptions:
    """The model to publish, the repository, and material for the card.

    Attributes:
        folder: Folder of the model, written by training, calibration or `save_pretrained`.
        repo_id: Repository, as "name/model".
        private: Whether to make the repository private.
        revision: Branch to write to; by default the main one.
        dry_run: Whether only to list the files, without an upload.
        build_dir: Folder to build in and keep; by default a temporary one.
        results: JSON of measurements for the card.
        reading: Name of this model among the classifiers of the results; by default the localizer.
        speed: JSON of `python -m scripts.benchmarks.speed` for the card.
        evaluation: JSON of `anchornet evaluate` for the card.
        card: Card to use instead of the folder's own or a generated one.
        picture: A .png or .jpg for the card.
        license: Licence of the weights, as the Hub abbreviates it.
        example: Whether the card and training.json may show a text of the validation split.
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
    evaluation: str | None = None
    card: str = ""
    picture: str = ""
    license: str = ""
    example: bool = True


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("publish", {"options": PublishOptions}, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    address = publish_model(given, show=print)
    print(address or f"dry run: nothing was uploaded to {given['repo_id']}")


def publish_model(given: Mapping[str, Any], show: Callable[[str], Any] = logger.info) -> str | None:
    """The address of the commit; `None` after a dry run.

    Args:
        given: Options by field name.
        show: Called with a line for each file, and one for the files left out, before the upload.
    """
    (options,) = build_options([PublishOptions], given)
    try:
        validate_repo_id(options.repo_id)
    except HFValidationError as error:
        raise ValueError(
            f'`repo_id` must be such as "name/model", got {options.repo_id!r}; choose another. '
            f"{error}"
        ) from error
    if options.build_dir:
        check_empty(Path(options.build_dir), "build_dir")
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(options.build_dir or Path(temporary, "model"))
        built = build_folder(options.folder, str(target), _read_sources(options))
        for name in built:
            show(f"{(target / name).stat().st_size:>12,}  {name}")
        left_out = list_left_out(options.folder, built)
        if left_out:
            show(f"left out: {', '.join(map(clean_line, left_out))}")
        if read_training(target).get("data", {}).get("example"):
            show("the card shows a text of the validation split; `--no-example` leaves it out")
        if options.dry_run:
            return None
        return upload_folder(str(target), options.repo_id, options.private, options.revision)


def _check_picture(path: str) -> None:
    """Raise a `ValueError` unless a file is a whole PNG or JPEG, which the card can show."""
    try:
        with open_file(path, ("PNG", "JPEG")) as (picture, _):
            picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"`picture` must be a whole .png or .jpg, got {path}: {error}; save it again."
        ) from error


def _read_sources(options: PublishOptions) -> CardSources:
    sources = {field.name: getattr(options, field.name) for field in fields(CardSources)}
    for name in ("results", "speed", "evaluation"):
        path = sources[name]
        sources[name] = read_json_option(name, path) if path else {}
    if options.picture:
        _check_picture(options.picture)
    return CardSources(**sources)
