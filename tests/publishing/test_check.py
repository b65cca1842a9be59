"""Only whole models with sound weights and no pickled file may be published."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_anchornet import AnchorNetTextModel
from hf_anchornet.publishing.check import check_folder


def change_weights(folder, change):
    path = f"{folder}/model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    "name",
    [
        "localizer_folder",
        "image_localizer_folder",
        "classifier_folder",
        "image_classifier_folder",
    ],
)
def test_a_complete_model_may_be_published(request, name):
    check_folder(request.getfixturevalue(name))


def test_a_cascade_and_a_sharded_model_may_be_published(text_cascade, model, tokenizer, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade")
    check_folder(tmp_path / "cascade")
    model.save_pretrained(tmp_path / "shards", max_shard_size="2KB")
    tokenizer.save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    check_folder(tmp_path / "shards")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`folder` must be the folder of a saved model, got"):
        check_folder(tmp_path)
    with pytest.raises(ValueError, match=r"which has no config\.json; save one there"):
        check_folder(tmp_path / "missing")
    (tmp_path / "config.json").write_text('{"name": "not a model"}')
    with pytest.raises(ValueError, match="`folder` must hold a text or image classifier"):
        check_folder(tmp_path)


def test_a_model_without_a_head_is_refused(config, tmp_path):
    AnchorNetTextModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="got AnchorNetTextModel in"):
        check_folder(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.PT", "state/optimizer.pkl", "a.ckpt"])
def test_a_pickle_is_refused_in_any_subfolder(localizer_folder, tmp_path, name):
    path = tmp_path / "localizer" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match=f"`folder` must hold no pickled file, .* got {name}"):
        check_folder(localizer_folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-8],
        lambda content: content[:4],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: pickle.dumps({"weights": 1}),
        lambda content: b"",
    ],
)
def test_a_damaged_weights_file_is_refused(localizer_folder, tmp_path, damage):
    path = tmp_path / "localizer" / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read.*; save the model"):
        check_folder(localizer_folder)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda weights: weights.pop("aggregation.bias"), "missing keys: aggregation.bias"),
        (lambda weights: weights.update(extra=torch.ones(1)), "unexpected keys: extra"),
        (lambda weights: weights.update({"aggregation.bias": torch.ones(5)}), "mismatched keys"),
        (
            lambda weights: weights["aggregation.bias"].fill_(float("nan")),
            "aggregation.bias holds a number that is not finite",
        ),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused(localizer_folder, change, what):
    change_weights(localizer_folder, change)
    with pytest.raises(ValueError, match=f"(?s)`folder` must hold weights .*{what}"):
        check_folder(localizer_folder)


def test_a_model_without_weights_or_tokenizer_is_refused(localizer_folder, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "localizer" / name).unlink()
    with pytest.raises(ValueError, match="`folder` must hold the tokenizer or image processor"):
        check_folder(localizer_folder)
    (tmp_path / "localizer" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="`folder` must hold weights in safetensors files"):
        check_folder(localizer_folder)


def test_a_cascade_that_refers_to_this_machine_is_refused(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade", copy_classifier=False)
    with pytest.raises(ValueError, match=r"on this machine; save it with `copy_classifier=True`"):
        check_folder(tmp_path / "cascade")
    path = tmp_path / "cascade" / "cascade.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classifier": "user/elsewhere"}))
    check_folder(tmp_path / "cascade")


def test_a_damaged_cascade_file_is_named(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade")
    (tmp_path / "cascade" / "cascade.json").write_text("{")
    with pytest.raises(
        ValueError, match=r"`folder` must hold a sound cascade.json, got .* invalid JSON"
    ):
        check_folder(tmp_path / "cascade")
