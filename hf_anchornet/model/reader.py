"""The base of both readers: a classifier that reads selected parts instead of the whole input."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from os import PathLike
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .backend import EAGER, make_network
from .cascade_rule import NGRAMS, Stage
from .classifier import Classifier, ClassifierKind, check_labels, load_classifier
from .costs import ShapeCosts
from .selection import check_count


class Reading(NamedTuple):
    """The pieces of one input that a classifier read, and its answer.

    Attributes:
        pieces: The pieces, possibly empty.
        sizes: The size of each piece, as `count_multiply_adds` takes it.
        logits: (labels,), averaged over the pieces; `None` if there was nothing to read.
    """

    pieces: Sequence[Any]
    sizes: Sequence[Any]
    logits: Tensor | None


SomeReader = TypeVar("SomeReader", bound="Reader")


class Reader(ABC):
    """A transformers classifier that reads pieces of an input: spans of a text or patches.

    An input is opened once (`open`), which yields a view; `cut` lists the pieces of a view at a
    stage; `compute_pieces` classifies pieces of any number of views in one batch.

    Args:
        model: The classification model.
        processor: Its tokenizer or image processor.
        full_size: Tokens that a full text is truncated to, or side in pixels that a whole image is
            resized to. Default: the most tokens the model reads, or the processor's own size.
        backend: Runtime: "eager", "compile" or "onnx"; see `make_network`.
        subfolder: Subfolder of the model in its folder or repository.

    Raises:
        ImportError: if the extra `onnx` is needed and not installed.
        ValueError: if `backend` is unknown or cannot run the model, the model has a single output,
            or `full_size` is no size.
    """

    kind: ClassVar[ClassifierKind]

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        full_size: int | None = None,
        backend: str = EAGER,
        subfolder: str = "",
    ) -> None:
        check_labels(model, "classifier")
        if full_size is not None:
            check_count("full_size", full_size)
        self.model = model.eval()
        self.network = make_network(model, backend, subfolder)
        self.processor = processor
        self.full_size = full_size
        self.costs = self._make_costs()

    @classmethod
    def load(
        cls,
        classifier: Classifier,
        device: torch.device | None = None,
        subfolder: str = "",
        full_size: int | None = None,
        backend: str = EAGER,
        name: str = "classifier",
        **hub: Any,
    ) -> Any:
        """A reader for a classifier in any of its forms; see `load_classifier` and the class."""
        loaded = load_classifier(classifier, cls.kind, device, subfolder, name, **hub)
        return cls(*loaded, full_size, backend, subfolder)

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Save the model and its processor."""
        self.model.save_pretrained(folder, **kwargs)
        self.processor.save_pretrained(folder)

    def resize(self: SomeReader, full_size: int | None) -> SomeReader:
        """A reader with the same model that reads full inputs at another size."""
        twin = copy(self)
        twin.full_size = full_size
        twin.costs = twin._make_costs()
        return twin

    def check_glance(self) -> None:
        """Check that the classifier can glance at full inputs before the localizer; see `Cascade`.

        Raises:
            ValueError: if it cannot.
        """
        raise ValueError(
            f"`glance` must be left out for texts, got a {type(self.model).__name__}; train a "
            f"localizer with n-grams and begin `stages` with {NGRAMS!r}."
        )

    def glance(
        self, sources: Sequence[Any], order: Sequence[int], localizer: Any, pixels: Any = None
    ) -> Any:
        """A batch that is answered by this classifier on full inputs, made small: a `Batch`.

        Raises:
            ValueError: if it cannot glance, see `check_glance`.
        """
        self.check_glance()

    def read(self, views: Sequence[Any], stage: Stage) -> list[Reading]:
        """The classifier's reading of each view at one stage, all pieces in one batch."""
        pieces = [self.cut(view, stage) for view in views]
        batch = [(view, piece) for view, cut in zip(views, pieces, strict=True) for piece in cut]
        if not batch:
            return [Reading([], [], None) for _ in views]
        logits, sizes = self.compute_pieces(batch)
        counts = [len(cut) for cut in pieces]
        readings, start = [], 0
        for cut, by_piece in zip(pieces, torch.split(logits, counts), strict=True):
            mean = by_piece.mean(dim=0) if len(cut) else None
            readings.append(Reading(cut, sizes[start : start + len(cut)], mean))
            start += len(cut)
        return readings

    @abstractmethod
    def _make_costs(self) -> ShapeCosts:
        """A counter of the model's multiply-adds."""

    @abstractmethod
    def list_stages(self, budget: Any) -> list[Stage]:
        """Stages for a budget of tokens or patches, for use without a calibrated cascade."""

    @abstractmethod
    def check_stages(self, stages: Sequence[Stage]) -> None:
        """Raise a `ValueError` if the classifier cannot read at one of the stages."""

    @abstractmethod
    def open(self, batch: Any, rows: Sequence[int], stages: Sequence[Stage]) -> Sequence[Any]:
        """Views of some inputs of a localized batch, ready for `cut` at any of the stages."""

    @abstractmethod
    def cut(self, view: Any, stage: Stage) -> list[Any]:
        """The pieces to read at a stage, hashable; empty if there is nothing to read."""

    @abstractmethod
    def compute_pieces(self, pieces: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Sequence[Any]]:
        """Logits, (pieces, labels), and the size of each piece; from pairs of view and piece."""

    @abstractmethod
    def count_multiply_adds(self, size: Any) -> int:
        """Multiply-adds of the classifier for one piece of this size."""

    @abstractmethod
    def full_multiply_adds(self, sources: Sequence[Any], views: Sequence[Any]) -> list[int]:
        """Multiply-adds of the classifier for each full input.

        Args:
            sources: The inputs.
            views: The view of each input; `None` for one that was never opened.
        """

    @abstractmethod
    def describe_pieces(self, pieces: Sequence[Any]) -> dict[str, Any]:
        """Entries of an answer that describe the pieces that were read."""

    @abstractmethod
    def describe_cost(self, reading: Reading, view: Any) -> dict[str, Any]:
        """Entries of an answer's cost: how much was read, in tokens or pixels."""
