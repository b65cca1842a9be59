"""The pipeline of a corpus job, the settings that determine its answers, and their columns."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from transformers import pipeline
from transformers.utils.logging import disable_progress_bar

from hf_anchornet.model.export_onnx import fingerprint
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import register

from .job import TEXT_TASK, CorpusJob

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
        ValueError: if two columns of the output would have the same name.
    """
    part = "tokenizer" if job.task == TEXT_TASK else "processor"
    parts = {"model": localize.localizer, "classifier": localize.reader}
    hashes = {
        name: owner and _hash_model(owner.model, getattr(owner, part))
        for name, owner in parts.items()
    }
    cascade = localize.cascade
    return {
        "task": job.task,
        "column": job.column,
        "columns": list(job.columns),
        "answer_columns": name_answers(job, localize.reader is not None),
        **hashes,
        "cascade": None if cascade is None else asdict(cascade.rule),
        "backend": job.options.get("backend", "eager"),
        **asdict(localize._check_options()),
    }


def _hash_model(model: Any, processor: Any) -> str:
    """A hash of weights, settings, labels and preprocessing."""
    fields = model.config.to_dict()
    chosen = [fields.get(name) for name in ("id2label", "problem_type", "reading_scales")]
    if hasattr(processor, "to_json_string"):
        preprocessing = processor.to_json_string()
    else:
        preprocessing = processor.backend_tokenizer.to_str()
    content = json.dumps([fingerprint(model), chosen, preprocessing], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def make_schema(job: CorpusJob, has_classifier: bool) -> pa.Schema:
    """The columns of an answer, without prefix: the pipeline's, except `cost`."""
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
