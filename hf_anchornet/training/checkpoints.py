"""Checkpoints of the whole training state, from which a training resumes bit for bit.

Weights are stored as safetensors. Accelerate pickles the state of optimizer, schedule and random
generators and reads it with `torch.load(weights_only=True)`, which runs no code. The folder is
removed when training ends and is never published.
"""

import json
import logging
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from hf_anchornet.files import (
    CHECKPOINTS_FOLDER,
    SUMS_FILE,
    find_damage,
    finish_folder,
    read_json,
    start_folder,
    write_json,
)

logger = logging.getLogger(__name__)

PROGRESS_FILE = "progress.json"
_ROWS = ("num_rows", "rows", "num_shards")


@dataclass
class Progress:
    """Progress of a training.

    Attributes:
        step: Finished steps of the optimizer.
        epoch: Current epoch, from 1.
        batches: Finished batches of this epoch in each process.
        losses: Sum of their losses, one per process.
        history: Scores of each finished epoch.
        best_epoch: Epoch of the best model so far; `None` before the first has ended.
        random: Checksum of each process's random generator.
        places: Position of each process in a stream; `None` without a stream.
    """

    step: int = 0
    epoch: int = 1
    batches: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    random: list[int] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of a training: `step_N`, and `best_N`, the best model, of epoch N.

    All processes must call each method and share the folder.

    Args:
        accelerator: Has prepared everything to be saved.
        folder: The training's `output_dir`.
        keep: Number of latest checkpoints to keep.
        settings: Options that decide the weights, by name.
    """

    def __init__(
        self, accelerator: Accelerator, folder: str | Path, keep: int, settings: Mapping[str, Any]
    ) -> None:
        self.accelerator, self.keep = accelerator, keep
        self.output_dir, self.folder = Path(folder), Path(folder) / CHECKPOINTS_FOLDER
        self.settings = json.loads(json.dumps(dict(settings), default=str))

    def refuse_leftovers(self) -> None:
        """Raise a `ValueError` if there are checkpoints of an earlier training."""
        found = self._steps()
        self.accelerator.wait_for_everyone()
        if found:
            raise ValueError(
                f"`output_dir` must hold no checkpoint of an earlier training, got {found[-1]}; "
                f"set `resume` to continue from it, or delete {self.folder}."
            )

    def write(self, progress: Progress) -> None:
        """Save the state as `step_N` and delete checkpoints that are no longer kept."""
        target = self.folder / f"step_{progress.step}"
        progress.random = gather_object([_check_random()])
        if self.accelerator.is_main_process:
            start_folder(target)
        self.accelerator.wait_for_everyone()
        partial = target.with_name(f"{target.name}.partial")
        self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            content = {"progress": asdict(progress), "settings": self.settings}
            write_json(partial / PROGRESS_FILE, content)
            finish_folder(partial, target)
            self._prune(progress.step)
        self.accelerator.wait_for_everyone()

    def write_best(self, epoch: int, save: Callable[[str], None]) -> None:
        """Save the best model so far, which `restore` needs if a later epoch was better."""
        if self.accelerator.is_main_process:
            target = self.folder / f"best_{epoch}"
            partial = start_folder(target)
            save(str(partial))
            finish_folder(partial, target)
        self.accelerator.wait_for_everyone()

    def restore(self) -> Progress | None:
        """The progress at the last undamaged checkpoint, whose state is loaded; `None` without one.

        Raises:
            ValueError: if its training had other settings, naming the first that differs.
            RuntimeError: if the random generators could not be restored.
        """
        chosen = [self._choose() if self.accelerator.is_main_process else None]
        broadcast_object_list(chosen)
        if chosen[0] is None:
            logger.warning("no checkpoint in %s to resume from: starting anew", self.folder)
            return None
        content = _read(Path(chosen[0]))
        self._check_settings(content["settings"])
        progress = Progress(**content["progress"])
        self.accelerator.load_state(chosen[0])
        if _check_random() != progress.random[self.accelerator.process_index]:
            raise RuntimeError(
                f"the random generators of {chosen[0]} could not be restored with these versions "
                "of accelerate and torch; resume with the versions that wrote it."
            )
        if progress.best_epoch is not None and self.accelerator.is_main_process:
            best = self.folder / f"best_{progress.best_epoch}"
            shutil.copytree(
                best, self.output_dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SUMS_FILE)
            )
        self.accelerator.wait_for_everyone()
        logger.warning("resumed after step %d from %s", progress.step, chosen[0])
        return progress

    def remove(self) -> None:
        """Delete all checkpoints once the training has ended."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[Path]:
        """Folders of checkpoints, from first to last."""
        found = [
            path for path in self.folder.glob("step_*") if path.name.removeprefix("step_").isdigit()
        ]
        return sorted(found, key=_number)

    def _choose(self) -> str | None:
        for path in reversed(self._steps()):
            damage = find_damage(path)
            if damage is None:
                epoch = _read(path)["progress"]["best_epoch"]
                best = self.folder / f"best_{epoch}"
                damage = None if epoch is None else find_damage(best)
                damage = damage and f"{damage} in {best}"
            if damage is None:
                return str(path)
            logger.warning("skipped the damaged checkpoint %s: %s", path, damage)
        return None

    def _check_settings(self, saved: dict[str, Any]) -> None:
        for name in [*self.settings, *saved]:
            before, now = (found.get(name) for found in (saved, self.settings))
            if name not in saved and not now:
                continue  # an option that was not there yet, and is off
            if before != now and name in _ROWS:
                raise ValueError(
                    f"`dataset` must hold the rows of the checkpoint to resume from it, got others "
                    f"({name}: {before} and {now}); restore them, or start anew with another "
                    "`output_dir`."
                )
            if before != now:
                raise ValueError(
                    f"`{name}` must be as in the checkpoint, {before!r}, to resume from it, got "
                    f"{now!r}; restore it, or start anew with another `output_dir`."
                )

    def _prune(self, step: int) -> None:
        """Keep the last ones up to `step`; later ones are left over from before a resume."""
        kept = [path for path in self._steps() if _number(path) <= step][-self.keep :]
        kept += [self.folder / f"best_{_find_best(path)}" for path in kept]
        for path in [*self.folder.glob("step_*"), *self.folder.glob("best_*")]:
            if path not in kept:
                shutil.rmtree(path)


def describe_model(model: nn.Module) -> dict[str, Any]:
    """The fields of a model's config, which a resumed training must repeat."""
    config = getattr(model, "config", None)
    if config is None:
        return {}
    fields = config.to_dict()
    return {name: fields[name] for name in sorted(set(fields) - {"transformers_version"})}


def _read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(folder / PROGRESS_FILE)
    return content


def _find_best(folder: Path) -> int | None:
    try:
        best: int | None = _read(folder)["progress"]["best_epoch"]
    except (OSError, ValueError, KeyError):  # damaged: never resumed from
        return None
    return best


def _number(path: Path) -> int:
    return int(path.name.rpartition("_")[2])


def _check_random() -> int:
    return zlib.crc32(torch.get_rng_state().numpy().tobytes())
