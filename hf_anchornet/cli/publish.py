"""The command line for what leaves this machine: folders for the Hub, ONNX graphs."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model.export_onnx import export_onnx
from hf_anchornet.model.loading import load_whole
from hf_anchornet.publish.card import CardSources
from hf_anchornet.publish.folder import build_folder
from hf_anchornet.publish.modality import find_classes
from hf_anchornet.publish.model_files import list_left_out
from hf_anchornet.publish.onnx_parity import measure_parity
from hf_anchornet.publish.upload import upload_folder
from hf_anchornet.views.base import clean_line

from .options import OptionParser

PUBLISH_EXAMPLE = """  anchornet publish --folder runs/cascade --repo_id you/reviews --dry_run"""
EXPORT_EXAMPLE = """  anchornet export --model runs/localizer --output runs/localizer
  anchornet export --model runs/localizer --output small.onnx --int8 --dataset my_data"""


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
        evaluation: JSON of `anchornet evaluate` for the card.
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
    evaluation: str | None = None
    card: str = ""
    picture: str = ""
    license: str = ""


@dataclass
class Export:
    """What to export, where to, and what to measure it on.

    Attributes:
        model: Folder or Hub id of a localizer or another classifier of texts or images.
        output: The model's folder, where the graph becomes onnx/model.onnx, or an .onnx file.
        int8: Keep the weights of embeddings and matrix products in 8 bits.
        dataset: Source with labels to compare graph and model on: Hub id, folder or file.
        split: Its split.
        max_rows: Draw at most this many rows (0: all).
    """

    model: str
    output: str
    int8: bool = False
    dataset: str = ""
    split: str = "validation"
    max_rows: int = 1000


def run_publish(argv: Sequence[str]) -> None:
    """Put a trained localizer, classifier or cascade on the Hub, with its code and a card."""
    description = (
        "Put a trained localizer, classifier or cascade on the Hub, with its code and a card. The "
        "token\ncomes from HF_TOKEN or `hf auth login`."
    )
    (chosen,) = OptionParser("publish", [Publication], description, PUBLISH_EXAMPLE).parse(argv)
    with tempfile.TemporaryDirectory() as temporary:
        _publish(chosen, chosen.build_dir or str(Path(temporary, "model")))


def _publish(chosen: Publication, target: str) -> None:
    """Build, show, and unless it is a dry run upload."""
    sources = CardSources(
        repo_id=chosen.repo_id,
        results=_read_json(chosen.results),
        reading=chosen.reading,
        speed=_read_json(chosen.speed),
        evaluation=_read_json(chosen.evaluation),
        card=chosen.card,
        picture=chosen.picture,
        license=chosen.license,
    )
    built = build_folder(chosen.folder, target, sources)
    for name in built:
        print(f"{Path(target, name).stat().st_size:>12,}  {name}")
    left_out = list_left_out(chosen.folder, built)
    if left_out:
        print(f"left out: {', '.join(map(clean_line, left_out))}")
    if chosen.dry_run:
        print(f"dry run: nothing was uploaded to {chosen.repo_id}")
    else:
        print(upload_folder(target, chosen.repo_id, chosen.private, chosen.revision))


def _read_json(path: str | None) -> dict[str, Any]:
    """The content of a JSON file, {} without one."""
    content: dict[str, Any] = json.loads(Path(path).read_text("utf-8")) if path else {}
    return content


def run_export(argv: Sequence[str]) -> None:
    """Write a classifier as an ONNX graph and, given data, measure how well it answers."""
    description = (
        'Write a classifier as an ONNX graph, where `backend="onnx"` finds it, and print its name;'
        "\nwith --dataset a JSON of its name and of how its answers compare with the model's."
    )
    (options,) = OptionParser("export", [Export], description, EXPORT_EXAMPLE).parse(argv)
    model_class, _ = find_classes(options.model)
    model, _ = load_whole(model_class.from_pretrained, options.model)
    file = export_onnx(model, options.output, options.int8)
    if not options.dataset:
        print(file)
        return
    data = DataOptions(options.dataset, max_rows=options.max_rows)
    parity = measure_parity(options.model, file, data, options.split)
    print(json.dumps({**asdict(options), "file": str(file), **parity}, indent=2))
