"""Versions of the packages that decide what a training computes."""

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from hf_anchornet.version import __version__

PACKAGES = (
    "accelerate",
    "datasets",
    "numpy",
    "pillow",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def list_versions() -> dict[str, str]:
    """The version of Python and of each installed package, by name."""
    found = {"python": platform.python_version(), "hf-anchornet": __version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):  # such as a Pillow of another name
            found[name] = version(name)
    return found
