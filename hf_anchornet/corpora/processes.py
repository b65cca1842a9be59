"""A corpus on one machine: several processes, each with a shard at a time, and their progress."""

import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from .answers import Report, localize_shard, name_rows
from .job import CorpusJob, Shard, check_positive, find_shards, find_waiting, remove_leftovers
from .settings import describe_settings, load_pipeline

READING, DONE, FAILED = "reading", "done", "failed"
"""What a worker tells: rows that it reads next; that its shard is written; why it is not."""


class JobSummary(NamedTuple):
    """What a job has done.

    Attributes:
        num_shards: Written now.
        num_rows: In these.
        num_finished: Shards that were there before.
    """

    num_shards: int
    num_rows: int
    num_finished: int


def localize_corpus(job: CorpusJob, num_workers: int | None = None) -> JobSummary:
    """Write the answers of every shard that has none yet, on this machine.

    Args:
        job: What to do.
        num_workers: Processes, each with one thread of torch and one shard at a time; default: as
            many as the machine has processors. 1: this process, with all threads of torch.

    Raises:
        ValueError: if an option, a shard or a row is wrong, or a worker died, naming it; shards
            that are finished stay, and the next start goes on from there.
    """
    num_workers = check_positive("num_workers", num_workers or os.cpu_count() or 1)
    shards = find_shards(job)
    localize = load_pipeline(job)
    settings = describe_settings(localize, job)
    waiting = find_waiting(shards, settings)
    summary = summarize(shards, waiting)
    num_workers = min(num_workers, len(waiting))
    with cleaning_up(job, waiting), show_rows(shards, summary) as bar:
        if num_workers == 1:
            for shard in waiting:
                localize_shard(localize, shard, job, settings, lambda rows: bar.update(len(rows)))
        else:
            del localize  # the workers have their own
            _run_workers(job, settings, waiting, num_workers, lambda rows: bar.update(len(rows)))
    return summary


def summarize(shards: Sequence[Shard], waiting: Sequence[Shard]) -> JobSummary:
    """What there is to do."""
    num_rows = sum(shard.num_rows for shard in waiting)
    return JobSummary(len(waiting), num_rows, len(shards) - len(waiting))


def show_rows(shards: Sequence[Shard], summary: JobSummary) -> Any:
    """A bar of the rows of a corpus on standard error, if that is a terminal."""
    total = sum(shard.num_rows for shard in shards)
    return tqdm(
        total=total, initial=total - summary.num_rows, unit=" rows", disable=None, leave=False
    )


@contextmanager
def cleaning_up(job: CorpusJob, waiting: Sequence[Shard]) -> Iterator[None]:
    """Whatever happens, no unfinished file is left in the end."""
    try:
        yield
    finally:
        remove_leftovers(waiting, job.output)


class _Worker:
    """A process that localizes shards, and what it is doing.

    Args:
        job: The job.
        settings: See `describe_settings`.
    """

    def __init__(self, job: CorpusJob, settings: dict[str, Any]) -> None:
        context = get_context("spawn")  # a fork of a process with threads of torch may hang
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, job, settings), daemon=True)
        self.process.start()
        theirs.close()  # so that its death ends the connection
        self.shard: Shard | None = None
        self.rows: Sequence[int] = ()

    def take(self, shards: deque[Shard]) -> bool:
        """Give it the next shard; False and the process ends if there is none."""
        self.rows = ()
        self.shard = shards.popleft() if shards else None
        try:
            self.connection.send(self.shard)
        except OSError as error:
            raise self.describe_death() from error
        return self.shard is not None

    def hear(self) -> tuple[str, Any]:
        """What it tells.

        Raises:
            ValueError: if it is dead, naming the shard and the rows it was at.
        """
        try:
            told: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self.describe_death() from error
        return told

    def describe_death(self) -> ValueError:
        """The error for a worker that is no more."""
        self.process.join()
        code = self.process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        where = name_rows(self.rows) if self.rows else "The model or the first rows"
        name = f" of {self.shard.source}" if self.shard else ""
        return ValueError(
            f"{where}{name}: the worker that read them died {how}; if memory ran out, lower "
            "`batch_size`, `rows_per_group` or `num_workers`, then start again: finished shards "
            "stay."
        )

    def end(self) -> None:
        """End the process, whatever it does, and wait until it is gone."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


def _run_workers(
    job: CorpusJob,
    settings: dict[str, Any],
    waiting: Sequence[Shard],
    num_workers: int,
    report: Report,
) -> None:
    """Localize shards in `num_workers` processes; see `localize_corpus`."""
    shards = deque(waiting)
    workers: list[_Worker] = []
    try:
        while len(workers) < num_workers:  # one by one: those made end if the next fails
            workers.append(_Worker(job, settings))
        busy = {worker.connection: worker for worker in workers if worker.take(shards)}
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker = busy[connection]
                kind, told = worker.hear()
                if kind == FAILED:
                    raise ValueError(told)
                if kind == READING:
                    worker.rows = told
                    report(told)
                elif not worker.take(shards):
                    del busy[connection]
    finally:
        for worker in workers:
            worker.end()


def _work(connection: Connection, job: CorpusJob, settings: dict[str, Any]) -> None:
    """What a worker does until it is told to stop or the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    torch.set_num_threads(1)
    localize = load_pipeline(job)
    while True:
        try:
            shard = connection.recv()
        except EOFError:
            return
        if shard is None:
            return
        try:
            localize_shard(
                localize, shard, job, settings, lambda rows: connection.send((READING, rows))
            )
        except ValueError as error:
            connection.send((FAILED, str(error)))
            return
        connection.send((DONE, None))
