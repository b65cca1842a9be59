"""The lock of a training on its output folder, and saves that keep the previous model whole."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from hf_anchornet.files import naming_full_disk, start_folder
from hf_anchornet.publishing.leftovers import drop_results

try:
    import fcntl
except ImportError:  # Windows: trainings there are not kept apart
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "training.lock"
"""File in `output_dir` that a running training locks; it holds the process id and the machine."""

_held: set[Path] = set()
"""Locks of this process. The system would let it lock a file twice."""


@contextmanager
def holding_folder(folder: str | Path, accelerator: Accelerator) -> Iterator[None]:
    """Keep other trainings out of a folder, and name it if its disk is full.

    The system releases the lock when the process ends, so a killed training leaves none behind.
    All processes of a training must enter together.

    Raises:
        ValueError: if another training runs there.
        OSError: if the disk is full.
    """
    path = Path(folder).resolve() / LOCK_FILE
    is_new = not path.parent.exists()
    handle, found = None, [""]
    with naming_full_disk(folder):
        if accelerator.is_main_process:
            handle, found[0] = _lock(path)
        broadcast_object_list(found)
        if found[0]:
            raise ValueError(
                f"`output_dir` must not be that of a running training, got {folder}, where "
                f"{found[0]} trains; choose another folder, or wait for its end."
            )
        try:
            yield
        finally:
            if handle is not None:
                path.unlink(missing_ok=True)
                _held.discard(path)
                os.close(handle)
            if is_new and accelerator.is_main_process:
                with suppress(OSError):
                    path.parent.rmdir()  # of a training that failed before it wrote anything


def _lock(path: Path) -> tuple[int | None, str]:
    """The handle of a lock file, or `None` and the process that has locked it."""
    if fcntl is None:
        return None, ""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path in _held:  # opening and closing the file here would release the lock
        return None, f"this process ({os.getpid()})"
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            owner = os.read(handle, 1000).decode("utf-8", "replace").strip()
            os.close(handle)
            return None, owner or "another process"
        except OSError:  # a file system without locks
            os.close(handle)
            return None, ""
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            break
        os.close(handle)  # its last owner has just removed it
    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    _held.add(path)
    return handle, ""


def save_in_one_go(save: Callable[[str], None], folder: Path) -> None:
    """Let `save` write to a new folder, then move its files to `folder`, one step a file.

    If `save` fails or is interrupted, the files in `folder` stay as they were. Afterwards, what was
    measured on the model before, or made of its weights, is gone.
    """
    partial = start_folder(folder / "best")
    try:
        save(str(partial))
        drop_results(folder)
        for path in filter(Path.is_file, sorted(partial.rglob("*"))):
            target = folder / path.relative_to(partial)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
