"""Folders of images: a folder per label, and splits without labels."""

import pytest
from PIL import Image

from hf_anchornet.data.sources import Source

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def draw(tmp_path):
    """Writes images with these paths; gives their folder."""

    def draw(*paths):
        for path in (tmp_path / "images" / path for path in paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)
        return str(tmp_path / "images")

    return draw


LABELLED = ("train/cat/1.png", "train/dog/1.png", "validation/cat/2.png", "validation/dog/2.png")


@pytest.mark.parametrize("open_split", [Source.open_rows, Source.open_stream, Source.open_held_out])
def test_a_flat_test_split_leaves_the_labels_of_the_others(draw, open_split):
    folder = draw(*LABELLED, "test/3.png", "test/4.png")
    for split in ("train", "validation"):
        rows = open_split(Source(folder), split)
        assert rows.features["label"].names == ["cat", "dog"]
        assert [row["label"] for row in rows] == [0, 1]
    assert list(open_split(Source(folder), "test").features) == ["image"]
    with pytest.raises(ValueError, match=r"`dev` is not in .*, which has \['test', 'train', 'val"):
        open_split(Source(folder), "dev")


def test_a_class_of_the_validation_split_alone_is_a_class_of_the_training_split(draw):
    rows = Source(draw(*LABELLED, "validation/emu/2.png")).open_rows("train")
    assert rows.features["label"].names == ["cat", "dog", "emu"]


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["train/cat/old/1.png", "train/dog/old/1.png"], "got .*/cat/old in .*/train;"),
        (["cat/old/1.png", "dog/new/1.png"], "got .*/cat/old in .*/images;"),
        (["train/cat/1.png", "train/dog/1.png", "train/dog/new/1.png"], "got .*/new in .*/train;"),
        (["train/cat/1.png", "train/dog/1.png", "train/1.png"], "got .*/cat and .*/train itself"),
    ],
)
def test_folders_in_folders_are_refused(draw, paths, named):
    with pytest.raises(ValueError, match=f"`train` must lie in one folder per label, {named}"):
        Source(draw(*paths)).open_rows("train")


def test_metadata_names_labels_wherever_the_images_lie(draw, tmp_path):
    folder = draw("train/a/b/1.png", "train/2.png")
    lines = '{"file_name": "a/b/1.png", "label": "cat"}\n{"file_name": "2.png", "label": "dog"}\n'
    (tmp_path / "images" / "train" / "metadata.jsonl").write_text(lines, encoding="utf-8")
    assert sorted(row["label"] for row in Source(folder).open_rows("train")) == ["cat", "dog"]
