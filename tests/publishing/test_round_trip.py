"""Models pushed to a stub of the Hub and loaded by id, each time in a new process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import BLOCK_THE_PACKAGE
from hub_stub import running_stub
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from hf_anchornet import (
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_CLASSIFIER,
    DEFAULT_TEXT_LOCALIZER,
    SAMPLE_IMAGE,
    SAMPLE_REVIEW,
    Cascade,
    PatchLocalizationPipeline,
    SpanLocalizationPipeline,
)
from hf_anchornet.model.image_localizer import ImageLocalizer
from hf_anchornet.model.text_localizer import TextLocalizer

STAGES = [32, 64, "full"]
IDS = [[11, 12, 13, 200, 7]]
START = f"""
import json, sys
import torch
from transformers import (
    AutoImageProcessor, AutoModel, AutoModelForImageClassification,
    AutoModelForSequenceClassification, AutoTokenizer, pipeline,
)
image, review, ids, pixels = {str(SAMPLE_IMAGE)!r}, open({str(SAMPLE_REVIEW)!r}).read(), \
torch.tensor({IDS}), torch.linspace(-1, 1, 3 * 128 * 128).view(1, 3, 128, 128)
"""
PUSH = f"""
from hf_anchornet import *
from hf_anchornet.publishing.folder import build_folder
from hf_anchornet.publishing.upload import upload_folder
text = AutoModelForSequenceClassification.from_pretrained(DEFAULT_TEXT_LOCALIZER)
text.push_to_hub("user/reviews")
AutoTokenizer.from_pretrained(DEFAULT_TEXT_LOCALIZER).push_to_hub("user/reviews")
model = AutoModelForImageClassification.from_pretrained(DEFAULT_IMAGE_LOCALIZER)
processor = AutoImageProcessor.from_pretrained(DEFAULT_IMAGE_LOCALIZER)
for name, options in [
    ("user/airfields", {{}}), ("user/secret", {{"private": True}}),
    ("user/shards", {{"max_shard_size": "100KB"}}),
]:
    model.push_to_hub(name, **options)
    processor.push_to_hub(name)
cascade = Cascade.load(DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER, {STAGES})
cascade.push_to_hub("user/cascade", private=True)
cascade.save_pretrained("cascade")
for source, name in [("cascade", "reviews"), (DEFAULT_IMAGE_LOCALIZER, "airfields")]:
    build_folder(source, f"built/{{name}}")
    upload_folder(f"built/{{name}}", f"user/published-{{name}}")
with torch.no_grad():
    model.aggregation.bias += 1
model.push_to_hub("user/airfields", revision="v2")
answer = "pushed"
"""
LOAD = """
import hf_anchornet
answer = {
    "base": AutoModel.from_pretrained(REVIEWS)(ids).features[0].shape[-1],
    "text logits": AutoModelForSequenceClassification.from_pretrained(REVIEWS)(ids).logits.tolist(),
    "spans": pipeline("span-localization", model=REVIEWS)(review),
    "patches": pipeline("patch-localization", model=AIRFIELDS)(image),
    "stock": pipeline("text-classification", model=REVIEWS)("superb")[0]["label"],
    "stock image": pipeline("image-classification", model=AIRFIELDS)(image)[0]["label"],
}
for name, revision in [(AIRFIELDS, "main"), (AIRFIELDS, V2), (SHARDS, "main"), (SECRET, "main")]:
    model = AutoModelForImageClassification.from_pretrained(name, revision=revision)
    answer[f"{name} {revision}"] = model(pixels).logits.tolist()
cascade = hf_anchornet.Cascade.from_pretrained(CASCADE)
answer["cascade"] = {k: v for k, v in cascade(review, 1.0).items() if k != "cost"}
"""
PUSHED = {
    "REVIEWS": "user/reviews",
    "AIRFIELDS": "user/airfields",
    "SHARDS": "user/shards",
    "SECRET": "user/secret",
    "CASCADE": "user/cascade",
    "V2": "v2",
}
PUBLISHED = {
    name: "user/published-reviews" if name in ("REVIEWS", "CASCADE") else "user/published-airfields"
    for name in PUSHED
} | {"V2": "main"}
REMOTE = """
trust = {"trust_remote_code": True}
reviews, airfields = "user/published-reviews", "user/published-airfields"
model = AutoModelForImageClassification.from_pretrained(airfields, **trust)
text = AutoModelForSequenceClassification.from_pretrained(reviews, **trust)
processor = AutoImageProcessor.from_pretrained(airfields, **trust)
localize = pipeline("span-localization", model=reviews, classifier=reviews, **trust)
answer = {
    "base": AutoModel.from_pretrained(reviews, **trust)(ids).features[0].shape[-1],
    "text logits": text(ids).logits.tolist(),
    "user/airfields main": model(pixels).logits.tolist(),
    "processed": list(processor(image, return_tensors="pt")["pixel_values"].shape),
    "spans": localize(review),
    "patches": pipeline("patch-localization", model=airfields, **trust)(image),
    "modules": sorted(name for name in sys.modules if name.startswith("hf_anchornet")),
}
"""
REFUSED = """
from hf_anchornet import Cascade
answer = []
for token in (False, "wrong"):
    for load, name in [
        (AutoModelForImageClassification.from_pretrained, "user/secret"),
        (Cascade.from_pretrained, "user/cascade"),
        (Cascade.from_pretrained, "user/reviews"),
    ]:
        try:
            load(name, token=token, cache_dir="elsewhere")
        except OSError as error:
            answer.append(str(error))
"""


@pytest.fixture(scope="module")
def stub():
    with running_stub() as running:
        yield running


@pytest.fixture(scope="module")
def run(stub, tmp_path_factory):
    """Run code in a new process with a token and a common cache; gives its `answer`."""
    folder = tmp_path_factory.mktemp("client")

    def run(code, names=(), package=True, **environment):
        given = "".join(f"{name} = {value!r}\n" for name, value in dict(names).items())
        code = f"{'' if package else BLOCK_THE_PACKAGE}{START}{given}{code}"
        code += "\nopen('answer.json', 'w').write(json.dumps(answer))"
        root = str(Path(__file__).parents[2])
        variables = {name: os.environ[name] for name in os.environ if name != "HF_HUB_OFFLINE"}
        variables |= stub.environment(folder / "home") | {"PYTHONPATH": root} | environment
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads((folder / "answer.json").read_text("utf-8"))

    return run


@pytest.fixture(scope="module")
def pushed(run):
    return run(PUSH)


@pytest.fixture(scope="module")
def loaded(run, pushed):
    return run(LOAD, PUSHED)


@pytest.fixture(scope="module")
def remote(run, pushed):
    return run(REMOTE, package=False)


@pytest.fixture(scope="module")
def expected():
    """The answers of the shipped folders in this process."""
    text = AutoModelForSequenceClassification.from_pretrained(DEFAULT_TEXT_LOCALIZER)
    image = AutoModelForImageClassification.from_pretrained(DEFAULT_IMAGE_LOCALIZER)
    tokenizer = TextLocalizer.load(DEFAULT_TEXT_LOCALIZER).tokenizer
    processor = ImageLocalizer.load(DEFAULT_IMAGE_LOCALIZER).processor
    review = SAMPLE_REVIEW.read_text("utf-8")
    cascade = Cascade.load(DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER, STAGES)
    pixels = torch.linspace(-1, 1, 3 * 128 * 128).view(1, 3, 128, 128)
    with torch.no_grad():
        return {
            "text logits": text(torch.tensor(IDS)).logits,
            "user/airfields main": image(pixels).logits,
            "spans": SpanLocalizationPipeline(model=text, tokenizer=tokenizer)(review),
            "patches": PatchLocalizationPipeline(model=image, image_processor=processor)(
                str(SAMPLE_IMAGE)
            ),
            "cascade": cascade(review, 1.0),
            "exits": tuple(cascade(review)[key] for key in ("label", "stage")),
        }


def assert_answers(found, expected):
    """Check that texts, boxes, labels and logits are equal up to rounding."""
    assert found["base"] == 128
    for name in ("text logits", "user/airfields main"):
        assert_logits(found[name], expected[name])
    for name, parts, keys in [
        ("spans", "spans", ["start", "end", "text", "label", "scale"]),
        ("patches", "patches", ["box", "label", "scale"]),
    ]:
        shown = [[part[key] for key in keys] for part in found[name][parts]]
        assert shown == [[part[key] for key in keys] for part in expected[name][parts]]
        assert found[name]["score"] == pytest.approx(expected[name]["score"], rel=1e-5)


def assert_logits(found, expected):
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-5, atol=1e-5)


def test_models_and_pipelines_work_by_id(loaded, expected):
    assert_answers(loaded, expected)
    assert loaded["stock"] == "positive"
    assert loaded["stock image"] == loaded["patches"]["label"]


def test_a_revision_shards_and_a_private_repository_work_by_id(loaded, expected):
    assert_logits(loaded["user/airfields v2"], expected["user/airfields main"] + 1)
    for name in ("user/shards main", "user/secret main"):
        assert_logits(loaded[name], expected["user/airfields main"])


def test_shards_are_several_and_private_ones_are_private(stub, pushed):
    names = stub.repos["user/shards"].files()
    assert sum(name.endswith(".safetensors") for name in names) > 1
    assert "model.safetensors.index.json" in names
    assert stub.repos["user/secret"].private
    assert not stub.repos["user/reviews"].private


def test_a_cascade_works_by_id(loaded, expected):
    assert loaded["cascade"]["label"] == expected["cascade"]["label"]
    assert loaded["cascade"]["stage"] == expected["cascade"]["stage"] == 3
    assert loaded["cascade"]["score"] == pytest.approx(expected["cascade"]["score"], rel=1e-5)


def test_remote_code_works_by_id_without_the_package(remote, expected):
    assert remote["modules"] == []
    assert_answers(remote, expected)
    assert remote["processed"][:2] == [1, 3]
    read = remote["spans"]["classifier"]
    assert (read["label"], read["stage"]) == expected["exits"]


@pytest.mark.slow
def test_a_published_folder_needs_no_trust_flag_with_the_package(run, pushed, expected):
    found = run(LOAD, PUBLISHED)
    found["user/airfields main"] = found["user/published-airfields main"]
    assert_answers(found, expected)


@pytest.mark.slow
def test_a_cached_model_works_offline(run, loaded, stub, expected):
    before = list(stub.requests)
    assert_answers(run(LOAD, PUSHED, HF_HUB_OFFLINE="1"), expected)
    assert stub.requests == before


@pytest.mark.slow
def test_a_private_repository_is_refused_without_a_token_and_with_a_wrong_one(run, pushed):
    model, cascade, no_cascade, *wrong = run(REFUSED)
    assert "make sure to pass a token" in model
    assert "`source` must be the Hub id or folder of a cascade, got 'user/cascade'" in cascade
    assert "make sure to pass a token" in cascade
    assert "does not appear to have a file named cascade.json" in no_cascade
    assert len(wrong) == 3
    assert all("Invalid credentials" in error for error in wrong), wrong
