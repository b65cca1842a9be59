"""A hook of MkDocs: README, results and other pages outside `docs` are pages of the site, too."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
}
"""Pages of the root by the name that they have on the site."""
FOLDERS = ("results", "model_cards")
"""Folders whose files a page may show or link to."""
OTHERS = ("LICENSE", "CITATION.cff")
LINK = re.compile(r"(\]\()(?:\.\./)?([^)#\s:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside `docs`."""
    shown = [path for folder in FOLDERS for path in sorted((ROOT / folder).iterdir())]
    names = {
        path.relative_to(ROOT).as_posix() for path in shown if path.suffix in (".json", ".png")
    }
    for name in sorted(names | {"results/README.md", *OTHERS}):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Links between pages as they are in the repository become those of the site."""
    if page.file.src_uri.startswith("results/"):
        return markdown.replace("](../docs/", "](../")
    return LINK.sub(_move, markdown)


def _move(link: re.Match[str]) -> str:
    before, target, after = link.groups()
    target = target.removeprefix("docs/")
    return before + PAGES.get(target, target) + after
