"""`pipeline("patch-localization")`: an image's label, the boxes that decided it, their shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from PIL import Image
from torch import Tensor

from .cascade_rule import ExitRule, Stage
from .classifier import predict_probs
from .explanation import InputParts, choose_entries
from .image_boxes import DEFAULT_OVERLAP, cover_share, pool_cells
from .image_explanation import ImageParts, describe_box, explain_boxes, explain_images
from .image_large import LargeImage, check_large, check_local
from .image_localizer import ImageLocalizer, LocalizedImages
from .image_processing_anchornet import Box
from .image_reader import PatchReader, ReadableImage
from .localization_options import LocalizationOptions
from .pipeline_anchornet import LocalizationPipeline, Verdict
from .reader import Reader
from .selection import check_count, check_iou_threshold


@dataclass
class PatchOptions(LocalizationOptions):
    """Options for choosing and showing patches; see `PatchLocalizationPipeline`."""

    iou_threshold: float | Sequence[float] = DEFAULT_OVERLAP
    max_patches: int = 1
    return_maps: bool = False
    full_resolution: bool = False

    def validate(self, sizes: Sequence[int], labels: Sequence[str]) -> None:
        """Check the options; see `LocalizationOptions.validate`."""
        super().validate(sizes, labels)
        check_count("max_patches", self.max_patches)
        check_iou_threshold(self.reading_limit, self.max_patches)

    @property
    def reading_limit(self) -> float | Sequence[float]:
        """Overlap allowed between the patches that a classifier reads: of as many first ranks."""
        if isinstance(self.iou_threshold, Sequence):
            return self.iou_threshold[: self.max_patches]
        return self.iou_threshold


class PatchLocalizationPipeline(LocalizationPipeline):
    """Localizes the patches of an image that decided its label, learned from labels alone.

    ```python
    >>> from transformers import pipeline
    >>> import hf_anchornet
    >>> localize = pipeline("patch-localization")
    >>> answer = localize(hf_anchornet.SAMPLE_IMAGE, top_k=1)
    >>> sorted(answer["patches"][0]["box"])
    ['xmax', 'xmin', 'ymax', 'ymin']

    ```

    Inputs: PIL images, paths, URLs, the bytes of a file, arrays and tensors; see `open_image`.

    Each answer is a dict: `label` and `score` of the localizer; `patches`, best first, each with
    `box` (`xmin`, `ymin`, `xmax`, `ymax`, half-open, in pixels of the original image as a viewer
    shows it), `label` (the class explained), `evidence` (the attribution of the box: its part of
    the logit, centred over the classes unless the model is multi-label), `share` (the same over the
    sum of the absolute evidence of all pixels, in [-1, 1]) and `scale` (side of the window in
    pixels of the model's input); `coverage`, the share of the image in the patches; `cost` in
    pixels; and with a classifier `classifier`: its `label`, `score` and `stage` (stage 0: there
    was no patch to read, the answer is the localizer's). With a cascade or `exit_threshold`,
    `classifier` is the answer of the cascade and `cost` holds its multiply-adds and milliseconds,
    too: see `Cascade`.

    Args:
        classifier: An image classifier that reads the best patches, cut from the original image,
            instead of the whole: Hub id, folder, image-classification pipeline or model; or a
            `Cascade`, its folder or Hub id.
        top_k: Number of patches to show for each label, best first (default 5).
        scales: Window sizes to choose patches from, in pixels (default: all of the model).
        iou_threshold: How much a patch may overlap better ones (default 0.3, as in 2206.03367).
        labels: Labels to explain (default: the predicted one).
        max_patches: Most patches that a classifier reads (default 1).
        exit_threshold: With a classifier: let it read only inputs in doubt, see `ExitRule`; with a
            cascade: thresholds to use instead of its own.
        explain_answer: Whether to add `explanation`: what each part adds to the answer of the model
            that gave it, exact up to ten parts; see docs/explanations.md.
        return_coalitions: Whether `explanation` lists the coalitions of parts that were asked.
        backend: Runtime of the localizer and of a classifier that is loaded here: "eager",
            "compile" or "onnx"; see `make_network`.
        return_maps: Whether to add `maps`: for each label explained the evidence of every cell of
            the image, rows of columns, cells as wide as the model's stride.
        full_resolution: Whether to read the picture as large as it is, of any size, tile by tile,
            instead of resized for the model (default); see `LargeImage`. Windows and boxes are
            then in pixels of the original. Not with a cascade.
    """

    task_name: ClassVar[str] = "patch-localization"
    model_type: ClassVar[str] = "anchornet_image"
    options_type: ClassVar[type[LocalizationOptions]] = PatchOptions
    reader_class: ClassVar[type[Reader]] = PatchReader
    single_types: ClassVar[tuple[type, ...]] = (
        str,
        PathLike,
        bytes,
        bytearray,
        Image.Image,
        np.ndarray,
        Tensor,
        Mapping,
    )

    budget_name: ClassVar[str] = "max_patches"
    preprocess_options: ClassVar[tuple[str, ...]] = ("full_resolution",)

    _load_image_processor: Any = True

    localizer: ImageLocalizer

    def _make_localizer(self, backend: str) -> ImageLocalizer:
        if self.image_processor is None or not hasattr(self.image_processor, "collate"):
            raise ValueError(
                "`image_processor` of the patch-localization pipeline must be an "
                f"AnchorNetImageProcessor, got {type(self.image_processor).__name__}; pass the one "
                "that the model was trained with."
            )
        return ImageLocalizer(self.model, self.image_processor, backend)

    def _check_options(self, **options: Any) -> PatchOptions:
        chosen: PatchOptions = super()._check_options(**options)
        if chosen.full_resolution:
            check_local(self.model)
            if self._choose_rule(chosen) is not None:
                raise ValueError(
                    "`full_resolution` must be off with a cascade or `exit_threshold`, got True; "
                    "leave one of them out."
                )
        return chosen

    def check_input(self, item: Any, name: str) -> dict[str, Any]:
        """The picture, upright and RGB, and what errors call it."""
        return {"image": self.localizer.check_input(item, name), "name": name}

    def preprocess(self, input_: dict[str, Any], **options: Any) -> dict[str, Any]:
        """An image with the model's input, not yet padded; without it at full resolution."""
        image, name = input_["image"], input_["name"]
        if options.get("full_resolution"):
            check_large(image, self.windows, name)
            return {"image": image, "pixels": None}
        try:
            batch = self.image_processor(image, return_tensors=None)  # type: ignore[misc]
        except ValueError as error:
            # The processor sees one picture and calls it the first.
            raise ValueError(str(error).replace("image 0", name, 1)) from error
        (pixels,) = batch["pixel_values"]
        largest = self.windows[-1].size
        if min(pixels.shape[1:]) < largest:
            raise ValueError(
                f"{name} must be at least as large as the largest window, {largest} x {largest} "
                f"px, got {pixels.shape[2]} x {pixels.shape[1]} px; let the image processor "
                "enlarge it (`do_resize`, `size`)."
            )
        return {"image": image, "pixels": pixels}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        chosen = PatchOptions(**options)
        images, pixels = input_tensors["image"], input_tensors["pixels"]
        if isinstance(images, Image.Image):  # not batched
            images, pixels = [images], [pixels]
        if chosen.full_resolution:
            return {"results": [self._localize_large(image, chosen) for image in images]}
        started = perf_counter()
        batch = self.localizer.read_pixels(images, pixels)
        probs = predict_probs(self.model, batch.logits)
        verdicts = self._ask(chosen, batch, images, probs, started)
        labels = self._number_labels(chosen.labels, probs)
        by_label = [self._show(batch, column, chosen) for column in labels.unbind(dim=1)]
        shown = [_join_shown(parts) for parts in zip(*by_label, strict=True)]
        sizes = batch.evidence.sizes.tolist()
        fields = zip(images, sizes, probs, shown, verdicts, strict=True)
        answers = [self._answer(*each) for each in fields]
        if chosen.explain_answer:
            alone = explain_images(batch, chosen.top_k, chosen.scales)
            for answer, verdict, own in zip(answers, verdicts, alone, strict=True):
                found = verdict.explanation or own
                answer["explanation"] = choose_entries(found, chosen.return_coalitions)
        return {"results": answers}

    def _localize_large(self, image: Image.Image, options: PatchOptions) -> dict[str, Any]:
        """The answer for a picture of any size at its own resolution; see `LargeImage`."""
        read = LargeImage(image, self.localizer)
        probs = predict_probs(self.model, read.logits)
        (labels,) = self._number_labels(options.labels, probs).tolist()
        *maps, predicted = read.explain([*labels, int(probs[0].argmax())])
        parts = []
        for label, evidence in zip(labels, maps, strict=True):
            name = self.labels[label]
            boxes = evidence.select(options.top_k, options.iou_threshold, options.scales)
            whole = evidence.sum_absolute() if boxes else 1.0
            patches = [_describe_patch(*box, name, whole) for box in boxes]
            cells = {name: evidence.map_cells().tolist()} if options.return_maps else {}
            parts.append(ShownImage(patches, cells))
        verdict = Verdict(None, {})
        if self.reader is not None:
            limits = options.max_patches, options.reading_limit
            boxes = predicted.select(*limits, options.scales)
            view = ReadableImage(image, [found.box for found in boxes])
            (verdict,) = self._read([view], options.max_patches, probs, options.explain_answer)
        answer = self._answer(image, image.size, probs[0], _join_shown(parts), verdict)
        if options.explain_answer:
            boxes = predicted.select(options.top_k, 0.0, options.scales)
            places = [found.box for found in boxes], [found.evidence for found in boxes]
            found = verdict.explanation or explain_boxes(self.model, read.logits[0], *places)
            answer["explanation"] = choose_entries(found, options.return_coalitions)
        return answer

    def _open(
        self, batch: LocalizedImages, count: int, options: PatchOptions
    ) -> tuple[Sequence[Any], Stage]:
        reader = cast(PatchReader, self.reader)
        stage, limits = options.max_patches, (options.reading_limit, options.scales)
        return reader.open(batch, range(count), [stage], *limits), stage

    def _list_parts(
        self, view: Any, pieces: Sequence[Any], stage: Stage, rule: ExitRule | None, batch: Any
    ) -> InputParts:
        return ImageParts(view, pieces, batch)

    def _show(
        self, batch: LocalizedImages, labels: Tensor, options: PatchOptions
    ) -> list["ShownImage"]:
        """The best patches and, if asked for, the map of one label of each image."""
        attribution = batch.attribute(labels)
        ranked = batch.select(options.top_k, options.iou_threshold, options.scales, labels)
        boxes = batch.restore(ranked.boxes, ranked.filled)
        whole = attribution.abs().sum(dim=(1, 2)).tolist()
        shown = []
        for row, places in enumerate(boxes):
            name = self.labels[int(labels[row])]
            kept = ranked.filled[row]
            evidence, scales = ranked.evidence[row, kept].tolist(), ranked.scales[row, kept]
            patches = [
                _describe_patch(*each, name, whole[row])
                for each in zip(places, evidence, scales.tolist(), strict=True)
            ]
            maps = {}
            if options.return_maps:
                height, width = batch.evidence.sizes[row].tolist()
                cells = pool_cells(attribution[row, :height, :width], self.windows[0].stride)
                maps[name] = cells.tolist()
            shown.append(ShownImage(patches, maps))
        return shown

    def _answer(
        self,
        image: Image.Image,
        size: Sequence[int],
        probs: Tensor,
        shown: "ShownImage",
        verdict: Verdict,
    ) -> dict[str, Any]:
        """The answer for one image; `size` is the height and width of the model's input."""
        answer = {
            **self._name(probs),
            "patches": shown.patches,
            "coverage": cover_share(
                image.size, [tuple(patch["box"].values()) for patch in shown.patches]
            ),
            "cost": {"localizer_pixels": size[0] * size[1], **verdict.cost},
        }
        if shown.maps:
            answer["maps"] = shown.maps
        return answer if verdict.classifier is None else answer | {"classifier": verdict.classifier}


class ShownImage(NamedTuple):
    """The patches of an image that an answer shows, and its maps by label."""

    patches: list[dict[str, Any]]
    maps: dict[str, list[list[float]]]


def _join_shown(parts: Sequence[ShownImage]) -> ShownImage:
    """One `ShownImage` of several, each for another label."""
    patches = [patch for part in parts for patch in part.patches]
    return ShownImage(patches, {name: one for part in parts for name, one in part.maps.items()})


def _describe_patch(
    box: Box, evidence: float, scale: int, label: str, whole: float
) -> dict[str, Any]:
    return {
        **describe_box(box),
        "label": label,
        "evidence": evidence,
        "share": evidence / whole,
        "scale": scale,
    }
