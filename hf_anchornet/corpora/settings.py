"""The pipeline of a corpus job, the settings that determine its answers, and their columns."""

from dataclasses import asdict
from typing import Any

import pyarrow as pa
from transformers import pipeline
from transformers.utils.logging import disable_progress_bar

from hf_anchornet.explain.fingerprints import hash_model
from hf_anchornet.model.cascade_rule import GLANCE
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import register

from .job import TEXT_TASK, CorpusJob

WITHOUT_COLUMN = ("explain_answer", "return_coalitions", "return_maps")
"""Options whose results have no column."""

_FOUND = [
    ("label", pa.string()),
    ("evidence", pa.float64()),
    ("share", pa.float64()),
    ("scale", pa.int64()),
]
_SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string()), *_FOUND])
_BOX = pa.struct([(side, pa.int64()) for side in ("xmin", "ymin", "xmax", "ymax")])
_PATCH = pa.struct([("box", _BOX), *_FOUND])
_READ = [("label", pa.string()), ("score", pa.float64()), ("stage", pa.int64())]


def load_job_pipeline(job: CorpusJob) -> LocalizationPipeline:
    """The pipeline of a job, without progress bars."""
    register()
    disable_progress_bar()
    # The type stubs of transformers list its own tasks only.
    localize: LocalizationPipeline = pipeline(  # type: ignore[call-overload]
        job.task, model=job.model, **job.options
    )
    return localize


def describe_settings(localize: LocalizationPipeline, job: CorpusJob) -> dict[str, Any]:
    """The settings that determine the answers, ready for JSON: hashes of models, and all options.

    Batch size, number of processes and device are left out, since they change rounding only. The
    pipeline must be unused: using a tokenizer may change its state.

    Raises:
        ValueError: if two columns of the output would have the same name, or an option asks for
            what has no column.
    """
    options = asdict(localize._check_options())
    for name in WITHOUT_COLUMN:
        if options.get(name):
            raise ValueError(
                f"`{name}` must be False for a corpus, got True; its answers have no column for "
                "that: ask the pipeline for single texts or images."
            )
    part = "tokenizer" if job.task == TEXT_TASK else "processor"
    parts = {"model": localize.localizer, "classifier": localize.reader}
    hashes: dict[str, Any] = {
        name: owner and hash_model(owner.model, getattr(owner, part))
        for name, owner in parts.items()
    }
    cascade = localize.cascade
    if options.get("zoom") == 0:
        del options["zoom"]  # output from before there was this option can be continued
    if cascade is not None and GLANCE in cascade.rule.stages:
        glance: Any = cascade.glance
        hashes["glance"] = [hash_model(glance.model, glance.processor), glance.full_size]
    return {
        "task": job.task,
        "column": job.column,
        "columns": list(job.columns),
        "answer_columns": name_answers(job, localize.reader is not None),
        **hashes,
        "cascade": None if cascade is None else asdict(cascade.rule),
        "backend": job.options.get("backend", "eager"),
        **options,
    }


def make_schema(job: CorpusJob, has_classifier: bool) -> pa.Schema:
    """The columns of an answer, without prefix; `cost`, `shares` and `readings` are left out."""
    of_text = job.task == TEXT_TASK
    shown = ("spans", pa.list_(_SPAN)) if of_text else ("patches", pa.list_(_PATCH))
    fields = [("label", pa.string()), ("score", pa.float64()), shown, ("coverage", pa.float64())]
    if of_text:
        fields.append(("evidence_share", pa.float64()))
    if has_classifier:
        read = [*_READ, ("text", pa.string())] if of_text else _READ
        fields.append(("classifier", pa.struct(read)))
    return pa.schema(fields)


def name_answers(job: CorpusJob, has_classifier: bool) -> list[str]:
    """Names of the answer columns in the output.

    Raises:
        ValueError: if a copied column has one of these names.
    """
    names = [job.answer_prefix + name for name in make_schema(job, has_classifier).names]
    clash = sorted(set(names) & set(job.columns))
    if clash:
        raise ValueError(
            f"`columns` must not have the name of an answer column {names}, got {clash}; set "
            "`answer_prefix`, for example to 'found_'."
        )
    return names
