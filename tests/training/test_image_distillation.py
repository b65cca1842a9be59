"""Softer targets of images: smoothed labels, and a teacher that rates the views."""

import pytest
import torch
from accelerate import Accelerator
from conftest import relabel
from datasets import Dataset
from PIL import Image
from torch.testing import assert_close
from transformers import AutoImageProcessor, AutoModelForImageClassification

from hf_anchornet import AnchorNetImageProcessor
from hf_anchornet.cli.main import main
from hf_anchornet.training.image_distillation import ImageTeacher, SoftTargets
from hf_anchornet.training.image_options import ImageLocalizerOptions

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

PICTURES = [Image.effect_noise((40, 30), 80).convert("RGB"), Image.new("RGB", (30, 50), "red")]


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def processor():
    return AnchorNetImageProcessor(size={"shortest_edge": 30})


@pytest.fixture
def teacher(glance_folder, processor, accelerator):
    return ImageTeacher.load(glance_folder, ["cold", "warm"], processor, accelerator)


def test_a_teacher_rates_each_view_as_it_reads_pictures_in_the_order_of_the_labels(
    teacher, processor, glance_folder
):
    batch = processor(PICTURES, return_tensors="pt")
    assert batch["pixel_values"].shape[2:] == (50, 40)  # padded
    probs = teacher.rate(batch["pixel_values"], batch["pixel_mask"])
    model = AutoModelForImageClassification.from_pretrained(glance_folder)
    inputs = AutoImageProcessor.from_pretrained(glance_folder)(images=PICTURES, return_tensors="pt")
    with torch.no_grad():
        warm, cold = model(**inputs).logits.softmax(dim=-1).T
    assert_close(probs, torch.stack([cold, warm], dim=1), rtol=1e-4, atol=1e-5)
    assert (probs[0] - probs[1]).abs().max() > 1e-3


def test_a_teacher_of_other_labels_is_refused(glance_folder, processor, accelerator):
    message = r"`teacher` must know the labels \['cold', 'hot'\], got .* with \['cold', 'warm'\]"
    with pytest.raises(ValueError, match=message):
        ImageTeacher.load(glance_folder, ["hot", "cold"], processor, accelerator)


def test_labels_are_smoothed_as_torch_smooths_them():
    labels, logits = torch.tensor([2, 0]), torch.randn(2, 4)
    targets = SoftTargets(4, smoothing=0.2).soften(labels, torch.zeros(2, 3, 8, 8), None)
    assert_close(targets[0], torch.tensor([0.05, 0.05, 0.85, 0.05]))
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    assert_close(torch.nn.functional.cross_entropy(logits, targets), expected)


def test_several_labels_are_smoothed_one_by_one():
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    targets = SoftTargets(3, smoothing=0.2).soften(labels, torch.zeros(1, 3, 8, 8), None)
    assert_close(targets, torch.tensor([[0.9, 0.1, 0.9]]))


def test_the_teacher_has_its_share_of_the_targets(teacher):
    pixels = torch.randn(3, 3, 30, 30)
    rated = teacher.rate(pixels, None)
    labels = torch.tensor([0, 1, 1])
    targets = SoftTargets(2, 0.0, teacher, weight=0.75).soften(labels, pixels, None)
    assert_close(targets, 0.25 * torch.eye(2)[labels] + 0.75 * rated)


def test_softer_targets_are_for_training_only(image_model):
    pixels, labels = torch.randn(2, 3, 20, 20), torch.tensor([0, 1])
    image_model.config.auxiliary_loss_weight = 0.0
    hard = image_model.eval()(pixel_values=pixels, labels=labels).loss
    SoftTargets(image_model.config.num_labels, smoothing=0.5).attach(image_model)
    assert_close(image_model(pixel_values=pixels, labels=labels).loss, hard)
    image_model.train()
    output = image_model(pixel_values=pixels, labels=labels)
    expected = torch.nn.functional.cross_entropy(output.logits, labels, label_smoothing=0.5)
    assert_close(output.loss, expected)
    assert image_model(pixel_values=pixels).loss is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"distillation_weight": 1.5}, r"`distillation_weight` must be in \[0, 1\], got 1.5"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be in \[0, 1\), got 1.0"),
    ],
)
def test_shares_that_are_none_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        ImageLocalizerOptions(**option)


def test_a_gated_localizer_learns_from_a_teacher_by_the_command(glance_folder, tmp_path):
    model = AutoModelForImageClassification.from_pretrained(glance_folder)
    relabel(model, ["warm", "cold"])
    rows = {"image": PICTURES * 4, "label": ["cold", "warm"] * 4}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    argv = ["train", "--dataset", str(tmp_path / "data.parquet"), "--validation-split", "train"]
    argv += ["--output-dir", str(tmp_path / "run"), "--num-epochs", "1", "--image-size", "32"]
    argv += ["--crop-size", "32", "--channels", "8", "8", "--expand-ratios", "1", "1"]
    argv += ["--kernel-sizes", "3", "3", "--strides", "2", "1", "--branch-depths", "1", "2"]
    argv += ["--label-smoothing", "0.1", "--gated", "--count-exponent", "0.5"]
    assert main([*argv, "--teacher", glance_folder]) == 0
    config = AutoModelForImageClassification.from_pretrained(tmp_path / "run").config
    assert config.gated
    assert config.count_exponent == 0.5
