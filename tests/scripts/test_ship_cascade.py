"""A cascade is shipped without its localizer, and with adapters in place of a whole classifier."""

import pytest
import torch
from conftest import relabel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_anchornet import Cascade
from hf_anchornet.training.adapters import add_adapters
from hf_anchornet.training.fit import save_with_processor
from scripts.ship_cascade import Folders, ship_cascade

pytest.importorskip("peft")
TEXTS = ["the film was good , not bad , good", "bad , bad film", "a film"]


@pytest.fixture
def folders(text_cascade, classifier_folder, tmp_path):
    """A calibrated cascade whose classifier is read from adapters."""
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    relabel(model, text_cascade.labels)
    adapted = add_adapters(model, rank=2)
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    save_with_processor(tokenizer, adapted, str(tmp_path / "adapters"))
    text_cascade.localizer.save_pretrained(tmp_path / "localizer")
    cascade = Cascade.load(
        tmp_path / "localizer",
        str(tmp_path / "adapters"),
        text_cascade.rule.stages,
        text_cascade.rule.thresholds,
    )
    cascade.save_pretrained(tmp_path / "cascade")
    names = ("cascade", "adapters", "target")
    return Folders(**{name: str(tmp_path / name) for name in names})


def test_the_shipped_cascade_answers_as_the_calibrated_one(folders, tmp_path):
    ship_cascade(folders)
    calibrated = Cascade.from_pretrained(folders.cascade)
    shipped = Cascade.attach(folders.target, calibrated.localizer)
    assert shipped.rule == calibrated.rule
    for found, expected in zip(shipped(TEXTS, 1.0), calibrated(TEXTS, 1.0), strict=True):
        assert found["label"] == expected["label"]
        assert found["score"] == pytest.approx(expected["score"], abs=1e-3)
    weights = shipped.reader.model.state_dict().values()
    assert all(each.dtype == torch.float32 for each in weights if each.is_floating_point())


def test_neither_localizer_nor_checkpoint_is_copied(folders, tmp_path):
    ship_cascade(folders)
    names = {path.name for path in (tmp_path / "target").rglob("*") if path.is_file()}
    assert "cascade.json" in names
    assert "model.safetensors" not in names
    whole, shipped = (
        tmp_path.joinpath(*parts, "adapter_model.safetensors").stat().st_size
        for parts in (["adapters"], ["target", "classifier"])
    )
    assert shipped < 0.8 * whole


def test_a_folder_without_a_cascade_is_refused(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    folders.cascade = str(tmp_path / "empty")
    with pytest.raises(OSError, match=r"cascade\.json"):
        ship_cascade(folders)
