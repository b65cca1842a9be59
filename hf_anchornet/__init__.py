"""AnchorNet: classifiers that show their evidence and cost less to run.

Importing the package makes its models and pipelines known to transformers.
"""

from .configuration_anchornet import AnchorNetTextConfig
from .hub import register
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification, AnchorNetTextModel
from .pipeline_anchornet import SpanLocalizationPipeline
from .version import __version__

register()

__all__ = [
    "AnchorNetTextConfig",
    "AnchorNetTextForSequenceClassification",
    "AnchorNetTextModel",
    "SpanLocalizationPipeline",
    "__version__",
]
