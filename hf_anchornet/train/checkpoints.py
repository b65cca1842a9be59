"""Checkpoints of a whole training state, from which it goes on as if it had never stopped.

Weights are in safetensors files. Optimizer, schedule and random generators are in files that
Accelerate pickles and reads with `torch.load(weights_only=True)`, which runs no code. The folder is
removed when training ends well; `folder_check` does not look into one that is left, and
`build_folder` never copies it.
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
from torch.utils.data import DataLoader

from hf_anchornet.files import (
    CHECKPOINTS_FOLDER,
    SUMS_FILE,
    find_damage,
    finish_folder,
    start_folder,
)

from .batches import EpochOrder

logger = logging.getLogger(__name__)

PROGRESS_FILE = "progress.json"
_ROWS = ("num_rows", "rows", "num_shards")


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        step: Steps of the optimizer that are done.
        epoch: The one under way, from 1.
        batches: Batches of this epoch that are done, of each process.
        losses: Sum of their losses, of each process.
        history: Scores of each epoch that is done.
        best_epoch: Whose model is the best so far; `None`: no epoch is done.
        random: Check value of each process's random generator.
        places: Where each process is in a stream; else `None` of each.
    """

    step: int = 0
    epoch: int = 1
    batches: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    random: list[int] = field(default_factory=list)
    places: list[dict[str, Any] | None] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one training: `step_N`, and `best_N`, the best model of N epochs.

    All processes call each method, and all see the same folder.

    Args:
        accelerator: That has prepared all that is saved.
        folder: The training's `output_dir`.
        keep: How many to keep, the last ones.
        settings: What the weights depend on, by the names of options.
    """

    def __init__(
        self, accelerator: Accelerator, folder: str | Path, keep: int, settings: Mapping[str, Any]
    ) -> None:
        self.accelerator, self.keep = accelerator, keep
        self.output_dir, self.folder = Path(folder), Path(folder) / CHECKPOINTS_FOLDER
        self.settings = json.loads(json.dumps(dict(settings), default=str))

    def refuse_leftovers(self) -> None:
        """Raise a `ValueError` if there are checkpoints already: of which training they are?"""
        found = self._steps()
        self.accelerator.wait_for_everyone()
        if found:
            raise ValueError(
                f"`output_dir` must hold no checkpoint of an earlier training, got {found[-1]}; "
                f"set `resume` to go on from it, or delete {self.folder}."
            )

    def write(self, progress: Progress) -> None:
        """Save the state as `step_N`; then drop what is no longer kept."""
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
            (partial / PROGRESS_FILE).write_text(json.dumps(content, indent=2), encoding="utf-8")
            finish_folder(partial, target)
            self._prune(progress.step)
        self.accelerator.wait_for_everyone()

    def write_best(self, epoch: int, save: Callable[[str], None]) -> None:
        """Keep the best model so far, too: a checkpoint from before a better one needs it."""
        if self.accelerator.is_main_process:
            target = self.folder / f"best_{epoch}"
            partial = start_folder(target)
            save(str(partial))
            finish_folder(partial, target)
        self.accelerator.wait_for_everyone()

    def restore(self) -> Progress | None:
        """Go back to the last checkpoint that is sound; `None`: there is none.

        Raises:
            ValueError: if it is of a training with other settings, naming the first of them.
            RuntimeError: if the random generators could not be restored.
        """
        chosen = [self._choose() if self.accelerator.is_main_process else None]
        broadcast_object_list(chosen)
        if chosen[0] is None:
            logger.warning("no checkpoint in %s to resume from: training anew", self.folder)
            return None
        content = _read(Path(chosen[0]))
        self._check_settings(content["settings"])
        progress = Progress(**content["progress"])
        self.accelerator.load_state(chosen[0])
        if _check_random() != progress.random[self.accelerator.process_index]:
            raise RuntimeError(
                f"the random generators of {chosen[0]} could not be restored, with these versions "
                "of accelerate and torch; resume with those that wrote it."
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
        """Delete them all: the training has ended well."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[Path]:
        """Folders of checkpoints from the first to the last."""
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
            if before != now and name in _ROWS:
                raise ValueError(
                    f"`dataset` must hold the rows of the checkpoint to resume from it, got others "
                    f"({name}: {before} and {now}); restore them, or train anew with another "
                    "`output_dir`."
                )
            if before != now:
                raise ValueError(
                    f"`{name}` must be as in the checkpoint, {before!r}, to resume from it, got "
                    f"{now!r}; set it so, or train anew with another `output_dir`."
                )

    def _prune(self, step: int) -> None:
        """Keep the last ones up to `step`; those after it are left from before a resume."""
        kept = [path for path in self._steps() if _number(path) <= step][-self.keep :]
        kept += [self.folder / f"best_{_find_best(path)}" for path in kept]
        for path in [*self.folder.glob("step_*"), *self.folder.glob("best_*")]:
            if path not in kept:
                shutil.rmtree(path)


def describe_rows(loader: DataLoader[Any]) -> dict[str, Any]:
    """How many rows a loader has, and a check value of what some of them become."""
    rows: Any = loader.dataset
    batch = rows.__getitems__(range(0, len(rows), max(1, len(rows) // 16)))
    check = 0
    for name in sorted(set(batch) - {"labels"}):  # a teacher's may differ in the last bit
        check = zlib.crc32(batch[name].contiguous().numpy().tobytes(), check)
    return {"num_rows": len(rows), "rows": check}


def check_order(loader: DataLoader[Any]) -> None:
    """Raise a `ValueError` if a loader's order cannot be found again in the middle of an epoch."""
    if not isinstance(loader.sampler, EpochOrder):
        raise ValueError(
            "`loader` must have the order `EpochOrder` of `make_batches` to write checkpoints or "
            f"to resume, got {type(loader.sampler).__name__}; make it so, or set "
            "`checkpoint_steps=0` and `resume=False`."
        )


def describe_model(model: nn.Module) -> dict[str, Any]:
    """What a model's config says of it, by names of fields."""
    config = getattr(model, "config", None)
    if config is None:
        return {}
    fields = config.to_dict()
    return {name: fields[name] for name in sorted(set(fields) - {"transformers_version"})}


def _read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / PROGRESS_FILE).read_text("utf-8"))
    return content


def _find_best(folder: Path) -> int | None:
    try:
        best: int | None = _read(folder)["progress"]["best_epoch"]
    except (OSError, ValueError, KeyError):  # damaged: nobody resumes from it
        return None
    return best


def _number(path: Path) -> int:
    return int(path.name.rpartition("_")[2])


def _check_random() -> int:
    return zlib.crc32(torch.get_rng_state().numpy().tobytes())
