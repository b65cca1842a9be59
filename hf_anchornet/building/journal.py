"""The journal of a build, `build.json`: which steps are finished, with which options."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hf_anchornet.files import read_json, write_json
from hf_anchornet.publishing.model_files import BUILD_FILE

logger = logging.getLogger(__name__)


class Journal:
    """The finished steps of a build; a step that is in it is not run again.

    Args:
        folder: Folder of the build.
        options: Options that decide the result; those of a build that is continued must be equal.

    Raises:
        ValueError: if the folder holds a build with other options, or the file is damaged.
    """

    def __init__(self, folder: str | Path, options: Mapping[str, Any]) -> None:
        self.path = Path(folder) / BUILD_FILE
        self.content: dict[str, Any] = {"finished": False, "options": dict(options), "steps": {}}
        if not self.path.exists():
            return
        try:
            found = read_json(self.path)
            known, steps = dict(found["options"]), dict(found["steps"])
            self.content |= found | {"steps": steps, "finished": found["finished"]}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"`output_dir` must hold a build.json that a build wrote, got {self.path} "
                f"({error!r}); delete it to start anew."
            ) from error
        for name, value in options.items():
            if known.get(name) != value:
                raise ValueError(
                    f"`{name}` must be {known.get(name)!r} as in the build that was started in "
                    f"{folder}, got {value!r}; give the same options to continue it, or choose "
                    "another `output_dir`."
                )

    def keep_rows(self, fingerprint: str) -> None:
        """Remember the rows that the build is made of; see `fingerprint_rows`.

        Raises:
            ValueError: if the build was started from other rows.
        """
        if self.content.setdefault("rows", fingerprint) != fingerprint:
            raise ValueError(
                f"`dataset` must hold the rows that the build in {self.path.parent} was started "
                "from, got others: the data has changed since; choose another `output_dir` to "
                "build from the new rows."
            )

    def run(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a step, ready for JSON: that of an earlier run, or of `work`."""
        steps = self.content["steps"]
        if name in steps:
            logger.info("%s: finished before", name)
        else:
            logger.info("%s ...", name)
            start = time.perf_counter()
            result = work()
            seconds = round(time.perf_counter() - start, 1)
            steps[name] = {"seconds": seconds, "result": result}
            self.write()
            logger.info("%s: finished after %s", name, say_seconds(seconds))
        found: dict[str, Any] = steps[name]["result"]
        return found

    def forget_lost(self, name: str) -> None:
        """Forget a step if a file that it wrote is gone, so that it runs again."""
        result = self.content["steps"].get(name, {}).get("result", {})
        if any(not (self.path.parent / file).exists() for file in result.get("files", [])):
            del self.content["steps"][name]

    @property
    def seconds(self) -> dict[str, float]:
        """What each finished step took."""
        return {name: step["seconds"] for name, step in self.content["steps"].items()}

    def finish(self) -> None:
        """Mark the whole build as finished."""
        self.content["finished"] = True
        self.write()

    def write(self) -> None:
        """Write the journal in one step."""
        write_json(self.path, self.content)


def say_seconds(seconds: float) -> str:
    """A duration in words, such as "45 s" or "12 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
