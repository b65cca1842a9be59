"""What makes transformers know this package: Auto classes, pipelines, the shipped defaults."""

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from .image_processing_anchornet import AnchorNetImageProcessor
from .loading_anchornet import load_whole
from .modeling_anchornet_image import AnchorNetForImageClassification, AnchorNetImageModel
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification, AnchorNetTextModel
from .pipeline_anchornet import LocalizationPipeline
from .pipeline_anchornet_image import PatchLocalizationPipeline
from .pipeline_anchornet_text import SpanLocalizationPipeline

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


def find_classes(source: str) -> tuple[Any, Any]:
    """The Auto classes of a classifier and of its processor.

    Args:
        source: Hub id or folder of a text or image classifier.

    Raises:
        ValueError: if `source` holds another kind of model.
    """
    (architecture,) = AutoConfig.from_pretrained(source).architectures or [""]
    kinds: dict[str, tuple[Any, Any]] = {
        "ForSequenceClassification": (AutoModelForSequenceClassification, AutoTokenizer),
        "ForImageClassification": (AutoModelForImageClassification, AutoImageProcessor),
    }
    found = [kind for suffix, kind in kinds.items() if architecture.endswith(suffix)]
    if not found:
        raise ValueError(
            f"`source` must be a text or image classifier, got {architecture or 'no architecture'} "
            f"in {source}; save a model with its head there."
        )
    return found[0]


def save_half(source: str, target: str | Path) -> None:
    """Copy a classifier and its processor with float16 weights that load as float32.

    Half the size on disk; a float16 model would be slow on a processor. The weights are rounded
    once (relative error 5e-4).

    Args:
        source: Hub id or folder of a text or image classifier.
        target: Folder to write.

    Raises:
        ValueError: if `source` holds another kind of model.
    """
    model_class, processor_class = find_classes(source)
    model = load_whole(model_class.from_pretrained, source)[0].half()
    model.save_pretrained(target)
    config = model.config
    config.dtype = "float32"  # what `from_pretrained` loads, whatever the file holds
    config.save_pretrained(target)
    processor_class.from_pretrained(source).save_pretrained(target)
