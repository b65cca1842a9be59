"""AnchorNet: classifiers that show their evidence and cost less to run.

Functions, with the options of the commands of the same names:
    load       the localization pipeline of a model, by default the shipped one
    build      from labelled data, or a classifier, to a measured folder
    train      train a localizer on labelled texts or images
    adapt      train a classifier on what a localizer selects
    calibrate  make a cascade of both that exits early
    evaluate   score models and explainers on a labelled split
    explain_classifier  what parts add to a classifier's answer; report_answer, verify: audits
    publish    upload a model to the Hub, with its code and a card; or export_onnx

Pipelines: SpanLocalizationPipeline, PatchLocalizationPipeline; views: SpanView, PatchView
Classifiers on selected parts: SpanReader, PatchReader, Cascade
Models: AnchorNetTextForSequenceClassification, AnchorNetForImageClassification,
    AnchorNetTextModel, AnchorNetImageModel, their Config classes, AnchorNetImageProcessor
Shipped: DEFAULT_{TEXT,IMAGE}_{LOCALIZER,CLASSIFIER,CASCADE}, SAMPLE_{REVIEW,IMAGE}
Importing the package registers its models and pipelines with transformers.
"""

from traceback import walk_stack

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

from .api import (
    adapt,
    build,
    calibrate,
    evaluate,
    explain_classifier,
    load,
    publish,
    report_answer,
    report_classifier,
    train,
    verify,
)
from .registration import (
    DEFAULT_IMAGE_CASCADE,
    DEFAULT_IMAGE_CLASSIFIER,
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_CASCADE,
    DEFAULT_TEXT_CLASSIFIER,
    DEFAULT_TEXT_LOCALIZER,
    SAMPLE_IMAGE,
    SAMPLE_REVIEW,
    register,
)
from .version import __version__

__all__ = [
    "DEFAULT_IMAGE_CASCADE",
    "DEFAULT_IMAGE_CLASSIFIER",
    "DEFAULT_IMAGE_LOCALIZER",
    "DEFAULT_TEXT_CASCADE",
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
    "adapt",
    "build",
    "calibrate",
    "evaluate",
    "explain_classifier",
    "export_onnx",
    "load",
    "publish",
    "report_answer",
    "report_classifier",
    "train",
    "verify",
]


def __dir__() -> list[str]:
    # `help(hf_anchornet)` is the docstring: pydoc would print every class, 11,000 lines.
    if any(frame.f_globals.get("__name__") == "pydoc" for frame, _ in walk_stack(None)):
        return []
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


register()
