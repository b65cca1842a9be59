"""Exactly the files of a model are published: nothing private, nothing through a link."""

import json
from pathlib import Path

import pytest

from hf_anchornet.cli.main import main
from hf_anchornet.publishing.card import CardSources
from hf_anchornet.publishing.check import check_folder
from hf_anchornet.publishing.folder import build_folder
from hf_anchornet.publishing.model_files import list_left_out, list_model_files

PRIVATE = (
    "passwords.txt",
    "service_account.json",
    "private.png",
    "notes.jinja",
    "vocabulary.model",
    "other.safetensors",
    "events.log",
    "evil.py",
    ".env",
    "onnx/notes.txt",
    "state/config.json",
)


@pytest.fixture
def folder(localizer_folder):
    return Path(localizer_folder)


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    return path


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / "model.safetensors").read_bytes())


def build(folder, target, **sources):
    return {name.as_posix() for name in build_folder(folder, target, CardSources(**sources))}


def test_private_files_in_the_folder_are_not_published(folder, tmp_path):
    put(folder, *PRIVATE)
    assert not build(folder, tmp_path / "built") & set(PRIVATE)


def test_the_records_of_training_and_calibration_are_published(folder, tmp_path):
    for name in ("training.json", "calibration.json", "generation_config.json"):
        (folder / name).write_text("{}")
    names = build(folder, tmp_path / "built")
    assert {"training.json", "calibration.json", "generation_config.json"} < names


def test_all_files_that_the_tokenizer_and_the_model_saved_are_published(folder, tmp_path):
    saved = {path.name for path in folder.iterdir()}
    assert saved < build(folder, tmp_path / "built")


def test_a_vocabulary_is_published_under_the_name_that_its_tokenizer_class_gives_it(
    classifier_folder, tmp_path
):
    folder = Path(classifier_folder)
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (folder / "vocab.txt").write_text("\n".join(["[UNK]", "[SEP]", *vocabulary]), "utf-8")
    assert "vocab.txt" in list_model_files(folder)


def test_an_exported_graph_is_published_with_its_data(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade")
    graphs = {"onnx/model.onnx", "onnx/model.onnx.data", "classifier/onnx/model.onnx"}
    for name in graphs:
        path = tmp_path / "cascade" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"graph")
    assert graphs < build(tmp_path / "cascade", tmp_path / "built")
    assert (tmp_path / "built" / "classifier/onnx/model.onnx").read_bytes() == b"graph"


def test_the_shards_named_in_the_index_are_published_and_no_others(model, tokenizer, tmp_path):
    folder = tmp_path / "shards"
    model.save_pretrained(folder, max_shard_size="2KB")
    tokenizer.save_pretrained(folder)
    shards = {path.name for path in folder.glob("*.safetensors")}
    (folder / "old.safetensors").write_bytes((folder / min(shards)).read_bytes())
    names = build(folder, tmp_path / "built")
    assert {name for name in names if name.endswith(".safetensors")} == shards
    assert "model.safetensors.index.json" in names


@pytest.mark.parametrize("name", ["../model.safetensors", "sub/model.safetensors", "passwords.txt"])
def test_an_index_that_names_a_file_elsewhere_is_refused(folder, name):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=rf"must name \.safetensors files beside it, got '{name}'"):
        list_model_files(folder)


def test_the_classifier_that_a_cascade_refers_to_is_not_published_from_an_old_folder(
    text_cascade, tmp_path
):
    text_cascade.save_pretrained(tmp_path)
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classifier": "user/elsewhere"}))
    assert not any(name.startswith("classifier/") for name in list_model_files(tmp_path))


def test_the_glance_of_a_cascade_is_published_unless_it_is_the_classifier(glance_cascade, tmp_path):
    glance_cascade.save_pretrained(tmp_path)
    check_folder(tmp_path)
    names = build(tmp_path, tmp_path.with_name("built"))
    assert {"glance/model.safetensors", "glance/preprocessor_config.json"} < names
    assert {"image_glance.py", "cascade_models.py"} < names
    (tmp_path / "glance" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="`folder` must hold"):
        check_folder(tmp_path)
    path = tmp_path / "cascade.json"
    same = {"size": 24, "is_classifier": True, "reference": None}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"glance": same}))
    check_folder(tmp_path)
    assert not any(name.startswith("glance/") for name in list_model_files(tmp_path))


def test_a_glance_on_this_machine_is_not_published_as_a_reference(glance_cascade, tmp_path):
    glance_cascade.save_pretrained(tmp_path)
    path = tmp_path / "cascade.json"
    here = {"size": 24, "is_classifier": False, "reference": str(tmp_path)}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"glance": here}))
    with pytest.raises(ValueError, match=f"refers to {tmp_path} on this machine"):
        check_folder(tmp_path)


def test_the_pictures_that_a_handwritten_card_shows_are_published(folder, tmp_path):
    put(folder, "shown.png", "plots/a b.jpg", "small.svg", "private.png")
    (folder / "README.md").write_text(
        "# Handwritten\n![spans](shown.png 'title') ![](./plots/a%20b.jpg)\n"
        '<img width="9" src="small.svg"> ![](https://hub/private.png) [link](private.png)'
        "![](../secret.png) ![](/etc/x.png) ![](passwords.txt) ![](missing.png)"
    )
    put(folder, "passwords.txt")
    found = {name for name in build(folder, tmp_path / "built") if not name.endswith(".py")}
    assert {"shown.png", "plots/a b.jpg", "small.svg"} < found
    assert not found & {"private.png", "passwords.txt", "missing.png"}


def test_the_pictures_that_a_given_card_shows_are_published(folder, tmp_path):
    put(folder, "shown.png")
    (tmp_path / "card.md").write_text("![](shown.png)")
    assert "shown.png" in build(folder, tmp_path / "built", card=str(tmp_path / "card.md"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_link_out_of_the_folder_is_refused_by_name(folder, tmp_path, name):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(ValueError, match=f"`folder` must hold the files .* got {name}, a link to"):
        build(folder, tmp_path / "built")
    assert not (tmp_path / "built").exists()


def test_a_record_or_picture_that_is_a_link_to_a_secret_is_refused(folder, tmp_path, secret):
    (folder / "README.md").write_text("![](shown.png)")
    for name in ("shown.png", "calibration.json"):
        (folder / name).symlink_to(secret)
        with pytest.raises(ValueError, match=f"got {name}, a link to .*secret.txt; put a copy"):
            build(folder, tmp_path / "built")
        (folder / name).unlink()


def test_a_folder_that_is_a_link_is_refused(text_cascade, classifier_folder, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade")
    (tmp_path / "cascade" / "classifier").rename(tmp_path / "elsewhere")
    (tmp_path / "cascade" / "classifier").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"got classifier/config\.json, a link to .*elsewhere"):
        build(tmp_path / "cascade", tmp_path / "built")


def test_a_link_that_is_no_file_of_the_model_is_left_out(folder, tmp_path, secret):
    (folder / "notes.txt").symlink_to(secret)
    built = build_folder(folder, tmp_path / "built")
    assert list_left_out(folder, built) == ["notes.txt"]
    assert not (tmp_path / "built" / "notes.txt").exists()


def make_snapshot(cascade, cache):
    """A cascade as the Hub's cache stores it: links to the blobs of its repository."""
    cascade.save_pretrained(cache / "plain")
    snapshot = cache / "models--user--cascade" / "snapshots" / "abc"
    blobs = cache / "models--user--cascade" / "blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted((cache / "plain").rglob("*.*"))):
        link = snapshot / path.relative_to(cache / "plain")
        link.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / str(number))
        up = Path(*[".."] * len(link.parent.relative_to(blobs.parent).parts))
        link.symlink_to(up / "blobs" / str(number))
    return snapshot


def test_a_snapshot_in_the_cache_of_the_hub_is_published(text_cascade, tmp_path):
    snapshot = make_snapshot(text_cascade, tmp_path)
    assert (snapshot / "config.json").is_symlink()
    names = build(snapshot, tmp_path / "built")
    assert {"model.safetensors", "classifier/model.safetensors", "cascade.json"} < names
    assert not (tmp_path / "built" / "config.json").is_symlink()
    assert "model.safetensors" in build(snapshot / "classifier", tmp_path / "alone")


@pytest.mark.parametrize("place", ["blobs_of_another", "models--user--other/blobs"])
def test_a_link_of_a_snapshot_to_another_repository_is_refused(text_cascade, tmp_path, place):
    snapshot = make_snapshot(text_cascade, tmp_path)
    other = tmp_path / place / "weights"
    other.parent.mkdir(parents=True)
    (snapshot / "model.safetensors").resolve().rename(other)
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(other)
    with pytest.raises(ValueError, match=r"got model\.safetensors, a link to"):
        build(snapshot, tmp_path / "built")


def test_the_names_that_were_left_out_stand_for_whole_folders(folder, tmp_path):
    put(folder, *PRIVATE, "onnx/model.onnx", "checkpoints/step_5/model.safetensors")
    built = build_folder(folder, tmp_path / "built")
    expected = {*PRIVATE, "checkpoints/", "state/"} - {"state/config.json"}
    assert list_left_out(folder, built) == sorted(expected)


def test_the_command_prints_what_is_left_out_in_one_line(folder, capsys):
    put(folder, "passwords.txt", "a\x1b[2J.txt")
    assert main(["publish", "--folder", str(folder), "--repo_id", "user/x", "--dry_run"]) == 0
    assert "\nleft out: a␛[2J.txt, passwords.txt\n" in capsys.readouterr().out


def test_nothing_is_printed_where_nothing_is_left_out(folder, capsys):
    assert main(["publish", "--folder", str(folder), "--repo_id", "user/x", "--dry_run"]) == 0
    assert "left out" not in capsys.readouterr().out
