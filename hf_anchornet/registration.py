"""Registration with transformers, the shipped models, and pipelines of them."""

from os import PathLike
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)
from transformers.pipelines import PIPELINE_REGISTRY, pipeline

from hf_anchornet.model.adapters import is_at_hand
from hf_anchornet.model.cascade_file import CLASSIFIER_FOLDER, find_cascade
from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.loading import check_weights
from hf_anchornet.model.localizer import read_config
from hf_anchornet.model.modeling_anchornet_image import (
    AnchorNetForImageClassification,
    AnchorNetImageModel,
)
from hf_anchornet.model.modeling_anchornet_text import (
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
)
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.model.pipeline_anchornet_image import PatchLocalizationPipeline
from hf_anchornet.model.pipeline_anchornet_text import SpanLocalizationPipeline

_DEFAULT = Path(__file__).resolve().parent / "default"
DEFAULT_IMAGE_LOCALIZER = _DEFAULT / "image_localizer"
DEFAULT_IMAGE_CASCADE = _DEFAULT / "image_cascade"
"""Calibrated stages of the shipped image localizer and EfficientNet-Lite0: a `classifier` for its
pipeline."""
DEFAULT_IMAGE_CLASSIFIER = DEFAULT_IMAGE_CASCADE / CLASSIFIER_FOLDER
"""The EfficientNet-Lite0 of that cascade, which reads patches and whole photos."""
SAMPLE_IMAGE = _DEFAULT / "sample_image.jpg"
DEFAULT_TEXT_LOCALIZER = _DEFAULT / "text_localizer"
DEFAULT_TEXT_CLASSIFIER = _DEFAULT / "text_classifier"
DEFAULT_TEXT_CASCADE = _DEFAULT / "text_cascade"
"""Calibrated stages of the shipped text localizer and MiniLM-L6, stored as low-rank adapters: a
`classifier` for its pipeline. Needs the extra `minilm`."""
SAMPLE_REVIEW = _DEFAULT / "sample_review.txt"

TEXT_TASK, IMAGE_TASK = SpanLocalizationPipeline.task_name, PatchLocalizationPipeline.task_name
TASKS = {"text": TEXT_TASK, "image": IMAGE_TASK}
"""The task of each modality."""
DEFAULTS = {
    TEXT_TASK: (DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER),
    IMAGE_TASK: (DEFAULT_IMAGE_LOCALIZER, DEFAULT_IMAGE_CLASSIFIER),
}
"""The shipped localizer and classifier of each task."""
CASCADES = {TEXT_TASK: DEFAULT_TEXT_CASCADE, IMAGE_TASK: DEFAULT_IMAGE_CASCADE}
"""The shipped cascade of each task."""

MODEL_TYPES = {
    TEXT_TASK: AnchorNetTextConfig.model_type,
    IMAGE_TASK: AnchorNetImageConfig.model_type,
}
INPUTS = {AnchorNetTextConfig.model_type: "texts", AnchorNetImageConfig.model_type: "images"}
"""What the localizers of a type read."""

SHIPPED = "default"
"""Stands for the shipped localizer or classifier of a task."""

OWN = "own"
"""Stands for the classifier of the cascade whose folder is given as a localizer, if it is one."""

ALONE = "none"
"""Stands for no classifier."""


def register() -> None:
    """Register the models and pipelines with transformers; repeated calls change nothing."""
    for config, model, auto_class, classifier in (
        (
            AnchorNetTextConfig,
            AnchorNetTextModel,
            AutoModelForSequenceClassification,
            AnchorNetTextForSequenceClassification,
        ),
        (
            AnchorNetImageConfig,
            AnchorNetImageModel,
            AutoModelForImageClassification,
            AnchorNetForImageClassification,
        ),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, model, exist_ok=True)
        auto_class.register(config, classifier, exist_ok=True)
    AutoImageProcessor.register(
        AnchorNetImageConfig,
        image_processor_classes={"pil": AnchorNetImageProcessor},
        exist_ok=True,
    )
    _register_pipeline(SpanLocalizationPipeline, AutoModelForSequenceClassification, "text")
    _register_pipeline(PatchLocalizationPipeline, AutoModelForImageClassification, "image")


def load_pipeline(
    task: str, localizer: str = SHIPPED, classifier: Any = OWN, **options: Any
) -> LocalizationPipeline:
    """The pipeline of a task.

    Args:
        task: "span-localization" or "patch-localization".
        localizer: Hub id or folder of a localizer or cascade, or "default".
        classifier: Hub id or folder of a classifier or cascade, "default", or the model itself;
            `None` or "none": the localizer answers alone. By default the cascade `localizer`, if it
            is one.
        options: Further options of the pipeline.

    Raises:
        OSError: if a model cannot be found, or has no weights.
        ValueError: if a model is of the wrong kind.
    """
    if task not in DEFAULTS:
        raise ValueError(
            f"`task` must be one of {', '.join(DEFAULTS)}, got {task!r}; leave it out for that of "
            "the model."
        )
    is_said = not _is_named(classifier, OWN)
    localizer, classifier = find_models(task, localizer, classifier)
    kind = read_config(localizer).model_type  # a damaged one is named before `pipeline` fails on it
    if kind in INPUTS and kind != MODEL_TYPES[task]:
        raise ValueError(
            f"`localizer` must be one of {INPUTS[MODEL_TYPES[task]]} for {task}, got {localizer}, "
            f"which is one of {INPUTS[kind]}; give it {INPUTS[kind]} or choose another model."
        )
    check_weights(localizer)
    if is_said or classifier is not None:
        options["classifier"] = classifier
    # The stubs of transformers list its own tasks only.
    loaded: LocalizationPipeline = pipeline(task, model=localizer, **options)  # type: ignore[call-overload]
    return loaded


def find_task(localizer: str, name: str = "localizer") -> str:
    """The task of a localizer by its type.

    Args:
        localizer: Hub id or folder.
        name: What errors call it.

    Raises:
        ValueError: if it is no AnchorNet.
    """
    kind = read_config(localizer).model_type
    for task, model_type in MODEL_TYPES.items():
        if model_type == kind:
            return task
    raise ValueError(
        f'`{name}` must be an AnchorNet, got {localizer!r} of type "{kind}"; pass it as '
        "`classifier` behind a localizer."
    )


def find_shipped(task: str, *models: Any) -> list[Any]:
    """A localizer and perhaps its classifier, with the shipped folders in place of "default"."""
    return [
        str(shipped) if _is_named(model, SHIPPED) else model
        for model, shipped in zip(models, DEFAULTS[task], strict=False)
    ]


def find_models(task: str, localizer: str, classifier: Any = OWN) -> tuple[str, Any]:
    """The localizer and its classifier, `None` if there is none, for names such as "default"."""
    localizer, classifier = find_shipped(task, localizer, classifier)
    if _is_named(classifier, ALONE):
        return localizer, None
    if _is_named(classifier, OWN):
        return localizer, None if find_cascade(localizer) is None else localizer
    return localizer, classifier


def _is_named(model: Any, name: str) -> bool:
    return isinstance(model, str) and model == name


def is_shipped(source: str | PathLike[str]) -> bool:
    """Whether a folder is that of a shipped model, "default" on the command line."""
    return Path(source).resolve().is_relative_to(_DEFAULT)


def find_shipped_cascade(task: str) -> Path | None:
    """The shipped cascade of a task; `None` if its classifier is not installed."""
    cascade = CASCADES[task]
    return cascade if is_at_hand(cascade, CLASSIFIER_FOLDER) else None


def _register_pipeline(
    pipeline_class: type[LocalizationPipeline], auto_class: Any, modality: str
) -> None:
    task = pipeline_class.task_name
    if task in PIPELINE_REGISTRY.supported_tasks:
        return
    PIPELINE_REGISTRY.register_pipeline(
        task,
        pipeline_class=pipeline_class,
        pt_model=auto_class,
        default={"model": (str(DEFAULTS[task][0]), "main")},
        type=modality,
    )
    # `Pipeline.save_pretrained` writes this into config.json, where no local path belongs.
    impl = PIPELINE_REGISTRY.supported_tasks[task]
    published = {key: value for key, value in impl.items() if key != "default"}
    pipeline_class._registered_impl = {task: published}  # type: ignore[attr-defined]
