"""Train an image localizer: from a data source and options to a folder that pipelines load."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, cast

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.images import (
    LabelledImages,
    collate_images,
    load_labelled_images,
    make_training_images,
    make_whole_images,
    read_boxes,
)
from hf_anchornet.data.splits import DataOptions, label_fields
from hf_anchornet.evaluation.image_localization import measure_pointing
from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from hf_anchornet.publish.training_card import document_training

from .batches import EpochOrder, make_batches
from .image_streams import find_image_labels, make_image_batch
from .options import TrainingOptions
from .stream_sources import load_validation, make_stream_loader, open_training_stream
from .streams import StreamLoader
from .training import make_accelerator, train_on_batches

DEFAULT = AnchorNetImageConfig()


@dataclass
class ImageLocalizerOptions:
    """What an image localizer looks like and how it sees whole images.

    Attributes:
        image_size: Pixels of the shorter side of whole images, after training.
        hidden_size: Width of the features that each branch classifies.
        channels: Channels after each layer.
        expand_ratios: Expansion of each layer.
        kernel_sizes: Kernel size of each layer.
        strides: Stride of each layer.
        branch_depths: Depth in the trunk of each branch.
        hidden_dropout_prob: Dropout before each branch's linear map.
        auxiliary_loss_weight: Weight of the branches' own losses.
        evidence_penalty: Weight of the total absolute evidence.
    """

    image_size: int = 224
    hidden_size: int = DEFAULT.hidden_size
    channels: list[int] = field(default_factory=lambda: list(DEFAULT.channels))
    expand_ratios: list[float] = field(default_factory=lambda: list(DEFAULT.expand_ratios))
    kernel_sizes: list[int] = field(default_factory=lambda: list(DEFAULT.kernel_sizes))
    strides: list[int] = field(default_factory=lambda: list(DEFAULT.strides))
    branch_depths: list[int] = field(default_factory=lambda: list(DEFAULT.branch_depths))
    hidden_dropout_prob: float = 0.0
    auxiliary_loss_weight: float = 0.3
    evidence_penalty: float = 0.0


def train_image_localizer(
    data: DataOptions,
    localizer: ImageLocalizerOptions,
    augmentation: AugmentationOptions,
    options: TrainingOptions,
) -> dict[str, Any]:
    """Train a localizer and save the best checkpoint with its image processor in `output_dir`.

    Returns:
        The report of `training.train`, also written to `training.json`.

    Raises:
        ValueError: if a step would see less than the largest window, or boxes are to decide and
            there is none.
    """
    accelerator = make_accelerator(options)
    processor = AnchorNetImageProcessor(size={"shortest_edge": localizer.image_size})
    with accelerator.main_process_first():
        open_images = _open_stream if data.streaming else _open_rows
        learned = open_images(data, processor, augmentation, options, accelerator)
    validation_rows, labels = learned.validation_rows, learned.labels
    validation_set = make_whole_images(validation_rows, processor, data, labels)
    model = make_image_localizer(localizer, labels, learned.multi_label)
    _check_sides(
        model.windows[-1].size, crop_size=augmentation.crop_size, image_size=localizer.image_size
    )

    def point(trained: PreTrainedModel) -> dict[str, float]:
        """Every process alike: what it takes is little next to an epoch."""
        return {"pointing": measure_pointing(trained, processor, validation_rows, data)}

    pointing = options.metric_for_best_model == "pointing"
    if pointing:
        read_boxes(validation_rows, data.boxes_column)
    report = train_on_batches(
        model,
        processor,
        learned.loader,
        make_image_loader(validation_set, processor, options),
        options,
        accelerator,
        point if pointing else None,
        asdict(data) | asdict(localizer) | asdict(augmentation),
    )
    return document_training(report, data, learned.rows, accelerator)


@dataclass
class _Learned:
    """What is learned from, and what the best epoch is chosen on."""

    rows: Dataset | StreamLoader
    loader: DataLoader[Any] | StreamLoader
    validation_rows: Dataset
    labels: list[str]
    multi_label: bool


def _open_rows(
    data: DataOptions,
    processor: AnchorNetImageProcessor,
    augmentation: AugmentationOptions,
    options: TrainingOptions,
    accelerator: Accelerator,
) -> _Learned:
    rows, validation_rows, labels = load_labelled_images(data)
    images = make_training_images(rows, processor, data, labels, augmentation)
    loader = make_image_loader(images, processor, options, shuffle=True)
    return _Learned(rows, loader, validation_rows, labels, isinstance(images.targets[0], list))


def _open_stream(
    data: DataOptions,
    processor: AnchorNetImageProcessor,
    augmentation: AugmentationOptions,
    options: TrainingOptions,
    accelerator: Accelerator,
) -> _Learned:
    rows = open_training_stream(data, data.image_column)
    labels, multi_label = find_image_labels(rows, data, options.seed)
    make_batch = make_image_batch(rows, processor, data, labels, augmentation)
    loader = make_stream_loader(data, rows, make_batch, options, accelerator)
    return _Learned(loader, loader, load_validation(data, data.image_column), labels, multi_label)


def _check_sides(largest: int, **sides: int) -> None:
    for name, side in sides.items():
        if side < largest:
            raise ValueError(
                f"`{name}` must be at least the largest window, {largest} px, got {side}; raise it "
                "or lower `branch_depths`."
            )


def make_image_localizer(
    localizer: ImageLocalizerOptions, labels: Sequence[str], multi_label: bool
) -> AnchorNetForImageClassification:
    """A fresh localizer, its weights with the channels last in memory."""
    problem_type: Literal["single_label_classification", "multi_label_classification"]
    problem_type = "multi_label_classification" if multi_label else "single_label_classification"
    config = AnchorNetImageConfig(
        hidden_size=localizer.hidden_size,
        channels=localizer.channels,
        expand_ratios=list(localizer.expand_ratios),
        kernel_sizes=localizer.kernel_sizes,
        strides=localizer.strides,
        branch_depths=localizer.branch_depths,
        hidden_dropout_prob=localizer.hidden_dropout_prob,
        auxiliary_loss_weight=localizer.auxiliary_loss_weight,
        evidence_penalty=localizer.evidence_penalty,
        problem_type=problem_type,
        **label_fields(labels),
    )
    model: Any = AnchorNetForImageClassification(config)
    model.to(memory_format=torch.channels_last)
    return cast(AnchorNetForImageClassification, model)


def make_image_loader(
    images: LabelledImages,
    processor: AnchorNetImageProcessor,
    options: TrainingOptions,
    shuffle: bool = False,
) -> DataLoader[Any]:
    """Batches of images, decoded and prepared by `options.num_workers` processes."""
    collate = partial(collate_images, processor)
    if shuffle:
        order = EpochOrder(len(images), options.seed)
        return make_batches(images, collate, options.batch_size, order, options.num_workers)
    return DataLoader(
        images,
        batch_size=options.batch_size,
        collate_fn=collate,
        num_workers=options.num_workers,
        persistent_workers=options.num_workers > 0,
        generator=torch.Generator().manual_seed(options.seed),
    )
