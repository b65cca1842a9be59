"""What makes transformers know this package: Auto classes, pipelines, the shipped defaults."""

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)
from transformers.pipelines import PIPELINE_REGISTRY

from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
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

_DEFAULT = Path(__file__).parent / "default"
DEFAULT_IMAGE_LOCALIZER = _DEFAULT / "image_localizer"
DEFAULT_IMAGE_CLASSIFIER = _DEFAULT / "image_classifier"
SAMPLE_IMAGE = _DEFAULT / "sample_image.jpg"
DEFAULT_TEXT_LOCALIZER = _DEFAULT / "text_localizer"
DEFAULT_TEXT_CLASSIFIER = _DEFAULT / "text_classifier"
SAMPLE_REVIEW = _DEFAULT / "sample_review.txt"
DEFAULTS = {
    "span-localization": (DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER),
    "patch-localization": (DEFAULT_IMAGE_LOCALIZER, DEFAULT_IMAGE_CLASSIFIER),
}
"""The shipped localizer and classifier of each task."""


def register() -> None:
    """Register the models and pipelines with transformers; a second call changes nothing."""
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
    _register_pipeline(
        SpanLocalizationPipeline, AutoModelForSequenceClassification, DEFAULT_TEXT_LOCALIZER, "text"
    )
    _register_pipeline(
        PatchLocalizationPipeline,
        AutoModelForImageClassification,
        DEFAULT_IMAGE_LOCALIZER,
        "image",
    )


def _register_pipeline(
    pipeline_class: type[LocalizationPipeline], auto_class: Any, default: Path, modality: str
) -> None:
    task = pipeline_class.task_name
    if task in PIPELINE_REGISTRY.supported_tasks:
        return
    PIPELINE_REGISTRY.register_pipeline(
        task,
        pipeline_class=pipeline_class,
        pt_model=auto_class,
        default={"model": (str(default), "main")},
        type=modality,
    )
    # `Pipeline.save_pretrained` writes this into config.json: without paths of this machine.
    impl = PIPELINE_REGISTRY.supported_tasks[task]
    published = {key: value for key, value in impl.items() if key != "default"}
    pipeline_class._registered_impl = {task: published}  # type: ignore[attr-defined]
