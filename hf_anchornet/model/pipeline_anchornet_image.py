"""`pipeline("patch-localization")`: an image's label, the boxes that decided it, their shares."""

from collections.abc import Mapping, Sequence
from os import PathLike
from time import perf_counter
from typing import Any, ClassVar, cast

import numpy as np
from PIL import Image
from torch import Tensor

from .cascade import Cascade
from .cascade_rule import GLANCE, ExitRule, Stage
from .cascade_trace import Trace, count_milliseconds
from .classifier import name_predictions
from .explanation import InputParts, choose_entries
from .image_answers import ShownImage, charge, describe_patch, join_shown
from .image_boxes import cover_share, pool_cells, sum_union
from .image_explanation import (
    ImageParts,
    LocatedParts,
    explain_boxes,
    explain_images,
    select_disjoint,
)
from .image_glance import GlancedImages
from .image_large import LargeImage, check_large, check_local
from .image_localizer import ImageLocalizer, LocalizedImages
from .image_processing_anchornet import Box
from .image_reader import PatchReader, ReadableImage
from .image_zoom import ZoomedImage
from .localization_options import LocalizationOptions
from .patch_options import PatchOptions
from .pipeline_anchornet import LocalizationPipeline, Verdict
from .reader import Reader


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
    pixels of the model's input); `shares`, for each label explained the share of its patches
    together, in which a pixel of several patches counts once; `coverage`, the share of the image in
    the patches; `cost` in pixels; and with a classifier `classifier`: its `label`, `score` and
    `stage` (stage 0: there was no patch to read, the answer is the localizer's). With a cascade or
    `exit_threshold`, `classifier` is the answer of the cascade and `cost` holds its multiply-adds
    and milliseconds, too: see `Cascade`. Of an image that the localizer of a cascade did not read,
    label and score are those of the glance, and there are no patches, shares or maps.

    Args:
        classifier: An image classifier that reads the best patches, cut from the original image,
            instead of the whole: Hub id, folder, image-classification pipeline or model; or a
            `Cascade`, its folder or Hub id.
        top_k: Number of patches to show for each label, best first (default 5). 0 shows none; then
            the localizer of a cascade with a glance reads only images that go on. It must read the
            others to show patches, and `cost` counts that.
        scales: Window sizes to choose patches from, in pixels (default: the model's
            `reading_scales`, if it has any, otherwise all).
        iou_threshold: How much a patch may overlap better ones (default 0.3, as in 2206.03367).
            Both hold for what a classifier reads, too, but not for a cascade, which reads as it was
            calibrated.
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
            the image, rows of columns, cells as wide as the model's stride; and `grid`: `height`
            and `width` of the model's input and its `windows`, each with `size` and `stride`.
        full_resolution: Whether to read the picture as large as it is, of any size, tile by tile,
            instead of resized for the model (default); see `LargeImage`. Windows and boxes are
            then in pixels of the original. Not with a cascade.
        zoom: Number of places that are read again, larger, at every step from the whole picture to
            its full resolution: for evidence that is too small for the resized picture; 0: none.
            See `ZoomedImage`. Label and score are then those of all readings, `scale` is in pixels
            of the original, and `readings` says which share of the picture was read at which
            `resolution`. Not with a cascade.
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
    preprocess_options: ClassVar[tuple[str, ...]] = (
        "full_resolution",
        "top_k",
        "return_maps",
        "zoom",
    )

    _load_image_processor: Any = True

    localizer: ImageLocalizer

    @property
    def glances(self) -> bool:
        """Whether another classifier answers before the localizer."""
        return self.cascade is not None and GLANCE in self.cascade.rule.stages

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
        if (self._forward_params | options).get("max_patches") and self.reader is None:
            raise ValueError(
                f"`max_patches` must come with a `classifier`, got {chosen.max_patches} without; "
                "pass one when the pipeline is made, or `top_k` to show more or fewer patches."
            )
        if chosen.full_resolution:
            check_local(self.model)
        for name in ("full_resolution", "zoom"):
            if getattr(chosen, name) and self._choose_rule(chosen) is not None:
                raise ValueError(
                    f"`{name}` must be off with a cascade or `exit_threshold`, got "
                    f"{getattr(chosen, name)}; leave one of them out."
                )
        return chosen

    def check_input(self, item: Any, name: str) -> dict[str, Any]:
        """The picture, upright and RGB, and what errors call it."""
        return {"image": self.localizer.check_input(item, name), "name": name}

    def preprocess(self, input_: dict[str, Any], **options: Any) -> dict[str, Any]:
        """An image with the localizer's input, not yet padded; without it, if it is made later."""
        image, name = input_["image"], input_["name"]
        chosen = PatchOptions(**options)
        if chosen.full_resolution:
            check_large(image, self.windows, name)
        if chosen.full_resolution or chosen.zoom or (self.glances and not chosen.shows):
            return {"image": image, "pixels": None}
        pixels = self.localizer.prepare(image, name)
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
        if chosen.full_resolution or chosen.zoom:
            return {"results": [self._show_alone(image, chosen) for image in images]}
        started = perf_counter()
        if not self.glances:
            batch = self.localizer.read_pixels(images, pixels)
            verdicts = self._ask(chosen, batch, images, batch.logits, started)
            return {"results": self._show_all(batch, verdicts, chosen)}
        cascade = cast(Cascade, self.cascade)
        glanced: Any = cascade.open(images, None if pixels[0] is None else pixels)
        verdicts = self._ask(chosen, glanced, images, glanced.logits, started)
        return {"results": self._show_glanced(glanced, verdicts, chosen)}

    def _show_all(
        self, batch: LocalizedImages, verdicts: Sequence[Verdict], options: PatchOptions
    ) -> list[dict[str, Any]]:
        """The answers for images that the localizer read."""
        labels = self._number_labels(options.labels, batch.logits)
        shown = [ShownImage([], {}, {})] * len(labels)
        if options.shows:
            by_label = [self._show(batch, column, options) for column in labels.unbind(dim=1)]
            shown = [join_shown(parts) for parts in zip(*by_label, strict=True)]
        sizes = batch.evidence.sizes.tolist()
        fields = zip(batch.images, sizes, batch.logits, shown, verdicts, strict=True)
        answers = [self._answer(*each) for each in fields]
        if options.explain_answer:
            alone = explain_images(batch, options.top_k, options.scales)
            for answer, verdict, own in zip(answers, verdicts, alone, strict=True):
                found = verdict.explanation or own
                answer["explanation"] = choose_entries(found, options.return_coalitions)
        return answers

    def _show_glanced(
        self, batch: GlancedImages, verdicts: Sequence[Verdict], options: PatchOptions
    ) -> list[dict[str, Any]]:
        """The answers for images after a glance; the localizer reads the rest if it has to."""
        answers, verdicts = dict[int, dict[str, Any]](), [*verdicts]
        rest = batch.list_rest()
        if rest and options.shows:
            started = perf_counter()
            costs = batch.deepen(rest).multiply_adds()
            share = count_milliseconds(started) / len(rest)
            for row, cost in zip(rest, costs, strict=True):
                verdicts[row] = charge(verdicts[row], cost, share)
        for rows, part in batch.deepened:
            found = self._show_all(part, [verdicts[row] for row in rows], options)
            answers.update(zip(rows, found, strict=True))
        for row in batch.list_rest():
            shown = ShownImage([], {}, {})
            logits, verdict = batch.logits[row], verdicts[row]
            answers[row] = self._answer(batch.images[row], (0, 0), logits, shown, verdict)
            explanation = verdict.explanation
            if explanation is not None:
                entries = choose_entries(explanation, options.return_coalitions)
                answers[row]["explanation"] = entries
        return [answers[row] for row in range(len(batch.images))]

    def _show_alone(self, image: Image.Image, options: PatchOptions) -> dict[str, Any]:
        """The answer for a picture read by itself: tile by tile, or from coarse to fine."""
        read: LargeImage | ZoomedImage
        if options.full_resolution:
            read = LargeImage(image, self.localizer)
        else:
            read = ZoomedImage(image, self.localizer, options.zoom)
        (labels,) = self._number_labels(options.labels, read.logits).tolist()
        best = int(read.logits[0].argmax())
        read.keep([*labels, best])
        shown = join_shown([self._show_label(read, label, options) for label in labels])
        verdict = Verdict(None, {})
        if self.reader is not None:
            limits = options.max_patches, options.reading_limit, options.scales
            view = ReadableImage(image, [found.box for found in read.select(best, *limits)])
            (verdict,) = self._read(
                [view], options.max_patches, read.logits, options.explain_answer
            )
        answer = self._answer(image, read.size, read.logits[0], shown, verdict) | read.describe()
        if options.explain_answer:
            boxes = read.select(best, options.top_k, 0.0, options.scales)
            places = [found.box for found in boxes], [found.evidence for found in boxes]
            own = explain_boxes(self.model, read.logits[0], *places)
            found = verdict.explanation or own
            answer["explanation"] = choose_entries(found, options.return_coalitions)
        return answer

    def _show_label(
        self, read: LargeImage | ZoomedImage, label: int, options: PatchOptions
    ) -> ShownImage:
        """The best patches and, if asked for, the map of one label."""
        name, share = self.labels[label], 0.0
        boxes = read.select(label, options.top_k, options.iou_threshold, options.scales)
        patches = []
        if boxes:
            whole, together = read.weigh(label, boxes)
            patches = [describe_patch(*each[:3], name, whole) for each in boxes]
            share = together / whole
        maps = {}
        if options.return_maps:
            assert isinstance(read, LargeImage)  # the options refuse maps of several readings
            maps = {name: read.explain(label).map_cells().tolist()}
        return ShownImage(patches, {name: share}, maps)

    def _open(
        self,
        batch: LocalizedImages,
        rows: Sequence[int],
        stages: Sequence[Stage],
        options: PatchOptions,
    ) -> Sequence[Any]:
        reader = cast(PatchReader, self.reader)
        return reader.open(batch, rows, stages, options.reading_limit, options.scales)

    def _find_parts(
        self, trace: Trace, rule: ExitRule, batch: Any, row: int, options: PatchOptions
    ) -> InputParts | None:
        parts = super()._find_parts(trace, rule, batch, row, options)
        if parts is not None or not options.explain_answer or not trace.glanced:
            return parts
        boxes: Sequence[Box] = []
        located = batch.take([row]) if len(trace.opened) > 1 else None
        if located is not None:
            ((boxes, _),) = select_disjoint(located, options.top_k, options.scales)
        return LocatedParts(ReadableImage(batch.images[row], boxes), boxes, located)

    def _list_parts(
        self, view: Any, pieces: Sequence[Any], stage: Stage, rule: ExitRule | None, batch: Any
    ) -> InputParts:
        return ImageParts(view, pieces, batch)

    def _show(
        self, batch: LocalizedImages, labels: Tensor, options: PatchOptions
    ) -> list[ShownImage]:
        """The best patches and, if asked for, the map of one label of each image."""
        attribution = batch.attribute(labels)
        limits = options.iou_threshold, options.scales, labels
        ranked = batch.select(options.top_k, *limits)
        boxes = batch.restore(ranked.boxes, ranked.filled)
        whole = attribution.abs().sum(dim=(1, 2)).tolist()
        shown = []
        for row, places in enumerate(boxes):
            name = self.labels[int(labels[row])]
            kept = ranked.filled[row]
            evidence, scales = ranked.evidence[row, kept].tolist(), ranked.scales[row, kept]
            patches = [
                describe_patch(*each, name, whole[row])
                for each in zip(places, evidence, scales.tolist(), strict=True)
            ]
            share = 0.0
            if patches:
                share = sum_union(attribution[row], ranked.boxes[row, kept]) / whole[row]
            maps = {}
            if options.return_maps:
                height, width = batch.evidence.sizes[row].tolist()
                cells = pool_cells(attribution[row, :height, :width], self.windows[0].stride)
                maps[name] = cells.tolist()
            shown.append(ShownImage(patches, {name: share}, maps))
        return shown

    def _answer(
        self,
        image: Image.Image,
        size: Sequence[int],
        logits: Tensor,
        shown: ShownImage,
        verdict: Verdict,
    ) -> dict[str, Any]:
        """The answer for one image; `size` is the height and width of the localizer's input."""
        answer = {
            **name_predictions(self.model, logits[None])[0],
            "patches": shown.patches,
            "shares": shown.shares,
            "coverage": cover_share(
                image.size, [tuple(patch["box"].values()) for patch in shown.patches]
            ),
            "cost": {"localizer_pixels": size[0] * size[1], **verdict.cost},
        }
        if shown.maps:
            windows = [{"size": each.size, "stride": each.stride} for each in self.windows]
            answer["maps"] = shown.maps
            answer["grid"] = {"height": size[0], "width": size[1], "windows": windows}
        return answer if verdict.classifier is None else answer | {"classifier": verdict.classifier}
