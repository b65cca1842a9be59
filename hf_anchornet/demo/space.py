"""The web demo as a folder that runs as a Hugging Face Space."""

from importlib.metadata import requires, version
from os import PathLike
from pathlib import Path
from shutil import copytree, ignore_patterns

from packaging.requirements import Requirement

EXTRAS = ("", "minilm")
"""What a Space needs: the package itself and the extra of the shipped text cascade."""

_APP = """from hf_anchornet.demo.app import launch

launch()
"""

_README = """---
title: AnchorNet
emoji: ⚓
colorFrom: green
colorTo: blue
sdk: gradio
sdk_version: {gradio}
app_file: app.py
license: apache-2.0
short_description: See what decided a label and what reading only that saves
---

The web demo of hf_anchornet: paste a text or drop a photo to see the parts that decided its label
and the compute that is saved when a classifier reads only those.
"""


def write_space(folder: str | PathLike[str]) -> None:
    """Write a Space: `app.py`, `README.md`, `requirements.txt` and this package with its models.

    Args:
        folder: A new or empty folder.

    Raises:
        FileExistsError: if the folder is not empty.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"`folder` must be empty, got {target}; choose another or empty it.")
    package = Path(__file__).parents[1]
    copytree(package, target / package.name, ignore=ignore_patterns("__pycache__"))
    (target / "app.py").write_text(_APP, encoding="utf-8")
    readme = _README.format(gradio=version("gradio"))
    (target / "README.md").write_text(readme, encoding="utf-8")
    needed = "".join(f"{name}\n" for name in find_requirements())
    (target / "requirements.txt").write_text(needed, encoding="utf-8")


def find_requirements() -> list[str]:
    """The installed package's requirements for `EXTRAS`, as lines of a `requirements.txt`."""
    found = []
    for line in requires("hf-anchornet") or ():
        needed = Requirement(line)
        if not needed.marker or any(needed.marker.evaluate({"extra": name}) for name in EXTRAS):
            found.append(f"{needed.name}{needed.specifier}")
    return found
