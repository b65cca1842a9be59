"""Training of an image localizer, from a data source and options to a folder pipelines load."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

import torch
from accelerate import Accelerator
from datasets import Dataset, IterableDataset
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.boxes import read_boxes
from hf_anchornet.data.images import (
    collate_images,
    make_training_images,
    make_whole_images,
)
from hf_anchornet.data.splits import (
    DataOptions,
    is_multi_label,
    label_fields,
    load_labelled_rows,
)
from hf_anchornet.evaluation.image_localization import measure_pointing
from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.loading import load_processor
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from hf_anchornet.publishing.training_card import document_training

from .backbone import Backbone
from .batches import make_image_loader
from .command import write_command
from .defaults import choose_defaults, complete_options
from .fit import fit_model, make_accelerator, preparing_data
from .image_distillation import ImageTeacher, SoftTargets
from .image_options import ARCHITECTURE, OF_TRAINING, SET_ANEW, ImageLocalizerOptions
from .options import TrainingOptions
from .output_folder import holding_folder
from .start import Start
from .stream_sources import (
    find_image_labels,
    load_validation,
    make_image_batch,
    make_stream_loader,
    open_training_stream,
)
from .streams import StreamLoader


def train_image_localizer(
    data: DataOptions,
    localizer: ImageLocalizerOptions,
    augmentation: AugmentationOptions,
    options: TrainingOptions,
) -> dict[str, Any]:
    """The report of a training that saves the best image localizer in `output_dir`.

    Returns:
        The report of `run_training` with a description of the data, as in `training.json`.

    Raises:
        ValueError: if crops or images are smaller than the largest window, or the best epoch is to
            be chosen by boxes and there are none.
    """
    accelerator = make_accelerator(options)
    with holding_folder(options.output_dir, accelerator):
        return _train(data, localizer, augmentation, options, accelerator)


def _train(
    data: DataOptions,
    localizer: ImageLocalizerOptions,
    augmentation: AugmentationOptions,
    given: TrainingOptions,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """See `train_image_localizer`."""
    localizer, start = _open_start(localizer)
    processor = _make_processor(localizer, start)
    collate, workers = partial(collate_images, processor), given.num_workers
    loader: DataLoader[Any] | StreamLoader
    with preparing_data(accelerator):
        rows, validation_rows, labels = _open_rows(data, given)
        num_rows = len(rows) if isinstance(rows, Dataset) else None
        options = complete_options(given, choose_defaults(num_rows, "image"))
        if isinstance(start, Start):
            labels = start.order_labels(labels)
        if isinstance(rows, Dataset):
            images = make_training_images(rows, processor, data, labels, augmentation)
            size, seed = options.batch_size, options.seed
            targets = images.targets if options.balance else None
            loader = make_image_loader(images, collate, size, seed, workers, targets)
        else:
            make_batch = make_image_batch(rows, processor, data, labels, augmentation)
            loader = make_stream_loader(data, rows, make_batch, options, accelerator)
    validation_set = make_whole_images(validation_rows, processor, data, labels)
    multi_label = is_multi_label(rows, data.label_column)
    model = _make_model(localizer, labels, multi_label, start)
    _check_sides(
        model.windows[-1].size, crop_size=augmentation.crop_size, image_size=localizer.image_size
    )

    _attach_targets(model, localizer, processor, labels, accelerator)

    def point(trained: PreTrainedModel) -> dict[str, float]:
        # Every process measures the same: it is quick next to an epoch.
        return {"pointing": measure_pointing(trained, processor, validation_rows, data)}

    pointing = options.metric_for_best_model == "pointing"
    if pointing:
        read_boxes(validation_rows, data.boxes_column, data.image_column)
    report = fit_model(
        model,
        processor,
        loader,
        make_image_loader(validation_set, collate, options.batch_size, num_workers=workers),
        options,
        accelerator,
        point if pointing else None,
        asdict(data) | asdict(localizer) | asdict(augmentation),
    )
    learned = loader if isinstance(loader, StreamLoader) else rows
    side = augmentation.crop_size
    seen = f"the whole image, its shorter side resized to {localizer.image_size} px"
    if not augmentation.keep_whole:
        seen = f"in training a random square crop, resized to {side} px; otherwise {seen}"
    elif side != localizer.image_size:
        seen = f"{seen}, in training to {side} px"
    kinds = DataOptions, ImageLocalizerOptions, AugmentationOptions, TrainingOptions
    report["command"] = write_command("train", kinds, report["options"])
    return document_training(report, data, learned, accelerator, seen, validation_rows)


def _attach_targets(
    model: AnchorNetForImageClassification,
    localizer: ImageLocalizerOptions,
    processor: AnchorNetImageProcessor,
    labels: list[str],
    accelerator: Accelerator,
) -> None:
    """Let the model learn softer targets than its labels, if it should."""
    teacher = None
    if localizer.teacher is not None:
        teacher = ImageTeacher.load(localizer.teacher, labels, processor, accelerator)
    if teacher is not None or localizer.label_smoothing > 0:
        smoothing, weight = localizer.label_smoothing, localizer.distillation_weight
        SoftTargets(len(labels), smoothing, teacher, weight).attach(model)


def _open_start(
    localizer: ImageLocalizerOptions,
) -> tuple[ImageLocalizerOptions, Start | Backbone | None]:
    """The options with what is started from, if anything, deciding the architecture; and that."""
    if localizer.backbone is not None:
        backbone = Backbone.open(localizer.backbone)
        return backbone.choose_architecture(localizer), backbone
    start = Start.open(localizer.from_localizer, AnchorNetImageConfig.model_type)
    if start is not None:
        fields = start.choose_architecture(localizer, ARCHITECTURE)
        scales = localizer.reading_scales or start.config.reading_scales
        localizer = replace(localizer, **fields, reading_scales=scales)
    return localizer, start


def _make_processor(
    localizer: ImageLocalizerOptions, start: Start | Backbone | None
) -> AnchorNetImageProcessor:
    """A new image processor, or that of what is started from at another image size."""
    size = {"shortest_edge": localizer.image_size}
    if isinstance(start, Backbone):
        mean, std = start.image_mean, start.image_std
        return AnchorNetImageProcessor(size=size, image_mean=mean, image_std=std)
    if start is None:
        return AnchorNetImageProcessor(size=size)
    load = AnchorNetImageProcessor.from_pretrained
    return cast(AnchorNetImageProcessor, load_processor(load, start.source, size=size))


def _make_model(
    localizer: ImageLocalizerOptions,
    labels: Sequence[str],
    multi_label: bool,
    start: Start | Backbone | None,
) -> AnchorNetForImageClassification:
    """A new localizer, with the trunk of `start`, or that one itself if it has the same labels."""
    if isinstance(start, Start) and start.knows(labels, multi_label):
        fields = {name: getattr(localizer, name) for name in SET_ANEW}
        return _put_channels_last(start.load(AnchorNetForImageClassification, **fields))
    fixed = {} if start is None else start.list_fields(localizer)
    model = make_image_localizer(localizer, labels, multi_label, **fixed)
    if start is not None:
        start.give_trunk(model)
    return model


def _open_rows(
    data: DataOptions, options: TrainingOptions
) -> tuple[Dataset | IterableDataset, Dataset, list[str]]:
    """Training rows, the validation split, and the labels of the former."""
    if not data.streaming:
        return load_labelled_rows(data, data.image_column)
    rows = open_training_stream(data, data.image_column, options.balance)
    labels = find_image_labels(rows, data, options.seed)
    return rows, load_validation(data, data.image_column), labels


def _check_sides(largest: int, **sides: int) -> None:
    for name, side in sides.items():
        if side < largest:
            raise ValueError(
                f"`{name}` must be at least the largest window, {largest} px, got {side}; raise it "
                "or lower `branch_depths`."
            )


def make_image_localizer(
    localizer: ImageLocalizerOptions, labels: Sequence[str], multi_label: bool, **fixed: Any
) -> AnchorNetForImageClassification:
    """A new localizer whose weights have the channels last in memory; `fixed`: further fields."""
    fields = {name: value for name, value in asdict(localizer).items() if name not in OF_TRAINING}
    config = AnchorNetImageConfig(**fields, **fixed, **label_fields(labels, multi_label))
    return _put_channels_last(AnchorNetForImageClassification(config))


def _put_channels_last(model: Any) -> AnchorNetForImageClassification:
    """The same model, its weights with the channels last in memory."""
    model.to(memory_format=torch.channels_last)
    return cast(AnchorNetForImageClassification, model)
