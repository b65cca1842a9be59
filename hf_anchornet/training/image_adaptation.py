"""Training of an image classifier on what it will read: patches, a control, or the full image."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessorPil,
)

from hf_anchornet.data.augmentation import AugmentationOptions, augment
from hf_anchornet.data.images import LabelledImages, make_pictures
from hf_anchornet.data.splits import DataOptions, label_fields, load_labelled_rows
from hf_anchornet.evaluation.image_controls import select_centre_box, select_random_boxes
from hf_anchornet.evaluation.localization import localize_images
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.image_localizer import ImageLocalizer, LocalizedImages
from hf_anchornet.model.image_processing_anchornet import Box
from hf_anchornet.model.image_reader import cut_square
from hf_anchornet.publishing.training_card import document_training

from .batches import make_image_loader
from .command import write_command
from .defaults import complete_options
from .fit import check_localizer_labels, fit_model, make_accelerator, preparing_data
from .options import CompleteOptions, TrainingOptions
from .output_folder import holding_folder
from .pretrained import choose_training_defaults

READINGS = ("patches", "mix", "full", "small", "centre", "random")

MARGIN = 0.125
"""Share of a box's sides by which training crops may reach beyond the box."""

Reader = Callable[[Image.Image, Box | None], Image.Image]
"""From a picture and a box in it (`None`: the whole) to the classifier's input picture."""


@dataclass
class ImageClassifierOptions:
    """An image classifier, and what it reads of each image.

    Attributes:
        localizer: Folder or Hub id of the localizer that selects the patches.
        classifier: Checkpoint to start from; by default a new small ResNet.
        reading: Part of an image that the classifier reads: "patches" (the localizer's best one,
            cut from the original) or "mix" (the best `num_patches` and "small", once per epoch).
            For comparison: "full" (the whole image); "small" (the whole image at the resolution of
            a patch); "centre" or "random" (a box of the patch's size).
        num_patches: Number of patches of each image in "mix".
        patch_size: Side in pixels to which patches and small images are resized. Larger is slower.
            The default is that of the classifier's processor, or 96 for a new classifier.
        full_size: Side in pixels to which full images are resized. Larger is slower. The default is
            that of the classifier's processor, or 224 for a new classifier.
        hidden_sizes: Channels of each stage of a new classifier.
        depths: Blocks of each stage of a new classifier.
        turn: Also rotate training images by a random multiple of 90 degrees. Switch it off for
            images with an up and a down.
        color_strength: Strength of random changes of colour and of added noise in training images;
            0: off, 1: strong.
    """

    localizer: str
    classifier: str | None = None
    reading: str = "patches"
    num_patches: int = 3
    patch_size: int | None = None
    full_size: int | None = None
    hidden_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    depths: list[int] = field(default_factory=lambda: [1, 1, 1, 1])
    turn: bool = True
    color_strength: float = 0.5

    def __post_init__(self) -> None:
        """Check the reading and the sizes."""
        if self.reading not in READINGS:
            raise ValueError(f"`reading` must be one of {READINGS}, got {self.reading!r}.")
        for name in ("num_patches", "patch_size", "full_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if len(self.depths) != len(self.hidden_sizes) or not self.depths:
            raise ValueError(
                f"`depths` must have one entry for each of `hidden_sizes` {self.hidden_sizes}, got "
                f"{self.depths}."
            )


def choose_boxes(
    options: ImageClassifierOptions, pictures: Sequence[Any], device: torch.device | str = "cpu"
) -> list[list[Box | None]]:
    """The boxes that the classifier reads of each picture; `None` stands for the whole picture.

    Controls have the size of the localizer's patch. A picture without a patch is read whole.

    Args:
        options: The localizer and the reading.
        pictures: Anything that `open_image` takes.
        device: Device of the localizer.
    """
    if options.reading in ("full", "small"):
        return [[None] for _ in pictures]
    localizer = AutoModelForImageClassification.from_pretrained(options.localizer).to(device)
    processor = AutoImageProcessor.from_pretrained(options.localizer)
    chosen: list[list[Box | None]] = []
    with tqdm(total=len(pictures), desc="selecting", mininterval=5) as progress:
        for view in localize_images(ImageLocalizer(localizer, processor), pictures):
            chosen.extend(choose_from_view(options, view, first_row=len(chosen)))
            progress.update(len(view.images))
    return chosen


def choose_from_view(
    options: ImageClassifierOptions, view: LocalizedImages, first_row: int = 0
) -> list[list[Box | None]]:
    """`choose_boxes` for a localized batch whose first image is number `first_row` of all."""
    ranked = view.select(options.num_patches if options.reading == "mix" else 1)
    boxes, filled = ranked.boxes, ranked.filled
    if options.reading in ("centre", "random"):
        boxes = torch.stack(
            [
                select_centre_box(size[None], side)[0]
                if options.reading == "centre"
                else select_random_boxes(size[None], side, 1, first_row + row)[0]
                for row, (size, side) in enumerate(
                    zip(view.evidence.sizes, ranked.scales[:, 0].tolist(), strict=True)
                )
            ]
        )
    whole = [None] if options.reading == "mix" else []
    return [[*found, *whole] or [None] for found in view.restore(boxes, filled)]


def make_image_classifier(
    options: ImageClassifierOptions, labels: Sequence[str]
) -> tuple[PreTrainedModel, Any]:
    """The classifier to train, an existing checkpoint or a new small ResNet, and its processor.

    A classifier of the same labels keeps their order. One of others, such as those of ImageNet, is
    an encoder: its head starts anew.
    """
    side = options.full_size if options.reading == "full" else options.patch_size
    if options.classifier is not None:
        known = [*AutoConfig.from_pretrained(options.classifier).id2label.values()]
        labels = known if sorted(known) == sorted(labels) else labels
        model = AutoModelForImageClassification.from_pretrained(
            options.classifier,
            num_labels=len(labels),
            ignore_mismatched_sizes=True,  # of a head for other labels
            use_safetensors=True,  # nothing pickled
            **label_fields(labels),
        )
        processor = AutoImageProcessor.from_pretrained(options.classifier)
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
        side = 224 if options.reading == "full" else 96
    processor = ViTImageProcessorPil(size={"height": side, "width": side})
    return ResNetForImageClassification(config), processor


def cut(picture: Image.Image, box: Box | None) -> Image.Image:
    """The part of a picture in a box, as `PatchReader` cuts it."""
    return picture if box is None else cut_square(picture, box)


def cut_loosely(
    picture: Image.Image, box: Box | None, augmentation: AugmentationOptions
) -> Image.Image:
    """A random view of the part of a picture in and around a box."""
    if box is not None:
        width, height = ((box[axis + 2] - box[axis]) * MARGIN for axis in (0, 1))
        left, top = max(0, round(box[0] - width)), max(0, round(box[1] - height))
        right = min(picture.width, round(box[2] + width))
        bottom = min(picture.height, round(box[3] + height))
        picture = picture.crop((left, top, right, bottom))
    pixels = augment(picture, augmentation)  # (3, height, width)
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy())


class Readings(TorchDataset[dict[str, Any]]):
    """The pictures that a classifier reads, with their labels.

    Args:
        images: Whole pictures with their labels.
        boxes: Boxes of each picture, from `choose_boxes`; each gives one item.
        read: Makes the classifier's input of picture and box.
    """

    def __init__(
        self, images: LabelledImages, boxes: Sequence[Sequence[Box | None]], read: Reader = cut
    ) -> None:
        self.images, self.read = images, read
        self.places = [(row, box) for row, found in enumerate(boxes) for box in found]

    @property
    def targets(self) -> list[Any]:
        """The label of each item."""
        return [self.images.targets[row] for row, _ in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, box = self.places[index]
        item = self.images[row]
        picture = self.read(item["pixel_values"], box)
        return {"picture": picture, "labels": item["labels"]}


def make_readings(
    options: ImageClassifierOptions,
    rows: Dataset,
    data: DataOptions,
    labels: Sequence[str],
    read: Reader = cut,
    device: torch.device | str = "cpu",
) -> Readings:
    """The classifier's readings of a split."""
    images = make_pictures(rows, data, labels)
    files = images.files[data.image_column]
    return Readings(images, choose_boxes(options, files, device), read)


def collate_readings(processor: Any, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch of `pixel_values`, with the channels last in memory, and `labels`."""
    inputs = processor(images=[item["picture"] for item in items], return_tensors="pt")
    pixel_values = inputs["pixel_values"].contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([item["labels"] for item in items])
    return {"pixel_values": pixel_values, "labels": labels}


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
        defaults = choose_training_defaults(classifier.classifier)
        return _adapt(data, classifier, complete_options(options, defaults), accelerator)


def _adapt(
    data: DataOptions,
    classifier: ImageClassifierOptions,
    options: CompleteOptions,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """See `adapt_image_classifier`."""
    with preparing_data(accelerator):
        train_rows, validation_rows, labels = load_labelled_rows(data, data.image_column)
        if classifier.reading not in ("full", "small"):
            check_localizer_labels(classifier.localizer, labels)
        model, processor = make_image_classifier(classifier, labels)
        labels = label_names(model)
        augmentation = AugmentationOptions(
            crop_size=find_side(processor),
            turn=classifier.turn,
            color_strength=classifier.color_strength,
        )
        view, device = partial(cut_loosely, augmentation=augmentation), accelerator.device
        train_set = make_readings(classifier, train_rows, data, labels, view, device)
        validation_set = make_readings(classifier, validation_rows, data, labels, cut, device)
    collate, workers = partial(collate_readings, processor), options.num_workers
    size, targets = options.batch_size, train_set.targets if options.balance else None
    report = fit_model(
        model,
        processor,
        make_image_loader(train_set, collate, size, options.seed, workers, targets),
        make_image_loader(validation_set, collate, options.batch_size, num_workers=workers),
        options,
        accelerator,
        settings=asdict(data) | asdict(classifier),
    )
    side = augmentation.crop_size
    reading = f"{classifier.reading}; in training a random crop of it, resized to {side} px"
    kinds = DataOptions, ImageClassifierOptions, TrainingOptions
    report["command"] = write_command("adapt", kinds, report["options"])
    return document_training(report, data, train_rows, accelerator, reading, validation_rows)


def find_side(processor: Any) -> int:
    """The shorter side, in pixels, of the images that a processor makes of square pictures."""
    inputs = processor(images=Image.new("RGB", (256, 256)), return_tensors="pt")
    return int(min(inputs["pixel_values"].shape[-2:]))
