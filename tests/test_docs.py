"""The documentation site: it is built without a warning, and describes every public name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hf_anchornet

ROOT = Path(__file__).parent.parent
CONSTANTS = {name for name in hf_anchornet.__all__ if name.isupper()} | {"__version__"}
COMMANDS = {
    name
    for name in hf_anchornet.__all__
    if getattr(getattr(hf_anchornet, name), "__module__", None) == "hf_anchornet.api"
}


def test_the_reference_names_what_the_package_exports():
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "reference").iterdir())
    described = {line.split(".")[-1] for line in pages.splitlines() if line.startswith("::: ")}
    missing = set(hf_anchornet.__all__) - CONSTANTS - COMMANDS - described
    assert not missing
    assert len(COMMANDS) >= 11
    assert "::: hf_anchornet.api\n" in pages, "the page of the commands"


def test_every_metric_has_its_place_in_the_reference():
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    metrics = (ROOT / "hf_anchornet" / "metrics").glob("*.py")
    names = {path.stem for path in metrics} - {"__init__", "common"}
    assert names == {line.split(".")[-1] for line in page.splitlines() if line.startswith("::: ")}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    start = (tmp_path / "index.html").read_text("utf-8")
    assert 'href="tutorial/"' in start
    assert (tmp_path / "results" / "index.html").is_file()
    assert "output_evidence" in (tmp_path / "reference" / "models" / "index.html").read_text(
        "utf-8"
    )
