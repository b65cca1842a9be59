"""Training of an image classifier on what it will read: patches, a control, or the full image."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from accelerate import Accelerator
from torch.utils.data import Subset
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessorPil,
)

from hf_anchornet.data.splits import DataOptions, label_fields, load_labelled_rows
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.loading import load_processor, load_whole
from hf_anchornet.publishing.training_card import document_training

from .batches import make_image_loader
from .command import write_command
from .defaults import complete_options
from .fit import check_localizer_labels, fit_model, make_accelerator, preparing_data
from .image_readings import (
    FULL_SIDE,
    PATCH_SIDE,
    ImageClassifierOptions,
    collate_readings,
    cut,
    cut_loosely,
    find_side,
    make_readings,
)
from .options import TrainingOptions
from .output_folder import holding_folder
from .pretrained import choose_image_defaults


def make_image_classifier(
    options: ImageClassifierOptions, labels: Sequence[str]
) -> tuple[PreTrainedModel, Any]:
    """The classifier to train, an existing checkpoint or a new small ResNet, and its processor.

    A classifier of the same labels keeps their order. One of others, such as those of ImageNet, is
    an encoder: its head starts anew.

    Raises:
        OSError: if a file of the checkpoint is missing or damaged.
    """
    side = options.full_size if options.reading == "full" else options.patch_size
    if options.classifier is not None:
        known = [*AutoConfig.from_pretrained(options.classifier).id2label.values()]
        has_labels = sorted(known) == sorted(labels)
        labels = known if has_labels else labels
        model, _ = load_whole(
            AutoModelForImageClassification.from_pretrained,
            options.classifier,
            num_labels=len(labels),
            ignore_mismatched_sizes=True,  # of a head for other labels
            **label_fields(labels),
        )
        if not has_labels and len(known) == len(labels):  # else the head does not fit
            renewed = AutoModelForImageClassification.from_config(model.config)
            renewed.base_model.load_state_dict(model.base_model.state_dict())
            model = renewed
        processor = load_processor(AutoImageProcessor.from_pretrained, options.classifier)
        if side is not None:
            processor.size = {"height": side, "width": side}
        return model, processor
    config = ResNetConfig(
        embedding_size=options.hidden_sizes[0],
        hidden_sizes=options.hidden_sizes,
        depths=options.depths,
        layer_type="basic",
        **label_fields(labels),
    )
    if side is None:
        side = FULL_SIDE if options.reading == "full" else PATCH_SIDE
    processor = ViTImageProcessorPil(size={"height": side, "width": side})
    return ResNetForImageClassification(config), processor


def adapt_image_classifier(
    data: DataOptions, classifier: ImageClassifierOptions, options: TrainingOptions
) -> dict[str, Any]:
    """The report of a training that saves the best image classifier in `output_dir`.

    Returns:
        The report of `run_training` with a description of the data, as in `training.json`.

    Raises:
        ValueError: if the data has other labels than the localizer.
    """
    accelerator = make_accelerator(options)
    with holding_folder(options.output_dir, accelerator):
        return _adapt(data, classifier, options, accelerator)


def _adapt(
    data: DataOptions,
    classifier: ImageClassifierOptions,
    given: TrainingOptions,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """See `adapt_image_classifier`."""
    with preparing_data(accelerator):
        train_rows, validation_rows, labels = load_labelled_rows(data, data.image_column)
        if classifier.reading not in ("full", "small"):
            check_localizer_labels(classifier.localizer, labels)
        model, processor = make_image_classifier(classifier, labels)
        labels = label_names(model)
        defaults = choose_image_defaults(classifier.classifier, model, len(train_rows))
        options = complete_options(given, defaults)
        augmentation = classifier.make_augmentation(find_side(processor))
        view, device = partial(cut_loosely, augmentation=augmentation), accelerator.device
        sides = device, classifier.choose_full_side(augmentation.crop_size)
        train_set = make_readings(classifier, train_rows, data, labels, view, *sides)
        validation_set = make_readings(classifier, validation_rows, data, labels, cut, *sides)
    collate, workers = partial(collate_readings, processor), options.num_workers
    size, targets = options.batch_size, train_set.targets if options.balance else None
    groups = train_set.groups if len(train_set.groups) > 1 else None
    report = fit_model(
        model,
        processor,
        make_image_loader(train_set, collate, size, options.seed, workers, targets, groups),
        [
            make_image_loader(Subset(validation_set, items), collate, size, num_workers=workers)
            for items in validation_set.groups
        ],
        options,
        accelerator,
        settings=asdict(data) | asdict(classifier),
    )
    side = augmentation.crop_size if sides[1] is None else f"{augmentation.crop_size} or {sides[1]}"
    reading = f"{classifier.reading}; in training a random view of it, resized to {side} px"
    kinds = DataOptions, ImageClassifierOptions, TrainingOptions
    report["command"] = write_command("adapt", kinds, report["options"])
    return document_training(report, data, train_rows, accelerator, reading, validation_rows)
