"""What the answers of a corpus depend on, and their columns."""

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


def load_pipeline(job: CorpusJob) -> LocalizationPipeline:
    """The pipeline of a job, without progress bars of its own."""
    register()
    disable_progress_bar()
    # The stubs of transformers list its own tasks only.
    made = pipeline(job.task, model=job.model, **job.options)  # type: ignore[call-overload]
    localize: LocalizationPipeline = made
    return localize


def describe_settings(localize: LocalizationPipeline, job: CorpusJob) -> dict[str, Any]:
    """What answers depend on, ready for JSON: models by hashes, options with their defaults.

    Number and size of batches, processes and device are left out: they change rounding only.

    Args:
        localize: The pipeline of the job, just loaded: a tokenizer that was used may differ.
        job: The job.

    Raises:
        ValueError: if two columns of the output would have one name.
    """
    part = "tokenizer" if job.task == TEXT_TASK else "processor"
    parts = {"model": localize.localizer, "classifier": localize.reader}
    hashes = {
        name: one and _hash_model(one.model, getattr(one, part)) for name, one in parts.items()
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
    """A hash of weights, settings, labels and what makes the input."""
    fields = model.config.to_dict()
    told = [fields.get(name) for name in ("id2label", "problem_type", "reading_scales")]
    if hasattr(processor, "to_json_string"):
        made_by = processor.to_json_string()
    else:
        made_by = processor.backend_tokenizer.to_str()
    whole = json.dumps([fingerprint(model), told, made_by], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def make_schema(job: CorpusJob, has_classifier: bool) -> pa.Schema:
    """The columns of an answer: those of the pipeline but for `cost`, without prefix."""
    of_text = job.task == TEXT_TASK
    shown = ("spans", pa.list_(_SPAN)) if of_text else ("patches", pa.list_(_PATCH))
    fields = [("label", pa.string()), ("score", pa.float64()), shown, ("coverage", pa.float64())]
    if has_classifier:
        read = [*_READ, ("text", pa.string())] if of_text else _READ
        fields.append(("classifier", pa.struct(read)))
    return pa.schema(fields)


def name_answers(job: CorpusJob, has_classifier: bool) -> list[str]:
    """Names of the answer's columns in the output.

    Raises:
        ValueError: if one that is carried along has such a name.
    """
    names = [job.answer_prefix + name for name in make_schema(job, has_classifier).names]
    clash = sorted(set(names) & set(job.columns))
    if clash:
        raise ValueError(
            f"`columns` must not have names of the answer's columns {names}, got {clash}; set "
            "`answer_prefix`, for example to 'found_'."
        )
    return names
