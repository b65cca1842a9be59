"""Coverage-guided fuzzing: atheris mutates inputs that reached new code."""

import atexit
import json
import os
import sys
import tempfile
from inspect import getmembers, isclass, isfunction
from pathlib import Path
from typing import Any

GUIDING = ("hf_anchornet.", "PIL.")
"""Prefixes of the modules whose coverage guides."""
NUM_SEEDS = 200
MOST_BYTES = 4096


def fuzz_with_coverage(worker: Any, report: str) -> None:
    """Try inputs until the worker is done, write its counts to `report` and exit.

    Args:
        worker: A `Worker` of a target that reads bytes.
        report: JSON file of the counts.

    Raises:
        ImportError: If atheris is not installed.
    """
    try:
        import atheris
    except ImportError as error:
        raise ImportError(
            "`engine` atheris needs the package atheris; `pip install atheris` or choose the "
            "engine random."
        ) from error
    _instrument(atheris)
    corpus = Path(tempfile.mkdtemp(prefix="fuzz_corpus_"))
    for step in range(NUM_SEEDS):
        (corpus / str(step)).write_bytes(worker.draw(step))

    def finish() -> None:
        Path(report).write_text(json.dumps(worker.report()), "utf-8")
        worker.current.unlink(missing_ok=True)

    def attempt(data: bytes) -> None:
        worker.attempt(data)
        if worker.is_done():
            finish()
            os._exit(0)  # libFuzzer cannot be told to end by the number of cases

    atexit.register(finish)
    limits = [f"-max_len={MOST_BYTES}", "-timeout=0", "-handle_alrm=0", "-rss_limit_mb=0"]
    seed = 1 + worker.options.seed * 1000 + worker.number
    atheris.Setup([sys.argv[0], f"-seed={seed}", *limits, str(corpus)], attempt)
    atheris.Fuzz()


def _instrument(atheris: Any) -> None:
    """Instrument the functions of modules that are loaded already."""
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(GUIDING) or ".fuzz" in name:
            continue
        owners = [module, *(owner for _, owner in getmembers(module, isclass))]
        for owner in owners:
            for _, function in getmembers(owner, isfunction):
                if function.__module__ == name and "__atheris__" not in function.__dict__:
                    function.__dict__["__atheris__"] = True
                    atheris.instrument_func(function)
