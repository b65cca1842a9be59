"""Corpus jobs on one machine: processes that take one shard at a time, with progress."""

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

from hf_anchornet.model.limits import check_positive

from .answers import Report, localize_shard, name_rows
from .job import CorpusJob, Shard, find_shards, find_waiting, remove_leftovers
from .settings import describe_settings, load_job_pipeline

READING, DONE, FAILED = "reading", "done", "failed"
"""Messages of a worker: the rows of its next batch; shard written; shard failed, and the error."""


class JobSummary(NamedTuple):
    """The work done by a job.

    Attributes:
        num_shards: Number of shards written.
        num_rows: Number of rows in these shards.
        num_finished: Number of shards that were finished before.
    """

    num_shards: int
    num_rows: int
    num_finished: int


def localize_corpus(job: CorpusJob, num_workers: int | None = None) -> JobSummary:
    """Write the answers of all unfinished shards, on this machine.

    Args:
        job: The job.
        num_workers: Number of processes, each with one torch thread and one shard at a time;
            default: the number of CPUs. With 1, this process does all with its torch threads.

    Raises:
        ValueError: if an option, a shard or a row is invalid, or a worker died; the message names
            it. Finished shards stay, and the next run continues from there.
        OSError: if the output cannot be written.
    """
    num_workers = (os.cpu_count() or 1) if num_workers is None else num_workers
    check_positive("num_workers", num_workers)
    shards = find_shards(job)
    localize = load_job_pipeline(job)
    settings = describe_settings(localize, job)
    waiting = find_waiting(shards, settings)
    num_workers = min(num_workers, len(waiting))
    with tracking(job, shards, waiting) as bar:
        if num_workers == 1:
            for shard in waiting:
                localize_shard(localize, shard, job, settings, lambda rows: bar.update(len(rows)))
        else:
            del localize  # the workers have their own
            _run_workers(job, settings, waiting, num_workers, lambda rows: bar.update(len(rows)))
    return summarize_job(shards, waiting)


def summarize_job(shards: Sequence[Shard], written: Sequence[Shard]) -> JobSummary:
    """The summary of a job that wrote some of its shards and found the others finished."""
    num_rows = sum(shard.num_rows for shard in written)
    return JobSummary(len(written), num_rows, len(shards) - len(written))


@contextmanager
def tracking(job: CorpusJob, shards: Sequence[Shard], waiting: Sequence[Shard]) -> Iterator[Any]:
    """A progress bar of rows, shown on a terminal; removes unfinished files at the end."""
    total, left = (sum(shard.num_rows for shard in some) for some in (shards, waiting))
    options: dict[str, Any] = {"unit": " rows", "disable": None, "leave": False}
    try:
        with tqdm(total=total, initial=total - left, **options) as bar:
            yield bar
    finally:
        remove_leftovers(waiting, job.output)


class _Worker:
    """A process that localizes shards, with its current shard and rows."""

    def __init__(self, job: CorpusJob, settings: dict[str, Any]) -> None:
        context = get_context("spawn")  # a forked process may hang in torch
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, job, settings), daemon=True)
        self.process.start()
        theirs.close()  # so that the connection ends with the process
        self.shard: Shard | None = None
        self.rows: Sequence[int] = ()

    def take(self, shards: deque[Shard]) -> bool:
        """Send the next shard; without one, returns False and the process ends."""
        self.rows = ()
        self.shard = shards.popleft() if shards else None
        try:
            self.connection.send(self.shard)
        except OSError as error:
            raise self.describe_death() from error
        return self.shard is not None

    def receive(self) -> tuple[str, Any]:
        """The next message: its kind and content.

        Raises:
            ValueError: if the process has died; the message names its shard and rows.
        """
        try:
            message: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self.describe_death() from error
        return message

    def describe_death(self) -> ValueError:
        """The error for a process that has died."""
        self.process.join()
        code = self.process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        where = name_rows(self.rows) if self.rows else "The model or the first rows"
        name = f" of {self.shard.source}" if self.shard else ""
        return ValueError(
            f"{where}{name}: the worker died {how}; if memory ran out, lower `batch_size`, "
            "`rows_per_group` or `num_workers`. Start again: finished shards are kept."
        )

    def end(self) -> None:
        """Terminate the process and wait for its end."""
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
        while len(workers) < num_workers:  # if one cannot start, the others are ended below
            workers.append(_Worker(job, settings))
        busy = {worker.connection: worker for worker in workers if worker.take(shards)}
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker = busy[connection]
                kind, content = worker.receive()
                if kind == FAILED:
                    raise content
                if kind == READING:
                    worker.rows = content
                    report(content)
                elif not worker.take(shards):
                    del busy[connection]
    finally:
        for worker in workers:
            worker.end()


def _work(connection: Connection, job: CorpusJob, settings: dict[str, Any]) -> None:
    """The main loop of a worker, until it gets `None` or the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    torch.set_num_threads(1)
    localize = load_job_pipeline(job)
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
        except (OSError, ValueError) as error:
            connection.send((FAILED, error))
            return
        connection.send((DONE, None))
