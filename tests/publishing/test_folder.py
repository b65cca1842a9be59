"""The folder built for the Hub, and the command that builds and uploads it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from hf_anchornet.cli.main import main
from hf_anchornet.publishing.card import MARK, CardSources, make_card
from hf_anchornet.publishing.folder import build_folder

pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=:DeprecationWarning"
)  # huggingface_hub


def read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def test_a_localizer_gets_code_an_auto_map_a_pipeline_and_a_card(localizer_folder, tmp_path):
    names = {str(name) for name in build_folder(localizer_folder, tmp_path / "built")}
    saved = {path.name for path in Path(localizer_folder).iterdir()}
    assert saved < names
    assert {"README.md", "pipeline_anchornet_text.py", "configuration_anchornet.py"} < names
    config = read(tmp_path / "built", "config.json")
    assert sorted(config["auto_map"]) == [
        "AutoConfig",
        "AutoModel",
        "AutoModelForSequenceClassification",
    ]
    assert config["custom_pipelines"] == {
        "span-localization": {
            "impl": "pipeline_anchornet_text.SpanLocalizationPipeline",
            "pt": ["AutoModelForSequenceClassification"],
            "type": "text",
        }
    }
    for path in [*config["auto_map"].values(), "pipeline_anchornet_text.Pipeline"]:
        assert path.partition(".")[0] + ".py" in names


def test_an_image_processor_is_in_its_own_auto_map(image_localizer_folder, tmp_path):
    build_folder(image_localizer_folder, tmp_path / "built")
    assert "AutoImageProcessor" not in read(tmp_path / "built", "config.json")["auto_map"]
    assert read(tmp_path / "built", "preprocessor_config.json")["auto_map"] == {
        "AutoImageProcessor": "image_processing_anchornet.AnchorNetImageProcessor"
    }


def test_a_cascade_keeps_its_classifier_and_a_classifier_gets_no_code(
    text_cascade, classifier_folder, tmp_path
):
    text_cascade.save_pretrained(tmp_path / "cascade")
    names = {str(name) for name in build_folder(tmp_path / "cascade", tmp_path / "built")}
    assert {"cascade.json", "classifier/model.safetensors", "cascade.py"} < names
    names = {str(name) for name in build_folder(classifier_folder, tmp_path / "alone")}
    assert not any(name.endswith(".py") for name in names)


def test_a_training_report_is_published_without_its_local_path(localizer_folder, tmp_path):
    report = Path(localizer_folder, "training.json")
    report.write_text('{"options": {"output_dir": "/home/me", "seed": 0}}')
    build_folder(localizer_folder, tmp_path / "built")
    assert read(tmp_path / "built", "training.json") == {"options": {"seed": 0}}


def test_a_handwritten_card_is_kept_and_a_generated_one_is_regenerated(localizer_folder, tmp_path):
    readme = Path(localizer_folder, "README.md")
    readme.write_text("# Handwritten")
    build_folder(localizer_folder, tmp_path / "one")
    assert (tmp_path / "one" / "README.md").read_text() == "# Handwritten"
    readme.write_text(f"{MARK}\n# Of training")
    build_folder(localizer_folder, tmp_path / "two", CardSources(repo_id="user/reviews"))
    assert 'model="user/reviews"' in (tmp_path / "two" / "README.md").read_text()


def test_a_given_card_and_picture_are_published(localizer_folder, tmp_path):
    for name in ("card.md", "shown.png"):
        (tmp_path / name).write_text(name)
    sources = CardSources(card=str(tmp_path / "card.md"), picture=str(tmp_path / "shown.png"))
    build_folder(localizer_folder, tmp_path / "built", sources)
    assert (tmp_path / "built" / "README.md").read_text() == "card.md"
    assert (tmp_path / "built" / "shown.png").read_text() == "shown.png"


def test_a_target_that_is_not_empty_is_refused(localizer_folder, tmp_path):
    with pytest.raises(ValueError, match="`target` must be a new or empty folder"):
        build_folder(localizer_folder, tmp_path)


def publish(*options):
    return main(["publish", *options])


def test_a_dry_run_shows_the_files_and_uploads_nothing(
    localizer_folder, tmp_path, monkeypatch, capsys
):
    options = ["--folder", localizer_folder, "--repo_id", "user/reviews", "--dry_run"]
    assert publish(*options, "--build_dir", str(tmp_path / "built")) == 0
    shown = capsys.readouterr().out
    built = [path.name for path in (tmp_path / "built").iterdir()]
    assert all(name in shown for name in built)
    assert shown.endswith("dry run: nothing was uploaded to user/reviews\n")


def test_the_command_uploads_with_the_token_of_the_environment(
    localizer_folder, hub, monkeypatch, capsys
):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "token-of-user")
    options = ["--folder", localizer_folder, "--repo_id", "user/reviews", "--private"]
    assert publish(*options, "--revision", "v1") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{hub.url}/user/reviews/commit/")
    assert hub.repos["user/reviews"].private
    assert "model.safetensors" in hub.repos["user/reviews"].files("v1")
    assert "model.safetensors" not in hub.repos["user/reviews"].files()


def test_an_error_is_reported_in_one_line(localizer_folder, hub, monkeypatch, capsys):
    Path(localizer_folder, "optimizer.pt").write_bytes(b"")
    assert publish("--folder", localizer_folder, "--repo_id", "user/reviews") == 2
    error = capsys.readouterr().err
    assert error.startswith("anchornet: error: `--folder` must hold no pickled file")
    assert error.count("\n") == 1
    assert hub.repos == {}


def test_a_text_of_the_validation_split_is_shown_unless_it_is_to_be_left_out(
    localizer_folder, tmp_path, capsys
):
    data = {"dataset": "d", "train_split": "train", "validation_split": "dev", "num_rows": 9}
    data |= {"num_validation_rows": 3, "reading": "texts", "license": None}
    report = {"data": data | {"example": "a private film"}, "best": {"accuracy": 1.0}}
    Path(localizer_folder, "training.json").write_text(json.dumps(report))
    options = ["--folder", localizer_folder, "--repo-id", "user/reviews", "--dry-run"]
    assert publish(*options, "--build-dir", str(tmp_path / "shown")) == 0
    assert "the card shows a text of the validation split" in capsys.readouterr().out
    assert publish(*options, "--build-dir", str(tmp_path / "hidden"), "--no-example") == 0
    assert "validation split" not in capsys.readouterr().out
    for name in ("README.md", "training.json"):
        assert "a private film" in (tmp_path / "shown" / name).read_text("utf-8")
        assert "a private film" not in (tmp_path / "hidden" / name).read_text("utf-8")


def test_a_name_that_no_repository_can_have_is_refused(localizer_folder, capsys):
    assert publish("--folder", localizer_folder, "--repo-id", "bad id!", "--dry-run") == 2
    assert '`--repo-id` must be such as "name/model", got' in capsys.readouterr().err


def test_labels_are_escaped_in_the_card(localizer_folder):
    config = json.loads(Path(localizer_folder, "config.json").read_text("utf-8"))
    config |= {"id2label": {"0": "<b>x</b>", "1": "y"}, "label2id": {"<b>x</b>": 0, "y": 1}}
    Path(localizer_folder, "config.json").write_text(json.dumps(config))
    text = make_card(localizer_folder).text
    assert "(&lt;b&gt;x&lt;/b&gt;, y)" in text


@pytest.mark.parametrize("content", [b"print(1)", b"\x89PNG\r\n\x1a\n"])
def test_only_a_whole_picture_is_published(localizer_folder, tmp_path, capsys, content):
    (tmp_path / "shown.png").write_bytes(content)
    options = ["--folder", localizer_folder, "--repo-id", "user/reviews", "--dry-run"]
    assert publish(*options, "--picture", str(tmp_path / "shown.png")) == 2
    assert "`--picture` must be a whole .png or .jpg, got" in capsys.readouterr().err
    Image.new("RGB", (4, 4)).save(tmp_path / "shown.png")
    assert publish(*options, "--picture", str(tmp_path / "shown.png")) == 0


def test_a_report_that_is_not_of_speed_and_a_full_folder_are_refused(
    localizer_folder, tmp_path, capsys
):
    (tmp_path / "scores.json").write_text('{"split": "test"}')
    options = ["--folder", localizer_folder, "--repo-id", "user/reviews", "--dry-run"]
    assert publish(*options, "--speed", str(tmp_path / "scores.json")) == 2
    assert "`--speed` must be the JSON of `python -m scripts.bench" in capsys.readouterr().err
    assert publish(*options, "--build-dir", str(tmp_path)) == 2
    assert "`--build-dir` must be a new or empty folder" in capsys.readouterr().err
