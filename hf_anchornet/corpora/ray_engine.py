"""A corpus on Ray: the same job as on one machine, on the machines of a cluster.

Each shard is one row of a Ray data set, mapped by an actor that writes the shard's answers: Ray
starts a task anew when its actor or machine dies, and a shard is there as a whole or not at all.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from .answers import localize_shard
from .job import CorpusJob, Shard, check_positive, find_shards, find_waiting
from .processes import JobSummary, cleaning_up, show_rows, summarize
from .settings import describe_settings, load_pipeline


class ShardLocalizer:
    """Localizes the shards of a batch of rows; Ray makes one in each of its actors.

    Args:
        job: The job.
        settings: See `describe_settings`; a machine with another model is found out by it.

    Raises:
        ValueError: if this machine would answer by other settings.
    """

    def __init__(self, job: CorpusJob, settings: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        self.job, self.settings = job, settings
        self.localize = load_pipeline(job)
        found = describe_settings(self.localize, job)
        differing = sorted(key for key in settings if found.get(key) != settings[key])
        if differing:
            raise ValueError(
                f"`model` and `options` must be the same on every machine, got another {differing} "
                "on one; give the nodes the same files, or name a Hub id and revision."
            )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The rows written of each shard and what went wrong, an empty string if nothing did."""
        fields = zip(*(batch[name].tolist() for name in Shard.__annotations__), strict=True)
        shards = [Shard(*values) for values in fields]
        errors = [self._write(shard) for shard in shards]
        return {"num_rows": [shard.num_rows for shard in shards], "error": errors}

    def _write(self, shard: Shard) -> str:
        """Localize one shard, unless a task that was thought dead has done so."""
        try:
            if find_waiting([shard], self.settings):
                localize_shard(self.localize, shard, self.job, self.settings, lambda rows: None)
        except ValueError as error:  # wrong input: to try again changes nothing
            return str(error)
        return ""


def localize_on_ray(job: CorpusJob, num_workers: int | None = None) -> JobSummary:
    """Write the answers of every shard that has none yet, on the Ray cluster at hand.

    Files and models must be found under the same names on every machine of it. Without one
    (`ray.init`, `RAY_ADDRESS`) Ray starts one here.

    Args:
        job: What to do.
        num_workers: Actors, each with one processor and one shard at a time; default: as many as
            the cluster has processors.

    Raises:
        ImportError: if the extra `ray` is not installed.
        ValueError: as from `localize_corpus`.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            f'Ray is needed ({error}); install it with `pip install "hf-anchornet[ray]"`.'
        ) from error
    check_positive("num_workers", 1 if num_workers is None else num_workers)
    shards = find_shards(job)
    settings = describe_settings(load_pipeline(job), job)
    waiting = find_waiting(shards, settings)
    summary = summarize(shards, waiting)
    if not waiting:
        return summary
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    num_workers = num_workers or int(ray.cluster_resources().get("CPU", 1))
    rows = [asdict(shard) for shard in waiting]
    # A block a shard: what is started anew is one shard, and each goes to the actor that is free.
    corpus = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        ShardLocalizer,
        fn_constructor_args=(job, settings),
        compute=ray.data.ActorPoolStrategy(
            size=min(num_workers, len(rows)), max_tasks_in_flight_per_actor=1
        ),
        batch_size=1,
        num_cpus=1,
    )
    with cleaning_up(job, waiting), show_rows(shards, summary) as bar:
        for told in corpus.iter_rows():
            if told["error"]:
                raise ValueError(told["error"])
            bar.update(told["num_rows"])
    return summary
