"""Methods on pictures: the whole at several sizes, crops, and a localizer's best patch."""

import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageClassification

from hf_anchornet.data.boxes import read_boxes
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, load_split, number_labels
from hf_anchornet.evaluation.image_controls import select_centre_box, select_random_boxes
from hf_anchornet.model.backend import EAGER, make_network
from hf_anchornet.model.image_localizer import ImageLocalizer, LocalizedImages
from hf_anchornet.model.image_processing_anchornet import Box
from hf_anchornet.training.image_readings import ImageClassifierOptions, choose_from_view, cut
from scripts.benchmarks.methods import (
    FULL_READING,
    RESIZED,
    Method,
    Models,
    Probs,
    Steps,
    combine_steps,
    find_resized,
    order_labels,
    to_probs,
)

Pictures = Sequence[Image.Image]

ORACLE = "oracle"
"""The patch round the first box that people drew, where a classifier is given for it: an upper
bound, not a method."""
BOX = "marked box"
"""Entry of a picture's `info`: that box."""


def load_pictures(
    data: DataOptions, split: str, labels: Sequence[str]
) -> tuple[list[Image.Image], list[int]]:
    """Decoded pictures of a split, with a `BOX` where there is one, and targets."""
    rows = load_split(data, split, data.image_column)
    pictures = open_pictures(rows, data)[:]
    if data.boxes_column in rows.column_names:
        boxes = read_boxes(rows, data.boxes_column, data.image_column)
        for picture, found in zip(pictures, boxes, strict=True):
            picture.info |= {BOX: found[0]} if found else {}
    return pictures, number_labels(rows, data.label_column, labels)


def make_image_methods(
    models: Models, labels: Sequence[str], backend: str = EAGER
) -> dict[str, Method]:
    """Every method but the cascades.

    Args:
        models: The models to compare; their processors set the size of what they read.
        labels: Names of the labels in the order of the targets.
        backend: Backend of the networks; see `make_network`.
    """

    @cache
    def load(folder: str) -> Classify:
        return Classify(folder, labels, backend)

    def classify(reading: str) -> Classify:
        return load(models.find_folder(reading))

    localizer = Localize(models.localizer, labels, backend)
    methods: dict[str, Method] = {
        reading: Steps({"classify": classify(reading)})
        for reading in (FULL_READING, *sorted({RESIZED, *find_resized(models.folders)}))
    }
    methods["localizer"] = Steps({"localize": localizer.predict})
    for reading in ("centre", "random", *({ORACLE} & set(models.folders))):
        crop = partial(_crop_all, choose=_CROPS[reading], scale=localizer.patch_scale)
        methods[reading] = Steps({"select": crop, "classify": classify(reading)})
    return methods | combine_steps(
        "patches", localizer, localizer.rate, localizer.cut_best, classify("patches")
    )


class Localize:
    """A localizer; a call returns its view of pictures.

    Args:
        folder: Folder or Hub id.
        labels: Names of the labels in the order of the probabilities.
        backend: Backend of the networks; see `make_network`.
    """

    def __init__(self, folder: str, labels: Sequence[str], backend: str) -> None:
        self.localizer = ImageLocalizer.load(folder, backend=backend)
        self.order = order_labels(self.localizer.model, labels)
        self.options = ImageClassifierOptions(folder)
        side = max(
            self.localizer.reading_scales or [window.size for window in self.localizer.windows]
        )
        self.patch_scale = side / self.localizer.processor.size["shortest_edge"]

    def __call__(self, pictures: Pictures) -> LocalizedImages:
        """Evidence and logits of all pictures, in one batch."""
        return self.localizer.read(pictures)

    def rate(self, view: LocalizedImages) -> Probs:
        """The probabilities of this view."""
        return to_probs(view.logits, self.order)

    @torch.inference_mode()
    def predict(self, pictures: Pictures) -> Probs:
        """The probabilities alone."""
        inputs = self.localizer.processor(list(pictures), return_tensors="pt")
        return to_probs(self.localizer.network(**inputs).logits, self.order)

    def cut_best(self, view: LocalizedImages) -> list[Image.Image]:
        """The best patch of each picture, cut from the original."""
        boxes = choose_from_view(self.options, view)
        return [cut(picture, box) for picture, (box,) in zip(view.images, boxes, strict=True)]


class Classify:
    """A classifier; a call returns probabilities of pictures.

    Args:
        folder: Folder or Hub id.
        labels: Names of the labels in the order of the probabilities.
        backend: Backend of the networks; see `make_network`.
    """

    def __init__(self, folder: str, labels: Sequence[str], backend: str) -> None:
        model = AutoModelForImageClassification.from_pretrained(folder).eval()
        model.to(memory_format=torch.channels_last)
        self.network = make_network(model, backend)
        self.processor = AutoImageProcessor.from_pretrained(folder)
        self.order = order_labels(model, labels)

    @torch.inference_mode()
    def __call__(self, pictures: Pictures) -> Probs:
        """Probabilities of pictures, prepared by the processor."""
        inputs = self.processor(images=list(pictures), return_tensors="pt")
        pixel_values = inputs["pixel_values"].contiguous(memory_format=torch.channels_last)
        return to_probs(self.network(pixel_values=pixel_values).logits, self.order)


Choose = Callable[[Image.Image, int], Box]
"""From a picture and the side of a square in it to the square's box."""


def _crop_all(pictures: Pictures, choose: Choose, scale: float) -> list[Image.Image]:
    """A square of each picture; its side is `scale` times the picture's shorter side."""
    return [
        picture.crop(choose(picture, max(1, round(scale * min(picture.size)))))
        for picture in pictures
    ]


def _choose_centre(picture: Image.Image, side: int) -> Box:
    return _to_box(select_centre_box(_measure(picture), side))


def _choose_random(picture: Image.Image, side: int) -> Box:
    middle = picture.height // 2
    seed = zlib.crc32(picture.crop((0, middle, picture.width, middle + 1)).tobytes())
    return _to_box(select_random_boxes(_measure(picture), side, 1, seed))


def _choose_marked(picture: Image.Image, side: int) -> Box:
    """The square round the middle of the box that people drew, moved into the picture.

    Raises:
        ValueError: If the picture has none.
    """
    if BOX not in picture.info:
        raise ValueError(
            f"`classifiers` holds {ORACLE}, which needs a box in every row of the column of boxes; "
            "leave it out."
        )
    box, ends = picture.info[BOX], (picture.width - side, picture.height - side)
    left, top = (
        min(max(0, round((box[axis] + box[axis + 2] - side) / 2)), end)
        for axis, end in enumerate(ends)
    )
    return left, top, left + side, top + side


def _measure(picture: Image.Image) -> Tensor:
    return torch.tensor([[picture.height, picture.width]])


def _to_box(boxes: Tensor) -> Box:
    left, top, right, bottom = boxes[0, 0].tolist()
    return left, top, right, bottom


_CROPS: dict[str, Choose] = {
    "centre": _choose_centre,
    "random": _choose_random,
    ORACLE: _choose_marked,
}
