"""Numbers of the package's layout as a Markdown table: `python -m scripts.structure`.

Imports are read from the source, those inside functions too. With `--check` the exit code is 1
if a number misses its limit.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

NAME = "hf_anchornet"
PACKAGE = Path(__file__).parents[1] / NAME

# From the bottom up: a folder may import those on floors below its own. Those of one floor may
# not import each other.
FLOORS = (
    ("model", "metrics", "version", "files"),
    ("registration", "data", "views"),
    ("calibration", "explain"),
    ("evaluation",),
    ("publishing",),
    ("training",),
    ("building", "corpora", "serve", "demo"),
    ("cli",),
    ("api",),
    ("__init__", "__main__"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

Files = Mapping[str, Path]
"""Paths of source files by dotted name within the package, for example "model.geometry"."""
Graph = Mapping[str, set[str]]
"""For each file the files that it imports."""

ENTRIES = ("__init__", "__main__", "cli.main")
# A module, with a function after a colon where a command table names it.
_REFERENCE = re.compile(r"(\.*)([A-Za-z_][\w.]*)(:\w+)?")


class Number(NamedTuple):
    """One row of the table; `limit` is the largest value allowed, None if there is no limit."""

    what: str
    value: int
    limit: int | None = None
    remark: str = ""


def list_files(package: Path = PACKAGE) -> dict[str, Path]:
    """The Python files of a package by dotted name."""
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
    }


def find_room(name: str) -> str:
    """The folder of a file, or the file itself in the package's root."""
    return name.partition(".")[0]


def list_imports(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Each import in a file: number of leading dots, module, imported names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)


def find_imported(name: str, files: Files) -> set[str]:
    """The package's files that a file imports; `name` and the result are keys of `files`."""
    found: set[str] = set()
    for level, module, names in list_imports(files[name]):
        target = _resolve(name, level, module)
        if target is not None:
            # `from folder import file` names files, `from file import name` does not.
            inside = {f"{target}.{one}".lstrip(".") for one in names} & set(files)
            found |= inside or {target if target in files else f"{target}.__init__".lstrip(".")}
    return found


def _resolve(importer: str, level: int, module: str) -> str | None:
    """The name within the package of an imported module; None if it is another package's."""
    if level:
        return ".".join([*importer.split(".")[:-level], *filter(None, [module])])
    inside = module.startswith(f"{NAME}.")
    return module.removeprefix(f"{NAME}.") if inside else None


def find_named(name: str, files: Files) -> set[str]:
    """The package's files that a file names in strings, such as "hf_anchornet.cli.train:run"."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse(files[name].read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _REFERENCE.fullmatch(node.value)
            if match is not None:
                dots, module, function = match.groups()
                found.add(_resolve(name, len(dots), module))
                if function:  # "train:run" is relative, a bare "train" is no module
                    found |= {_resolve(name, 1, module), module}
    return {target for target in found if target is not None and target in files}


def make_graph(files: Files) -> dict[str, set[str]]:
    """The imports of every file."""
    return {name: find_imported(name, files) for name in files}


def find_reached(graph: Graph, starts: Iterable[str]) -> set[str]:
    """The given files and all that they import, directly or through others."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph.get(name, ())
    return reached


def find_upward(graph: Graph) -> list[tuple[str, str]]:
    """Imports between folders that do not lead to a lower floor."""
    return [
        (name, target)
        for name, targets in graph.items()
        for target in sorted(targets)
        if find_room(target) != find_room(name)
        and FLOOR[find_room(target)] >= FLOOR[find_room(name)]
    ]


def find_circles(graph: Graph) -> list[str]:
    """Files that import themselves through others."""
    return [name for name, targets in graph.items() if name in find_reached(graph, targets)]


def find_unreachable(files: Files, graph: Graph) -> list[str]:
    """Files that neither the API nor a command nor a metric needs."""
    named = {name: targets | find_named(name, files) for name, targets in graph.items()}
    starts = [*ENTRIES, *(name for name in files if find_room(name) == "metrics")]
    reached = find_reached(named, [name for name in starts if name in files])
    # The docstring of a folder comes with any of its files.
    folders = {f"{name.rpartition('.')[0]}.__init__" for name in reached}
    return sorted(set(files) - reached - folders)


def find_carried(graph: Graph, modality: str) -> set[str]:
    """The files of remote code that a published localizer of a modality needs."""
    starts = ["configuration_anchornet", f"modeling_anchornet_{modality}"]
    starts.append(f"pipeline_anchornet_{modality}")
    if modality == "image":
        starts.append("image_processing_anchornet")
    return find_reached(graph, (f"model.{name}" for name in starts))


def measure(package: Path = PACKAGE) -> list[Number]:
    """The rows of the table."""
    files = list_files(package)
    graph = make_graph(files)
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in files.items()}
    unreachable, upward, circles = (
        find_unreachable(files, graph),
        find_upward(graph),
        find_circles(graph),
    )
    carried, foreign = [], list[str]()
    for modality, other in (("text", "image"), ("image", "text")):
        needed = find_carried(graph, modality)
        foreign += sorted(name for name in needed if other in name)
        carried.append(Number(f"files that a published {modality} model carries", len(needed)))
    code = sum(map(count_code, files.values()))
    return [
        Number("Python files in the package's root", sum("." not in name for name in files), 6),
        Number(
            "lines that neither API nor command reaches",
            sum(lines[name] for name in unreachable),
            0,
            _join(unreachable),
        ),
        Number(
            "imports that run upward",
            len(upward),
            0,
            _join(f"{name} > {target}" for name, target in upward),
        ),
        Number("files in a circle of imports", len(circles), 0, _join(circles)),
        *carried,
        Number("of these, files for the other modality only", len(foreign), 0, _join(foreign)),
        Number("package lines", sum(lines.values()), remark=f"{code:,} of them code"),
    ]


def count_code(path: Path) -> int:
    """Lines of a file that are not blank, a comment or part of a docstring."""
    text = path.read_text("utf-8")
    kept = {n for n, line in enumerate(text.splitlines(), 1) if not line.strip().startswith("#")}
    kept -= {n for n, line in enumerate(text.splitlines(), 1) if not line.strip()}
    for node in ast.walk(ast.parse(text)):
        # A string that is a statement: the docstring of what it stands in or below.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            kept -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(kept)


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)


def format_numbers(numbers: Iterable[Number]) -> str:
    """The table in Markdown."""
    table = "| what | today | limit | remark |\n|---|---|---|---|\n"
    for what, value, limit, remark in numbers:
        reach = "" if limit is None else f"{limit:,}"
        table += f"| {what} | {value:,} | {reach} | {remark} |\n"
    return table


def find_missed(numbers: Iterable[Number]) -> list[str]:
    """The rows whose value is above the limit."""
    return [row.what for row in numbers if row.limit is not None and row.value > row.limit]


def main() -> None:
    """Print the table; with `--check` exit with 1 if a number misses its limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    check = parser.parse_args().check
    numbers = measure()
    missed = find_missed(numbers) if check else []
    print(format_numbers(numbers), end="")
    if missed:
        sys.exit(f"above the limit: {_join(missed)}")


if __name__ == "__main__":
    main()
