"""What makes transformers know this package: Auto classes, pipelines, the shipped defaults."""

from pathlib import Path

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_anchornet import AnchorNetTextConfig
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification, AnchorNetTextModel
from .pipeline_anchornet import SpanLocalizationPipeline

_DEFAULT = Path(__file__).parent / "default"
DEFAULT_TEXT_LOCALIZER = _DEFAULT / "text_localizer"
DEFAULT_TEXT_CLASSIFIER = _DEFAULT / "text_classifier"
SAMPLE_REVIEW = _DEFAULT / "sample_review.txt"


def register() -> None:
    """Register the models and pipelines with transformers; a second call changes nothing."""
    AutoConfig.register(AnchorNetTextConfig.model_type, AnchorNetTextConfig, exist_ok=True)
    AutoModel.register(AnchorNetTextConfig, AnchorNetTextModel, exist_ok=True)
    AutoModelForSequenceClassification.register(
        AnchorNetTextConfig, AnchorNetTextForSequenceClassification, exist_ok=True
    )
    if "span-localization" not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(
            "span-localization",
            pipeline_class=SpanLocalizationPipeline,
            pt_model=AutoModelForSequenceClassification,
            default={"model": (str(DEFAULT_TEXT_LOCALIZER), "main")},
            type="text",
        )
