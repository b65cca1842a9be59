"""What README, cards and docstrings show is true: snippets run, numbers come from the JSON."""

import doctest
import json
import re
from pathlib import Path

import pytest

from hf_anchornet import DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER
from hf_anchornet.model import cascade as cascade_anchornet
from hf_anchornet.model import pipeline_anchornet_text

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "model_cards").glob("*[!e].md"))]
pytestmark = pytest.mark.filterwarnings("ignore:.*without specifying a model name")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_snippets_of_a_page_run_one_after_the_other(page, capsys):
    snippets = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    assert snippets
    names = {}
    for snippet in snippets:
        exec(snippet, names)
    assert capsys.readouterr().out.strip()


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
    """README's results and the page of all results, but for the headings of its tables."""
    readme = (ROOT / "README.md").read_text("utf-8")
    tables = [part.split(END)[0] for part in readme.split("<!-- results: ")[1:]]
    page = (ROOT / "results" / "README.md").read_text("utf-8")
    return "".join(tables) + page


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
    folders = (DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER)
    files = [path for folder in folders for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) <= 12e6
    assert all(path.stat().st_size <= 8e6 for path in files)


def test_the_readme_is_at_most_150_lines():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
