"""What tests of the command line share: a photo, and pipelines that know their answers."""

from pathlib import Path

import pytest
from fake_pipeline import FakeModels, FakePipeline
from PIL import Image
from transformers import BertConfig

from hf_anchornet import registration
from hf_anchornet.cli import demo

REVIEW = "The plot is thin, yet a wonderful cast carries it. " * 4


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (20, 20), "grey").save(path)
    return str(path)


@pytest.fixture
def fake(monkeypatch, tmp_path, photo):
    sample = tmp_path / "sample_review.txt"
    sample.write_text(REVIEW, encoding="utf-8")
    fake = FakePipeline()
    monkeypatch.setattr(registration, "pipeline", fake.load)
    monkeypatch.setattr(registration, "read_config", lambda source: BertConfig())  # no model
    shipped = {
        "span-localization": (Path("shipped/localizer"), Path("shipped/classifier")),
        "patch-localization": (Path("shipped/images"), Path("shipped/patches")),
    }
    monkeypatch.setattr(registration, "DEFAULTS", shipped)
    monkeypatch.setattr(demo.DemoModels, "load", lambda task: FakeModels(fake))
    monkeypatch.setattr(demo, "SAMPLE_REVIEW", sample)
    monkeypatch.setattr(demo, "SAMPLE_IMAGE", Path(photo))
    return fake
