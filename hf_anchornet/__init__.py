"""AnchorNet: classifiers that show their evidence and cost less to run.

Importing the package makes its models and pipelines known to transformers. That loads torch and
transformers, for the command line's `--help` too: transformers has no way to register by name.
"""

from .configuration_anchornet import AnchorNetTextConfig
from .hub import DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER, SAMPLE_REVIEW, register
from .modeling_anchornet_text import AnchorNetTextForSequenceClassification, AnchorNetTextModel
from .pipeline_anchornet_text import SpanLocalizationPipeline
from .span_reader_anchornet import SpanReader
from .version import __version__

register()

__all__ = [
    "DEFAULT_TEXT_CLASSIFIER",
    "DEFAULT_TEXT_LOCALIZER",
    "SAMPLE_REVIEW",
    "AnchorNetTextConfig",
    "AnchorNetTextForSequenceClassification",
    "AnchorNetTextModel",
    "SpanLocalizationPipeline",
    "SpanReader",
    "__version__",
]
