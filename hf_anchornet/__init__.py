"""AnchorNet: classifiers that show their evidence and cost less to run.

Importing the package makes its models and pipelines known to transformers. That loads torch and
transformers, for the command line's `--help` too: transformers has no way to register by name.
"""

from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from hf_anchornet.model.export_onnx import export_onnx
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.image_reader import PatchReader
from hf_anchornet.model.modeling_anchornet_image import (
    AnchorNetForImageClassification,
    AnchorNetImageModel,
)
from hf_anchornet.model.modeling_anchornet_text import (
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
)
from hf_anchornet.model.pipeline_anchornet_image import PatchLocalizationPipeline
from hf_anchornet.model.pipeline_anchornet_text import SpanLocalizationPipeline
from hf_anchornet.model.text_reader import SpanReader
from hf_anchornet.views.image_view import PatchView
from hf_anchornet.views.text_view import SpanView

from .registration import (
    DEFAULT_IMAGE_CLASSIFIER,
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_CLASSIFIER,
    DEFAULT_TEXT_LOCALIZER,
    SAMPLE_IMAGE,
    SAMPLE_REVIEW,
    register,
)
from .version import __version__

register()

__all__ = [
    "DEFAULT_IMAGE_CLASSIFIER",
    "DEFAULT_IMAGE_LOCALIZER",
    "DEFAULT_TEXT_CLASSIFIER",
    "DEFAULT_TEXT_LOCALIZER",
    "SAMPLE_IMAGE",
    "SAMPLE_REVIEW",
    "AnchorNetForImageClassification",
    "AnchorNetImageConfig",
    "AnchorNetImageModel",
    "AnchorNetImageProcessor",
    "AnchorNetTextConfig",
    "AnchorNetTextForSequenceClassification",
    "AnchorNetTextModel",
    "Cascade",
    "PatchLocalizationPipeline",
    "PatchReader",
    "PatchView",
    "SpanLocalizationPipeline",
    "SpanReader",
    "SpanView",
    "__version__",
    "export_onnx",
]
