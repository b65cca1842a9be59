"""A Hub folder with its code, loaded by a process that has never heard of the package."""

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import BLOCK_THE_PACKAGE
from PIL import Image

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetImageConfig,
    AnchorNetImageModel,
    AnchorNetImageProcessor,
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
    Cascade,
    PatchLocalizationPipeline,
    SpanLocalizationPipeline,
)
from hf_anchornet.model.cascade_rule import ExitRule
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.publishing.folder import build_folder

TEXTS = ["the film was not good, a bad café film", "", "good \U0001f44d\U0001f3fd\r\nbad"]
START = f"""
{BLOCK_THE_PACKAGE}
import json
folder, inputs, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
"""


@pytest.fixture
def remote_folder(model, tokenizer, monkeypatch, tmp_path):
    """What a Hub repository with remote code holds: weights, tokenizer, ring files, auto map."""
    for owner, auto_class in (
        (AnchorNetTextConfig, "AutoConfig"),
        (AnchorNetTextModel, "AutoModel"),
        (AnchorNetTextForSequenceClassification, "AutoModelForSequenceClassification"),
    ):
        monkeypatch.setattr(owner, "_auto_class", auto_class)
    SpanLocalizationPipeline(model=model, tokenizer=tokenizer).save_pretrained(tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def remote_image_folder(image_model, image_processor, monkeypatch, tmp_path):
    """As `remote_folder`, of an image localizer."""
    for owner, auto_class in (
        (AnchorNetImageConfig, "AutoConfig"),
        (AnchorNetImageModel, "AutoModel"),
        (AnchorNetForImageClassification, "AutoModelForImageClassification"),
        (AnchorNetImageProcessor, "AutoImageProcessor"),
    ):
        monkeypatch.setattr(owner, "_auto_class", auto_class)
    localize = PatchLocalizationPipeline(model=image_model, image_processor=image_processor)
    localize.save_pretrained(tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def pictures(tmp_path):
    """Paths of pictures of several sizes."""
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, size in zip(paths, [(40, 40), (64, 35), (33, 50)], strict=True):
        Image.effect_noise(size, 90).save(path)
    return [str(path) for path in paths]


def run_without_the_package(code, folder, inputs):
    """What `code` puts into `answer`, in a fresh offline process that knows `folder`, `inputs`."""
    code = f"{START}{code}\nopen(out, 'w').write(json.dumps(answer))"
    out = folder.parent / "answer.json"
    environment = os.environ | {"HF_HOME": str(folder.parent / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(folder), json.dumps(inputs), str(out)],
        cwd=folder.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ("folder", "modality"), [("remote_folder", "text"), ("remote_image_folder", "image")]
)
def test_the_folder_holds_the_ring_files_and_nothing_pickled(request, folder, modality):
    names = {path.name for path in request.getfixturevalue(folder).iterdir()}
    assert {
        f"pipeline_anchornet_{modality}.py",
        f"modeling_anchornet_{modality}.py",
        "model.safetensors",
    } <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


def test_a_process_without_the_package_computes_the_same_logits(remote_folder, model, tokenizer):
    code = """
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
ids = AutoTokenizer.from_pretrained(folder)(inputs[0], return_tensors="pt").input_ids
answer = model(ids).logits.tolist()
"""
    with torch.no_grad():
        expected = model(tokenizer(TEXTS[0], return_tensors="pt").input_ids).logits
    logits = torch.tensor(run_without_the_package(code, remote_folder, TEXTS))
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-7)


def test_a_process_without_the_package_finds_the_same_spans(remote_folder, model, tokenizer):
    code = """
from transformers import pipeline
localize = pipeline("span-localization", model=folder, trust_remote_code=True)
answer = localize(inputs)
"""
    expected = SpanLocalizationPipeline(model=model, tokenizer=tokenizer)(TEXTS)
    answers = run_without_the_package(code, remote_folder, TEXTS)
    assert [answer["spans"] for answer in answers] == [
        [
            span | {key: pytest.approx(span[key], rel=1e-5) for key in ("evidence", "share")}
            for span in answer["spans"]
        ]
        for answer in expected
    ]


def test_a_process_without_the_package_computes_the_same_logits_of_images(
    remote_image_folder, image_model, image_processor, pictures
):
    code = """
from transformers import AutoImageProcessor, AutoModelForImageClassification
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True)
answer = model(**processor(inputs, return_tensors="pt")).logits.tolist()
"""
    with torch.no_grad():
        expected = image_model(**image_processor(pictures, return_tensors="pt")).logits
    logits = torch.tensor(run_without_the_package(code, remote_image_folder, pictures))
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-7)


def test_a_process_without_the_package_finds_the_same_boxes(
    remote_image_folder, image_model, image_processor, pictures
):
    code = """
from transformers import pipeline
localize = pipeline("patch-localization", model=folder, trust_remote_code=True)
answer = localize(inputs, batch_size=2)
"""
    localize = PatchLocalizationPipeline(model=image_model, image_processor=image_processor)
    answers = run_without_the_package(code, remote_image_folder, pictures)
    for answer, expected in zip(answers, localize(pictures), strict=True):
        assert [patch["box"] for patch in answer["patches"]] == [
            patch["box"] for patch in expected["patches"]
        ]
        assert answer["score"] == pytest.approx(expected["score"], rel=1e-5)
        assert [patch["share"] for patch in answer["patches"]] == pytest.approx(
            [patch["share"] for patch in expected["patches"]], rel=1e-4
        )


def test_a_process_without_the_package_goes_through_the_same_cascade(
    remote_folder, text_cascade, model, tokenizer
):
    # The cascade's file and classifier next to the localizer's: one folder.
    cascade = Cascade(TextLocalizer(model, tokenizer), text_cascade.reader, text_cascade.rule)
    cascade.save_pretrained(remote_folder.parent / "cascade")
    for name in ("cascade.json", "classifier"):
        (remote_folder.parent / "cascade" / name).rename(remote_folder / name)
    code = """
from transformers import pipeline
localize = pipeline("span-localization", model=folder, classifier=folder, trust_remote_code=True)
answer = [answer["classifier"] for answer in localize(inputs)]
"""
    answers = run_without_the_package(code, remote_folder, TEXTS)
    for answer, expected in zip(answers, cascade(TEXTS), strict=True):
        assert (answer["label"], answer["stage"]) == (expected["label"], expected["stage"])
        assert answer["score"] == pytest.approx(expected["score"], rel=1e-5)


def test_a_process_without_the_package_glances_alike(glance_cascade, pictures, tmp_path):
    cascade = glance_cascade.follow_rule(ExitRule.make(["glance", 1, "full"], [0.6, 0.9]))
    cascade.save_pretrained(tmp_path / "cascade")
    build_folder(tmp_path / "cascade", tmp_path / "repo")
    code = """
from transformers import pipeline
localize = pipeline("patch-localization", model=folder, classifier=folder, trust_remote_code=True)
answer = [answer["classifier"] for answer in localize(inputs, top_k=0)]
"""
    answers = run_without_the_package(code, tmp_path / "repo", pictures)
    for answer, expected in zip(answers, cascade(pictures), strict=True):
        assert (answer["label"], answer["stage"]) == (expected["label"], expected["stage"])
        assert answer["score"] == pytest.approx(expected["score"], rel=1e-5)
