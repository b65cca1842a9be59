"""`train` and `adapt`: options by modality, and their help in groups."""

import re
from dataclasses import asdict, dataclass

import pytest
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from hf_anchornet.cli import adapt, modalities, train
from hf_anchornet.cli.main import main
from hf_anchornet.cli.modalities import Work, run_for_data
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.registration import (
    DEFAULT_IMAGE_CLASSIFIER,
    DEFAULT_IMAGE_LOCALIZER,
    DEFAULT_TEXT_CLASSIFIER,
    DEFAULT_TEXT_LOCALIZER,
)
from hf_anchornet.training.command import write_command
from hf_anchornet.training.options import TrainingOptions

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")
SCREEN = 24


@dataclass
class Words:
    """Options for texts."""

    length: int = 3


@dataclass
class Pixels:
    """Options for images."""

    width: int = 4


@pytest.fixture
def works():
    return {
        "text": Work([Words], lambda *options: {"options": options}),
        "image": Work([Pixels], dict),
    }


@pytest.fixture
def reviews(tmp_path):
    rows = {"text": ["good", "bad"], "label": ["positive", "negative"]}
    Dataset.from_dict(rows).to_csv(tmp_path / "reviews.csv")
    return str(tmp_path / "reviews.csv")


def read_groups(shown):
    """The lines of each group of a help text, by title."""
    parts = re.findall(r"^([a-z ()]+):\n((?:  .*\n)+)", shown, flags=re.MULTILINE)
    return {title: lines.splitlines() for title, lines in parts}


def test_the_work_gets_the_options_of_the_modality(works, reviews):
    report = run_for_data(works, {"dataset": reviews, "output_dir": "out", "length": 5})
    assert report["options"] == (DataOptions(reviews), Words(5), TrainingOptions("out"))


@dataclass
class Models:
    """Options that name models."""

    from_localizer: str | None = None
    classifier: str | None = None


def test_default_names_the_shipped_models_of_the_modality(reviews, tmp_path):
    work = Work([Models], lambda *options: {"options": options})
    works = {"text": work, "image": work}
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    rows = Dataset.from_dict({"image": [str(tmp_path / "0.png")], "label": ["black"]})
    rows.cast_column("image", ImageFeature()).to_parquet(tmp_path / "photos.parquet")
    named = {"output_dir": "out", "from_localizer": "default", "classifier": "default"}
    for source, localizer, classifier in [
        (reviews, DEFAULT_TEXT_LOCALIZER, DEFAULT_TEXT_CLASSIFIER),
        (str(tmp_path / "photos.parquet"), DEFAULT_IMAGE_LOCALIZER, DEFAULT_IMAGE_CLASSIFIER),
    ]:
        _, models, _ = run_for_data(works, {"dataset": source, **named})["options"]
        assert models == Models(str(localizer), str(classifier))
        command = write_command("train", [Models], asdict(models))
        assert command == "anchornet train --from-localizer default --classifier default"
    others = {"output_dir": "out", "from_localizer": "you/default"}
    _, models, _ = run_for_data(works, {"dataset": reviews, **others})["options"]
    assert models == Models("you/default")


def test_the_modality_is_found_once(works, reviews, monkeypatch):
    asked = []
    detect_modality = modalities.detect_modality
    monkeypatch.setattr(
        modalities, "detect_modality", lambda data: asked.append(data) or detect_modality(data)
    )
    run_for_data(works, {"dataset": reviews, "output_dir": "out"})
    assert asked == [DataOptions(reviews)]


def test_an_option_of_the_other_modality_is_refused(works, reviews):
    with pytest.raises(ValueError, match="`width` must not be given for texts, it is an option fo"):
        run_for_data(works, {"dataset": reviews, "output_dir": "out", "width": 5})


def test_an_unknown_option_is_reported_before_the_dataset_is_opened(works):
    with pytest.raises(TypeError, match="unknown option `lenght`; did you mean `length`"):
        run_for_data(works, {"dataset": "no/such/dataset", "lenght": 5})


def test_an_unknown_option_of_the_command_is_reported_with_the_nearest_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--dataset", "x", "--epochs", "3"])
    assert "unknown option `--epochs`; did you mean `--num-epochs`?" in capsys.readouterr().err


def test_a_bad_value_is_one_line_and_exit_code_2(reviews, capsys):
    argv = ["--dataset", reviews, "--output-dir", "out", "--num-epochs", "0"]
    assert main(["train", *argv]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("anchornet: error: `--num-epochs` must be at least 1, got 0")


@pytest.mark.parametrize("command", ["train", "adapt"])
def test_help_has_groups_of_at_most_a_screen_and_prints_nothing_twice(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    groups = read_groups(shown)
    topics = ["data", *["start"] * (command == "train"), "model", "epochs", "optimisation"]
    topics += ["regularisation", "checkpoints", "scale"]
    assert [*groups][1 : len(topics) + 1] == topics
    assert {"start (texts only)", "model (texts only)", "model (images only)"} <= set(groups)
    assert max(map(len, groups.values())) <= SCREEN
    flags = re.findall(r"^  (--[a-z-]+)", shown.partition("examples:")[0], flags=re.MULTILINE)
    assert len(flags) == len(set(flags)) > 30
    assert "_" not in " ".join(flags)


def test_help_gives_the_defaults_of_both_modalities(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    assert "(default: 128 for texts, 96 for images)" in capsys.readouterr().out


@pytest.mark.parametrize("command", [train, adapt])
def test_each_option_is_explained_where_it_stands(command):
    for options in modalities.group_options(command.WORKS).values():
        for name, variants in options.items():
            for option in variants.values():
                assert option.text, name
                assert not option.text.startswith("See "), name
