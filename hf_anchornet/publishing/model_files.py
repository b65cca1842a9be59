"""The files that a model consists of, by name; nothing else in its folder is published."""

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from transformers import AutoTokenizer
from transformers.tokenization_utils_base import (
    ADDED_TOKENS_FILE,
    CHAT_TEMPLATE_FILE,
    SPECIAL_TOKENS_MAP_FILE,
    TOKENIZER_CONFIG_FILE,
)
from transformers.utils import (
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    IMAGE_PROCESSOR_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
)

from hf_anchornet.model.cascade_file import CASCADE_FILE, list_copies, read_cascade_file
from hf_anchornet.model.export_onnx import GRAPH_FILE

from .card import CALIBRATION_FILE, EVALUATION_FILE, MARK, PICTURE_FILE, TRAINING_FILE
from .modality import find_classes

CARD_FILE = "README.md"
BUILD_FILE = "build.json"
"""The journal of a build, in the folder of its model."""
GRAPH_FILES = (GRAPH_FILE, f"{GRAPH_FILE}.data", f"{GRAPH_FILE}_data")
"""The exported graph, and the weights that torch or Optimum store beside a large one."""
CONFIG_FILES = (CONFIG_NAME, GENERATION_CONFIG_NAME, IMAGE_PROCESSOR_NAME, PROCESSOR_NAME)
TOKENIZER_FILES = (
    TOKENIZER_CONFIG_FILE,
    SPECIAL_TOKENS_MAP_FILE,
    ADDED_TOKENS_FILE,
    CHAT_TEMPLATE_FILE,
)
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"}
_PICTURE = re.compile(r"""!\[[^\]]*\]\(\s*<?([^)\s>]+)|<img\s[^>]*?src\s*=\s*["']([^"']+)""")


def list_model_files(folder: Path, card: str | Path = "") -> list[str]:
    """Names of the files of a localizer, cascade or classifier, relative to its folder.

    Args:
        folder: Folder that passes `check_folder`.
        card: Card to publish with it; default: the folder's own.

    Raises:
        ValueError: if a file is a link that leads out of the folder, or an index of weights names
            a file that is not a shard.
    """
    reports = CALIBRATION_FILE, EVALUATION_FILE, PICTURE_FILE, TRAINING_FILE
    names = [*_name_files(folder), CASCADE_FILE, *reports, CARD_FILE]
    cascade = folder / CASCADE_FILE
    for copy in list_copies(read_cascade_file(cascade)) if cascade.exists() else []:
        names += [f"{copy}/{name}" for name in _name_files(folder / copy)]
    names += _name_pictures(Path(card or folder / CARD_FILE))
    found = [name for name in dict.fromkeys(names) if (folder / name).is_file()]
    _refuse_links(folder, found)
    return found


def list_left_out(source: str | Path, built: Collection[Path], folder: str = "") -> list[str]:
    """Names in the model's folder `source`, or its subfolder `folder`, that are not among `built`.

    A folder of which nothing was published is listed as one name.
    """
    taken = {path.as_posix() for path in built}
    left_out = []
    for path in sorted(Path(source, folder).iterdir()):
        name = path.relative_to(source).as_posix()
        if path.is_dir() and any(other.startswith(f"{name}/") for other in taken):
            left_out += list_left_out(source, built, name)
        elif name not in taken:
            left_out.append(f"{name}/" if path.is_dir() else name)
    return left_out


def _name_files(folder: Path) -> list[str]:
    """Names of the files that a model and its processor may have."""
    _, processor_class = find_classes(str(folder))
    names = [*CONFIG_FILES, *_name_weights(folder), *GRAPH_FILES]
    if processor_class is AutoTokenizer:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        names += [*TOKENIZER_FILES, *tokenizer.vocab_files_names.values()]
    return names


def _name_weights(folder: Path) -> list[str]:
    if (folder / SAFE_WEIGHTS_NAME).exists():
        return [SAFE_WEIGHTS_NAME]
    index = json.loads((folder / SAFE_WEIGHTS_INDEX_NAME).read_text("utf-8"))
    shards = sorted(set(index["weight_map"].values()))
    for name in shards:
        if PurePosixPath(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(
                f"`{SAFE_WEIGHTS_INDEX_NAME}` must name .safetensors files beside it, got "
                f"{name!r}; save the model again."
            )
    return [SAFE_WEIGHTS_INDEX_NAME, *shards]


def _name_pictures(card: Path) -> list[str]:
    """Pictures in the folder that a handwritten card shows."""
    text = card.read_text("utf-8") if card.is_file() else MARK
    if MARK in text:  # a generated card is written anew
        return []
    paths = [PurePosixPath(unquote(one or other)) for one, other in _PICTURE.findall(text)]
    return [
        str(path)
        for path in paths
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.is_absolute()
        and ".." not in path.parts
    ]


def _refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Check that each file is in the folder or, for a snapshot of the Hub's cache, in its blobs."""
    root = folder.resolve()
    blobs = [path.with_name("blobs") for path in root.parents if path.name == "snapshots"]
    for name in names:
        target = (folder / name).resolve()
        if target != root / name and target.parent not in blobs:
            raise ValueError(
                f"`folder` must hold the files of the model themselves, got {name}, a link to "
                f"{target}; put a copy of the file there."
            )
