"""What makes transformers know this package: Auto classes, pipelines, the shipped defaults."""

from pathlib import Path

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_anchornet import AnchorNetTextConfig
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification, AnchorNetTextModel
from .pipeline_anchornet_text import SpanLocalizationPipeline

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
        # `Pipeline.save_pretrained` writes this into config.json: without paths of this machine.
        impl = PIPELINE_REGISTRY.supported_tasks["span-localization"]
        published = {key: value for key, value in impl.items() if key != "default"}
        registered = {"span-localization": published}
        SpanLocalizationPipeline._registered_impl = registered  # type: ignore[attr-defined]


def save_half(source: str, target: str | Path) -> None:
    """Copy a text classifier and its tokenizer with float16 weights that load as float32.

    Half the size on disk; a float16 model would be slow on a processor. The weights are rounded
    once (relative error 5e-4).

    Args:
        source: Hub id or folder.
        target: Folder to write.
    """
    model = AutoModelForSequenceClassification.from_pretrained(source).half()
    model.save_pretrained(target)
    config = model.config
    config.dtype = "float32"  # what `from_pretrained` loads, whatever the file holds
    config.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)
