"""Train an image classifier on what it will read: the best patch, a control, or the whole image."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessorPil,
)

from hf_anchornet.data.augmentation import AugmentationOptions, augment
from hf_anchornet.data.images import LabelledImages, load_labelled_images, make_pictures
from hf_anchornet.data.splits import DataOptions, label_fields
from hf_anchornet.evaluation.image_controls import select_centre_box, select_random_boxes
from hf_anchornet.evaluation.localization import localize_images
from hf_anchornet.model.image_localizer import LocalizedImages
from hf_anchornet.model.image_processing_anchornet import Box
from hf_anchornet.model.image_reader import cut_square
from hf_anchornet.publish.training_card import document_training

from .batches import EpochOrder, make_batches
from .options import TrainingOptions
from .training import make_accelerator, train_on_batches

READINGS = ("patches", "mix", "full", "small", "centre", "random")

MARGIN = 0.125
"""In training a crop may reach beyond its box by this part of the box's sides."""

Reader = Callable[[Image.Image, Box | None], Image.Image]
"""From a picture and a box of it (`None`: the whole) to what the classifier's processor gets."""


@dataclass
class PatchClassifierOptions:
    """Which image classifier reads what.

    Attributes:
        localizer: Folder or Hub id of the localizer that selects the patch.
        classifier: Checkpoint to start from, read as its own processor says; `None`: a new small
            ResNet.
        reading: "patches" (the localizer's best one, cut from the original) or a control of the
            same size: "centre" or "random"; "full" image; "small", the whole image at the
            resolution of a patch; or "mix", the best `num_patches` and the small image, each once
            an epoch.
        num_patches: Patches of an image in a mix.
        patch_size: Side in pixels of what the classifier reads, but for the full image. `None`: as
            its own processor says; 96 for a new one.
        full_size: Side in pixels of the full image. `None`: likewise; 224 for a new one.
        hidden_sizes: Channels of each stage of a new classifier.
        depths: Blocks of each stage of a new classifier.
        turn: Whether to turn training images by a random number of quarters.
        color_strength: How far brightness, contrast, saturation and tint vary in training; 0: not
            at all, 1: strongly.
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
    options: PatchClassifierOptions, pictures: Sequence[Any], device: torch.device | str = "cpu"
) -> list[list[Box | None]]:
    """What the classifier reads of each picture: boxes of the original, `None` for the whole.

    The controls have the size of the localizer's patch. A picture without a patch is read whole.

    Args:
        options: Who reads what.
        pictures: As `open_image` takes them.
        device: Where the localizer runs.
    """
    if options.reading in ("full", "small"):
        return [[None] for _ in pictures]
    localizer = AutoModelForImageClassification.from_pretrained(options.localizer).to(device)
    processor = AutoImageProcessor.from_pretrained(options.localizer)
    chosen: list[list[Box | None]] = []
    with tqdm(total=len(pictures), desc="selecting", mininterval=5) as progress:
        for view in localize_images(localizer, processor, pictures):
            chosen.extend(choose_from_view(options, view, first_row=len(chosen)))
            progress.update(len(view.images))
    return chosen


def choose_from_view(
    options: PatchClassifierOptions, view: LocalizedImages, first_row: int = 0
) -> list[list[Box | None]]:
    """`choose_boxes` for one batch; random boxes are those of its rows from `first_row` on."""
    ranked = view.select(options.num_patches if options.reading == "mix" else 1)
    boxes, filled = ranked.boxes, ranked.filled
    if options.reading in ("centre", "random"):
        boxes = torch.stack(
            [
                select_centre_box(size[None], side)[0]
                if options.reading == "centre"
                else select_random_boxes(size[None], side, 1, first_row + row)[0]
                for row, (size, side) in enumerate(
                    zip(view.located.sizes, ranked.scales[:, 0].tolist(), strict=True)
                )
            ]
        )
    whole = [None] if options.reading == "mix" else []
    return [[*found, *whole] or [None] for found in view.restore(boxes, filled)]


def make_patch_classifier(
    options: PatchClassifierOptions, labels: Sequence[str]
) -> tuple[PreTrainedModel, Any]:
    """The classifier to train and its processor: an existing checkpoint, or a new small ResNet."""
    side = options.full_size if options.reading == "full" else options.patch_size
    if options.classifier is not None:
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
    """What lies in the box, as `PatchReader` cuts it."""
    return picture if box is None else cut_square(picture, box)


def cut_loosely(
    picture: Image.Image, box: Box | None, augmentation: AugmentationOptions
) -> Image.Image:
    """A random view of what lies in the box and around it."""
    if box is not None:
        width, height = ((box[axis + 2] - box[axis]) * MARGIN for axis in (0, 1))
        left, top = max(0, round(box[0] - width)), max(0, round(box[1] - height))
        right = min(picture.width, round(box[2] + width))
        bottom = min(picture.height, round(box[3] + height))
        picture = picture.crop((left, top, right, bottom))
    pixels = augment(picture, augmentation)  # (3, height, width)
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy())


class Readings(TorchDataset[dict[str, Any]]):
    """What a classifier reads of each labelled image, as a picture.

    Args:
        images: Whole pictures with their labels.
        boxes: Of each picture, from `choose_boxes`; each is a reading of its own.
        read: What to make of picture and box.
    """

    def __init__(
        self, images: LabelledImages, boxes: Sequence[Sequence[Box | None]], read: Reader = cut
    ) -> None:
        self.images, self.read = images, read
        self.places = [(row, box) for row, found in enumerate(boxes) for box in found]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, box = self.places[index]
        item = self.images[row]
        picture = self.read(item["pixel_values"], box)
        return {"picture": picture, "labels": item["labels"]}


def make_readings(
    options: PatchClassifierOptions,
    rows: Dataset,
    data: DataOptions,
    labels: Sequence[str],
    read: Reader = cut,
    device: torch.device | str = "cpu",
) -> Readings:
    """What the classifier reads of each row of a split."""
    images = make_pictures(rows, data, labels)
    files = images.files[data.image_column]
    return Readings(images, choose_boxes(options, files, device), read)


def collate_readings(processor: Any, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch of an image classifier: `pixel_values`, channels last in memory, and `labels`."""
    inputs = processor(images=[item["picture"] for item in items], return_tensors="pt")
    pixel_values = inputs["pixel_values"].contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([item["labels"] for item in items])
    return {"pixel_values": pixel_values, "labels": labels}


def adapt_patch_classifier(
    data: DataOptions, classifier: PatchClassifierOptions, options: TrainingOptions
) -> dict[str, Any]:
    """Train an image classifier on its reading and save the best checkpoint in `output_dir`.

    Returns:
        The report of `training.train`, also written to `training.json`.
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        train_rows, validation_rows, labels = load_labelled_images(data)
        model, processor = make_patch_classifier(classifier, labels)
        side = find_side(processor)
        augmentation = AugmentationOptions(
            crop_size=side,
            min_crop=0.7,
            turn=classifier.turn,
            color_strength=classifier.color_strength,
        )
        train_set, validation_set = (
            make_readings(classifier, rows, data, labels, read, accelerator.device)
            for rows, read in (
                (train_rows, partial(cut_loosely, augmentation=augmentation)),
                (validation_rows, cut),
            )
        )
    collate, order = partial(collate_readings, processor), EpochOrder(len(train_set), options.seed)
    report = train_on_batches(
        model,
        processor,
        make_batches(train_set, collate, options.batch_size, order, options.num_workers),
        DataLoader(
            validation_set,
            batch_size=options.batch_size,
            collate_fn=collate,
            num_workers=options.num_workers,
            persistent_workers=options.num_workers > 0,
        ),
        options,
        accelerator,
        settings=asdict(data) | asdict(classifier),
    )
    return document_training(report, data, train_rows, accelerator, classifier.reading)


def find_side(processor: Any) -> int:
    """The shorter side, in pixels, of what an image processor makes of a square picture."""
    inputs = processor(images=Image.new("RGB", (256, 256)), return_tensors="pt")
    return int(min(inputs["pixel_values"].shape[-2:]))
