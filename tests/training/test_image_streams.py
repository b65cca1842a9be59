"""Training an image localizer on tar shards, and its exact resumption."""

import pytest
import torch
from compared_trainings import SMALL_IMAGES, assert_same_training
from PIL import Image
from tar_shards import describe, number, write_tar

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import train_image_localizer
from hf_anchornet.training.options import TrainingOptions

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator", "short_passes")


def paint(row):
    """Grey noise with a red square, or a blue one in odd rows."""
    generator = torch.Generator().manual_seed(row)
    pixels = torch.randint(90, 160, (32, 40, 3), generator=generator, dtype=torch.uint8)
    pixels[8:16, 8:16, 2 if row % 2 else 0] = 255
    return Image.fromarray(pixels.numpy())


def write_shards(folder, content):
    folder.mkdir()
    for shard in range(3):
        write_tar(folder / f"train-{shard}.tar", range(8 * shard, 8 * shard + 8), content, paint)
    write_tar(folder / "validation-0.tar", range(8), content, paint)
    return str(folder / "{split}-*.tar")


@pytest.fixture
def run(tmp_path):
    """A training on 24 pictures; its report."""

    def run(source, name="run", **options):
        return train_image_localizer(
            DataOptions(source, streaming=True, shuffle_buffer=6),
            ImageLocalizerOptions(**SMALL_IMAGES),
            AugmentationOptions(crop_size=24, min_crop=0.75),
            TrainingOptions(
                str(tmp_path / name), num_epochs=2, batch_size=8, **{"max_steps": 7} | options
            ),
        )

    return run


def test_tar_shards_teach_where_the_label_is(tmp_path, run):
    report = run(write_shards(tmp_path / "shards", describe), max_steps=40, learning_rate=1e-2)
    assert report["best"]["accuracy"] == 1.0
    assert report["data"]["num_rows"] is None


def test_tar_shards_need_max_steps(tmp_path, run):
    with pytest.raises(ValueError, match="`max_steps` must be at least 1"):
        run(write_shards(tmp_path / "shards", number), max_steps=0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_training_on_tar_shards_goes_on_as_it_would_have(tmp_path, run, monkeypatch, num_workers):
    source = write_shards(tmp_path / "shards", number)
    run(source, "whole", num_workers=num_workers)
    step = torch.optim.AdamW.step
    with monkeypatch.context() as patch:
        done = []

        def stop(self, *args, **kwargs):
            done.append(len(done))
            if len(done) == 6:
                raise RuntimeError("stopped")
            return step(self, *args, **kwargs)

        patch.setattr(torch.optim.AdamW, "step", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            run(source, num_workers=num_workers, checkpoint_steps=1)
    run(source, num_workers=num_workers, resume=True)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_a_broken_picture_is_named(tmp_path, run):
    source = write_shards(tmp_path / "shards", number)
    broken = bytearray((tmp_path / "shards" / "train-1.tar").read_bytes())
    start = broken.index(b"\x89PNG")
    broken[start : start + 4] = b"oops"
    (tmp_path / "shards" / "train-1.tar").write_bytes(broken)
    with pytest.raises(ValueError, match=r"in batch \d of pass 0.*the image in row \d of `image`"):
        run(source)
