"""Corpus jobs on a Ray cluster.

Each shard is one row of a Ray data set, and an actor writes its answers. Ray restarts a task when
its actor or machine dies, and an output shard is always complete.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from hf_anchornet.model.limits import check_positive

from .answers import localize_shard
from .job import CorpusJob, Shard, find_shards, find_waiting
from .processes import JobSummary, summarize_job, tracking
from .settings import describe_settings, load_job_pipeline


class ShardLocalizer:
    """The state of a Ray actor; it localizes the shards of a batch of rows.

    Args:
        job: The job.
        settings: See `describe_settings`; they reveal a machine with another model.

    Raises:
        ValueError: if the settings on this machine differ.
    """

    def __init__(self, job: CorpusJob, settings: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        self.job, self.settings = job, settings
        self.localize = load_job_pipeline(job)
        found = describe_settings(self.localize, job)
        differing = sorted(key for key in settings if found.get(key) != settings[key])
        if differing:
            raise ValueError(
                f"`model` and `options` must be the same on every machine, got another {differing} "
                "on one; give the nodes the same files, or use a Hub id and revision."
            )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The number of rows of each shard, and its error message or ""."""
        fields = zip(*(batch[name].tolist() for name in Shard.__annotations__), strict=True)
        shards = [Shard(*values) for values in fields]
        errors = [self._write(shard) for shard in shards]
        return {"num_rows": [shard.num_rows for shard in shards], "error": errors}

    def _write(self, shard: Shard) -> str:
        """Localize one shard, unless an earlier attempt has finished it; gives the error or ""."""
        try:
            if find_waiting([shard], self.settings):
                localize_shard(self.localize, shard, self.job, self.settings, lambda rows: None)
        except (OSError, ValueError) as error:  # a retry would fail too
            return str(error)
        return ""


def localize_on_ray(job: CorpusJob, num_workers: int | None = None) -> JobSummary:
    """Write the answers of all unfinished shards, on a Ray cluster.

    Files and models must have the same names on every machine of the cluster. Without a cluster
    (`ray.init`, `RAY_ADDRESS`), Ray starts one on this machine.

    Args:
        job: The job.
        num_workers: Number of actors, each with one CPU and one shard at a time; default: the
            number of CPUs of the cluster.

    Raises:
        ImportError: if the extra `ray` is not installed.
        ValueError: see `localize_corpus`.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            f'Ray is needed ({error}); install it with `pip install "hf-anchornet[ray]"`.'
        ) from error
    check_positive("num_workers", 1 if num_workers is None else num_workers)
    shards = find_shards(job)
    settings = describe_settings(load_job_pipeline(job), job)
    waiting = find_waiting(shards, settings)
    summary = summarize_job(shards, waiting)
    if not waiting:
        return summary
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    num_workers = num_workers or int(ray.cluster_resources().get("CPU", 1))
    rows = [asdict(shard) for shard in waiting]
    # One shard per block: a restart repeats one shard, and each goes to the next free actor.
    corpus = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        ShardLocalizer,
        fn_constructor_args=(job, settings),
        compute=ray.data.ActorPoolStrategy(
            size=min(num_workers, len(rows)), max_tasks_in_flight_per_actor=1
        ),
        batch_size=1,
        num_cpus=1,
    )
    with tracking(job, shards, waiting) as bar:
        for row in corpus.iter_rows():
            if row["error"]:
                raise ValueError(row["error"])
            bar.update(row["num_rows"])
    return summary
