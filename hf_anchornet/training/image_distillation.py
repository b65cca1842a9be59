"""Softer targets of images than their labels: smoothed, or mixed with a teacher's probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import one_hot
from transformers import AutoImageProcessor, AutoModelForImageClassification, PreTrainedModel

from hf_anchornet.model.classifier import label_names, predict_probs
from hf_anchornet.model.loading import load_processor, load_whole


@dataclass
class ImageTeacher:
    """A trained classifier that rates the very views that a localizer learns from.

    Knowledge distillation at temperature 1 (Hinton et al., 2015, equation 1) on the same view
    (Beyer et al., 2022): where a crop has lost the evidence, the teacher is in doubt.

    Attributes:
        model: The classifier.
        processor: Its image processor.
        mean: (channels, 1, 1), which the localizer's processor subtracts.
        std: (channels, 1, 1), by which it divides.
        order: The classifier's index of each label of the localizer.
        accelerator: Its precision.
    """

    model: PreTrainedModel
    processor: Any
    mean: Tensor
    std: Tensor
    order: list[int]
    accelerator: Accelerator

    @classmethod
    def load(
        cls, teacher: str, labels: list[str], localizer_processor: Any, accelerator: Accelerator
    ) -> "ImageTeacher":
        """The teacher of a folder or Hub id.

        Args:
            teacher: Folder or Hub id.
            labels: The labels, in the order of the localizer's logits.
            localizer_processor: The image processor of the localizer.
            accelerator: Device and precision.

        Raises:
            ValueError: if it has other labels.
        """
        model, _ = load_whole(AutoModelForImageClassification.from_pretrained, teacher)
        known = label_names(model)
        if sorted(known) != sorted(labels):
            raise ValueError(
                f"`teacher` must know the labels {sorted(labels)}, got {teacher} with "
                f"{sorted(known)}; train it on the same labels."
            )
        processor = load_processor(AutoImageProcessor.from_pretrained, teacher)
        mean, std = (
            torch.tensor(values)[:, None, None]
            for values in (localizer_processor.image_mean, localizer_processor.image_std)
        )
        order = [known.index(label) for label in labels]
        model.to(accelerator.device).eval()
        return cls(model, processor, mean, std, order, accelerator)

    @torch.no_grad()
    def rate(self, pixel_values: Tensor, pixel_mask: Tensor | None) -> Tensor:
        """The teacher's probabilities for each view: (batch, labels), float32.

        Args:
            pixel_values: (batch, channels, height, width), as the localizer reads them.
            pixel_mask: (batch, height, width), 1 = real pixel; `None`: all are.
        """
        views = []
        for row, pixels in enumerate(pixel_values.float().cpu()):
            if pixel_mask is not None:
                height, width = (int(pixel_mask[row].amax(dim=axis).sum()) for axis in (1, 0))
                pixels = pixels[:, :height, :width]
            picture = ((pixels * self.std + self.mean).clamp(0, 1) * 255).round().byte()
            views.append(Image.fromarray(np.asarray(picture.permute(1, 2, 0))))
        inputs = self.processor(images=views, return_tensors="pt").to(self.model.device)
        with self.accelerator.autocast():
            logits = self.model(**inputs).logits
        return predict_probs(self.model, logits)[:, self.order]


@dataclass
class SoftTargets:
    """What an image localizer learns instead of its labels.

    Attributes:
        num_labels: Number of labels.
        smoothing: Share of the targets, in [0, 1), that is spread evenly over all labels.
        teacher: Rates the views; `None`: there is none.
        weight: Share of the teacher in the targets, in [0, 1].
    """

    num_labels: int
    smoothing: float = 0.0
    teacher: ImageTeacher | None = None
    weight: float = 0.9

    def soften(self, labels: Tensor, pixel_values: Tensor, pixel_mask: Tensor | None) -> Tensor:
        """Probabilities to learn: (batch, labels).

        Args:
            labels: (batch,), int64, or, of data with several labels, (batch, labels).
            pixel_values: The views; see `ImageTeacher.rate`, as for the next.
            pixel_mask: Their real pixels.
        """
        several = labels.ndim > 1
        targets = labels.float() if several else one_hot(labels, self.num_labels).float()
        even = torch.full_like(targets, 0.5 if several else 1 / self.num_labels)
        targets = torch.lerp(targets, even, self.smoothing)
        if self.teacher is None:
            return targets
        rated = self.teacher.rate(pixel_values, pixel_mask).to(targets)
        return torch.lerp(targets, rated, self.weight)

    def attach(self, model: nn.Module) -> None:
        """Let a model in training learn these targets; in evaluation it is scored on its labels.

        The model is called with named arguments, as the training loop does.
        """
        model.register_forward_pre_hook(self._replace_labels, with_kwargs=True)

    def _replace_labels(
        self, model: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if not model.training or given.get("labels") is None:
            return None
        views = given["pixel_values"], given.get("pixel_mask")
        return args, given | {"labels": self.soften(given["labels"], *views)}
