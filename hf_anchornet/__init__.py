"""AnchorNet: classifiers that show their evidence and cost less to run.

Importing the package makes its models and pipelines known to transformers. That loads torch and
transformers, for the command line's `--help` too: transformers has no way to register by name.
"""

from .cascade_anchornet import Cascade
from .configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from .export_anchornet import export_onnx
from .hub import (
    DEFAULT_IMAGE_CLASSIFIER,
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_CLASSIFIER,
    DEFAULT_TEXT_LOCALIZER,
    SAMPLE_IMAGE,
    SAMPLE_REVIEW,
    register,
)
from .image_processing_anchornet import AnchorNetImageProcessor
from .modeling_anchornet_image import AnchorNetForImageClassification, AnchorNetImageModel
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification, AnchorNetTextModel
from .patch_reader_anchornet import PatchReader
from .pipeline_anchornet_image import PatchLocalizationPipeline
from .pipeline_anchornet_text import SpanLocalizationPipeline
from .span_reader_anchornet import SpanReader
from .version import __version__
from .visualization_image import PatchView
from .visualization_text import SpanView

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
