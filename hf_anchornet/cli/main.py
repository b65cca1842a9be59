"""The command line: `anchornet COMMAND [options]`.

Results go to standard output, everything else to standard error. The module of a command is
imported only when that command is run.
"""

import argparse
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from hf_anchornet.version import __version__
from hf_anchornet.views.base import clean_line

from .checks import hint_missing
from .options import EXIT_CODES, CommandParser, suggest

COMMANDS = {
    "demo": "hf_anchornet.cli.demo",
    "localize": "hf_anchornet.cli.localize",
    "build": "hf_anchornet.cli.build",
    "train": "hf_anchornet.cli.train",
    "adapt": "hf_anchornet.cli.adapt",
    "calibrate": "hf_anchornet.cli.calibrate",
    "evaluate": "hf_anchornet.cli.evaluate",
    "export": "hf_anchornet.cli.export",
    "publish": "hf_anchornet.cli.publish",
    "serve": "hf_anchornet.cli.serve",
}
"""The module of each command: `make_parser` makes its parser, `run` takes what that has parsed."""

RESUMED = {
    "build": "run the same command again to continue",
    "train": "`--resume` continues from the last checkpoint, if `--checkpoint-steps` left one",
    "adapt": "`--resume` continues from the last checkpoint, if `--checkpoint-steps` left one",
}
"""How an interrupted command is continued."""

EXPECTED = (
    EOFError,
    FloatingPointError,
    ImportError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors in the input or the machine, whose message says what to do."""

EXPECTED_NAMES = {"ConnectError", "ConnectTimeout", "OutOfMemoryError", "PanicException"}
"""The same of libraries that are not imported here: httpx, torch and pyo3."""

EPILOG = f"""\
commands:
  demo       show the shipped models on a review and a photo, also in a browser
  localize   find the spans or patches that decide a label
  build      from labelled data, or a classifier, to a measured folder in one command
  train      train a localizer on labelled texts or images
  adapt      train a classifier on what a localizer selects
  calibrate  make a cascade of both that exits early
  evaluate   score models and explainers on a labelled split, as JSON
  export     write an ONNX graph
  publish    upload a model to the Hub, with its code and a card
  serve      serve the pipelines over HTTP, with batching and limits

`anchornet COMMAND --help` lists the options of a command and shows examples.

{EXIT_CODES}"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command line `argv`, by default that of the process."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = None
    _prepare_streams()
    try:
        if not argv or argv[0] not in COMMANDS:
            _exit_without_command(argv)
        command = import_module(COMMANDS[argv[0]])
        parser = command.make_parser()
        command.run(parser.parse(argv[1:]))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe; Python must not fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        hint = "".join(f"; {RESUMED[name]}" for name in argv[:1] if name in RESUMED)
        print(f"anchornet: interrupted{hint}", file=sys.stderr)
        return 130
    except BaseException as error:  # pyo3, which wraps tokenizers, panics with a `BaseException`
        if isinstance(error, GeneratorExit | SystemExit):
            raise
        return _report(error, argv, parser)
    return 0


def _report(error: BaseException, argv: Sequence[str], parser: CommandParser | None) -> int:
    """Print an error on standard error; 2 if it is in the input or the machine, 1 if it is a bug.

    Args:
        error: What the command raised.
        argv: The command line.
        parser: Knows how the options that a message names are typed; `None`: there is none yet.
    """
    if type(error).__name__.startswith("StrictDataclass"):  # how transformers reports a config
        error = error.__cause__ or error
    kind = type(error)
    is_own = isinstance(error, ImportError) and str(error.name).startswith("hf_anchornet")
    if (isinstance(error, EXPECTED) and not is_own) or kind.__name__ in EXPECTED_NAMES:
        said = str(error) or kind.__name__
        if isinstance(error, RecursionError):
            said = f"the input must not be nested so deeply, got: {said}; simplify it."
        elif kind.__name__ == "PanicException":
            said = f"a library written in Rust, such as tokenizers, failed: {said}; check the files"
        elif isinstance(error, OSError) and error.errno is None and kind is not FileNotFoundError:
            said += hint_missing(argv)
        said = said if parser is None else parser.use_flags(said)
        print(f"anchornet: error: {clean_line(said)}", file=sys.stderr)
        return 2
    traceback.print_exception(error)
    print(
        f"anchornet: this is a bug in hf_anchornet {__version__}: please report it with the lines "
        f"above, the command and Python {platform.python_version()}",
        file=sys.stderr,
    )
    return 1


def _exit_without_command(argv: Sequence[str]) -> NoReturn:
    """Print the help, the version or what is wrong with `argv`, and exit."""
    parser = argparse.ArgumentParser(
        prog="anchornet",
        usage="%(prog)s COMMAND [options]",
        description="Classifiers of texts and images that show which parts of the input decided.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _, unknown = parser.parse_known_args(argv)
    if not unknown:
        parser.error(f"missing COMMAND, one of {', '.join(COMMANDS)}")
    kind = "option" if unknown[0].startswith("-") else "command"
    hint = suggest(unknown[0], COMMANDS) or "; `anchornet --help` lists the commands"
    parser.error(f"unknown {kind} `{unknown[0]}`{hint}")


def _prepare_streams() -> None:
    """Use UTF-8 on every platform, and keep the line ends of the input."""
    # A substitute stream, as in a notebook, needs no setup.
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", newline="")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
