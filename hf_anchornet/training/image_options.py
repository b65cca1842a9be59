"""Options of the training of an image localizer: architecture, start, and what it learns from."""

from dataclasses import dataclass, field

from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig

DEFAULT = AnchorNetImageConfig()

ARCHITECTURE = (
    "hidden_size",
    "channels",
    "expand_ratios",
    "kernel_sizes",
    "strides",
    "branch_depths",
    "gated",
    "count_exponent",
)
"""Options that a localizer to start from decides."""

OF_TRAINING = (
    "from_localizer",
    "backbone",
    "image_size",
    "teacher",
    "distillation_weight",
    "label_smoothing",
)
"""Options that are no fields of the config."""

SET_ANEW = ("reading_scales", "hidden_dropout_prob", "auxiliary_loss_weight", "evidence_penalty")
"""Options that may differ from those of a localizer to start from."""


@dataclass
class ImageLocalizerOptions:
    """Architecture of an image localizer, and the size of the images it reads.

    Attributes:
        from_localizer: Trained localizer to start from: its trunk, and with the same labels also
            the rest. For other labels, heads start anew. "default" on the command line is the
            shipped one, which knows photos.
        backbone: Pretrained MobileNetV2, EfficientNet or network of the same kind, whose first
            blocks without padding are the trunk to start from; it decides the layers.
        image_size: Shorter side, in pixels, to which whole images are resized for validation and
            use. Larger finds smaller objects and is slower.
        hidden_size: Width of the features from which each branch scores its windows. Larger is
            more accurate and slower.
        channels: Channels after each layer of the trunk.
        expand_ratios: Channels inside each layer, an inverted residual block, as a multiple of
            those before it; the first layer does not use it.
        kernel_sizes: Kernel size of each layer, in pixels of the map that it reads.
        strides: Stride of each layer. A stride of 2 doubles the step of all windows after it.
        branch_depths: Number of layers below each branch; more layers give larger windows. The
            default layers give windows of 31, 63 and 95 px after 4, 6 and 8 layers.
        gated: Let each window scale its evidence by a learned factor in (0, 1), which concentrates
            evidence on fewer windows.
        count_exponent: Power, in [0, 1], of the number of windows by which the sum of their scores
            is divided: 1 for their mean. Smaller dilutes a small object in a large image less.
        reading_scales: Window sizes, in pixels, of the patches that are shown and given to a
            classifier; default: all, or those of the localizer to start from. Small ones lie closer
            on small objects.
        teacher: Image classifier checkpoint of the same labels. The localizer also learns its
            probabilities for the views that it is trained on.
        distillation_weight: Share of the teacher, in [0, 1], in the targets; the rest is the label.
        label_smoothing: Share of the targets, in [0, 1), that is spread evenly over all labels.
        hidden_dropout_prob: Dropout, in [0, 1), before each branch's linear layer.
        auxiliary_loss_weight: Weight of the loss of each branch on its own. Larger makes every
            window size predictive by itself.
        evidence_penalty: Weight of the total absolute evidence. Larger gives sparser evidence.
    """

    from_localizer: str | None = None
    backbone: str | None = None
    image_size: int = 224
    hidden_size: int = DEFAULT.hidden_size
    channels: list[int] = field(default_factory=lambda: list(DEFAULT.channels))
    expand_ratios: list[float] = field(default_factory=lambda: list(DEFAULT.expand_ratios))
    kernel_sizes: list[int] = field(default_factory=lambda: list(DEFAULT.kernel_sizes))
    strides: list[int] = field(default_factory=lambda: list(DEFAULT.strides))
    branch_depths: list[int] = field(default_factory=lambda: list(DEFAULT.branch_depths))
    gated: bool = False
    count_exponent: float = 1.0
    reading_scales: list[int] = field(default_factory=list)
    teacher: str | None = None
    distillation_weight: float = 0.9
    label_smoothing: float = 0.0
    hidden_dropout_prob: float = 0.0
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.0

    def __post_init__(self) -> None:
        """Check what the model's configuration does not."""
        if self.from_localizer is not None and self.backbone is not None:
            raise ValueError(
                f"`backbone` must be None with `from_localizer`, got {self.backbone}; leave out "
                "one of them."
            )
        if not 0 <= self.distillation_weight <= 1:
            raise ValueError(
                f"`distillation_weight` must be in [0, 1], got {self.distillation_weight}."
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be in [0, 1), got {self.label_smoothing}.")
