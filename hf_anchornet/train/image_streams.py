"""Training batches of a stream of images, and their labels."""

from datasets import IterableDataset
from torch import Tensor

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.images import collate_images, make_random_view, open_row_image
from hf_anchornet.data.splits import DataOptions, class_names, find_labels, number_values
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor

from .stream_sources import MakeBatch, list_columns, take_first
from .streams import Row


def find_image_labels(
    rows: IterableDataset, data: DataOptions, seed: int
) -> tuple[list[str], bool]:
    """Labels of a stream of images, and whether a row has a list of them.

    They are read off a `ClassLabel` column, else found in the first rows.

    Raises:
        ValueError: see `find_labels`.
    """
    names = class_names(rows, data.label_column)
    if names is None or len(names) < 2:
        first = take_first(rows.select_columns(data.label_column), data, seed)
        names = find_labels(first, data.label_column)
    return names, hasattr(rows.features[data.label_column], "feature")


def make_image_batch(
    rows: IterableDataset,
    processor: AnchorNetImageProcessor,
    data: DataOptions,
    labels: list[str],
    augmentation: AugmentationOptions,
) -> MakeBatch:
    """A function from rows of `rows` to random views of them, as `make_training_images`."""
    view, names = make_random_view(processor, augmentation), class_names(rows, data.label_column)

    def make_batch(found: list[Row]) -> dict[str, Tensor]:
        columns = list_columns(found)
        targets = number_values(columns[data.label_column], names, data.label_column, labels)
        files = enumerate(columns[data.image_column])
        views = [view(open_row_image(file, data.image_column, row)) for row, file in files]
        pairs = zip(views, targets, strict=True)
        items = [{"pixel_values": pixels, "labels": target} for pixels, target in pairs]
        return collate_images(processor, items)

    return make_batch
