"""The wheel: built, installed in a new environment elsewhere, and README followed there."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def run(*command, cwd):
    environment = {name: os.environ[name] for name in os.environ.keys() - {"PYTHONPATH"}}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment | {"HF_HUB_OFFLINE": "1", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
    run(sys.executable, *build, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def commands(wheel, tmp_path_factory):
    """The `bin` of an environment with the wheel and this environment's libraries."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    run(sys.executable, *install, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join(libraries))
    return folder / "bin"


def test_the_wheel_has_at_most_30_megabytes(wheel):
    assert wheel.stat().st_size <= 30e6


def test_the_demo_runs_where_the_wheel_is_installed(commands, tmp_path):
    shown = run(commands / "anchornet", "demo", cwd=tmp_path)
    assert "A film review, and the spans that decided its label:" in shown
    assert (tmp_path / "anchornet_demo.png").exists()


def test_a_text_is_localized_where_the_wheel_is_installed(commands, tmp_path):
    shown = run(commands / "anchornet", "localize", "A wonderful film.", cwd=tmp_path)
    assert "positive" in shown


def test_the_first_snippet_of_the_readme_runs_where_the_wheel_is_installed(commands, tmp_path):
    readme = (ROOT / "README.md").read_text("utf-8")
    snippet = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)[0]
    code = f"{snippet}\nprint(hf_anchornet.__file__)"
    *_, location = run(commands / "python", "-c", code, cwd=tmp_path).splitlines()
    assert Path(location).is_relative_to(commands.parent)
