"""Documentation is true: snippets run, numbers come from the JSON files, named files exist."""

import doctest
import json
import re
from pathlib import Path

import pytest
import yaml

from hf_anchornet import DEFAULT_TEXT_CASCADE, DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER
from hf_anchornet.model import cascade as cascade_anchornet
from hf_anchornet.model import pipeline_anchornet_text
from hf_anchornet.version import __version__

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "evidence.md",
    *sorted(
        set((ROOT / "model_cards").glob("*.md")) - set((ROOT / "model_cards").glob("*_template.md"))
    ),
]
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LAUNCHER_OPTIONS = {
    "--config_file",
    "--machine_rank",
    "--main_process_ip",
    "--mixed_precision",
    "--multi_gpu",
    "--num_machines",
    "--num_processes",
}
"""Options of `accelerate launch` as Accelerate documents them."""
pytestmark = pytest.mark.filterwarnings("ignore:.*without specifying a model name")


def name_of(page):
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_python_snippets_of_a_page_run_one_after_the_other(page, capsys):
    snippets = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    assert snippets
    names, printed = {}, []
    for snippet in snippets:
        exec(snippet, names)
        printed.append(capsys.readouterr().out)
    assert any(printed)
    shown = re.findall(r"```python\n.*?```\n+```text\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert [lines for lines in shown if lines not in printed] == []


@pytest.mark.parametrize(
    "shown", [pipeline_anchornet_text.SpanLocalizationPipeline, cascade_anchornet.Cascade]
)
def test_the_example_of_a_class_is_true(shown):
    example = doctest.DocTestFinder(recurse=False).find(shown, shown.__name__)[0]
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    runner.run(example)
    assert runner.summarize().failed == 0
    assert runner.tries > 2


END = "<!-- end of results -->"


def read_results():
    """The numbers of results in the README, and the page of all results."""
    readme = (ROOT / "README.md").read_text("utf-8")
    headlines = [part.split(END)[0] for part in readme.split("<!-- results: ")[1:]]
    assert headlines
    page = (ROOT / "results" / "README.md").read_text("utf-8")
    return "".join(headlines) + page


def test_every_number_of_the_results_is_in_the_json():
    reports = [json.loads(path.read_text("utf-8")) for path in (ROOT / "results").glob("*.json")]
    found = re.findall(r"[\d,]*\d\.\d+(?:e-\d+)?", read_results())
    assert len(found) > 10
    written = set()

    def collect(value):
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                collect(item)
        elif isinstance(value, str):
            written.update(re.findall(r"\d+\.\d+", value))
        elif isinstance(value, float | int):
            size = abs(value)  # the sign is not looked for
            written.update(f"{size:.{digits}}" for digits in ("1f", "2f", "3f", "4f", "1e"))
            written.update((f"{size / 1e6:,.1f}", f"{size:,.1f}"))

    collect(reports)
    assert set(found) <= written


def test_the_shipped_models_fit_their_limits():
    folders = (DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_CASCADE)
    files = [path for folder in folders for path in folder.rglob("*")]
    assert sum(path.stat().st_size for path in files) <= 14e6
    assert all(path.stat().st_size <= 8e6 for path in files)


def test_the_readme_is_at_most_150_lines():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_the_files_that_a_guide_names_exist(page):
    text = page.read_text("utf-8")
    links = re.findall(r"\]\(([^):#]+)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = set(re.findall(r"`([\w/.*]+\.(?:py|yaml))`", text))
    folders = [ROOT / name for name in ("hf_anchornet", "tests", "scripts", "docs")]
    files = [path for folder in folders for path in folder.rglob("*.*")]
    missing = {name for name in named if not any(path.match(name) for path in files)}
    assert {name for name in missing if "NAME" not in name} == set()


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_a_guide_shows_options_with_dashes(page):
    shown = set(re.findall(r"--[a-z]+_[a-z_]+", page.read_text("utf-8")))
    assert shown <= LAUNCHER_OPTIONS


def test_pre_commit_runs_the_checks_of_make_lint():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = re.search(r"^lint:.*\n((?:\t.+\n)+)", makefile, flags=re.MULTILINE)[1]
    checks = re.findall(r"\$\(VENV\)/bin/(.+)", recipe)
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == [f".venv/bin/{check}" for check in checks]


def test_the_citation_is_of_this_version_and_names_both_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == __version__
    papers = [paper["url"].rpartition("/")[2] for paper in citation["references"]]
    assert papers == ["2002.03737", "2206.03367"]
