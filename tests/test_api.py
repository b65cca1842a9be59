"""The commands as Python functions, and the names of the package."""

import json
import pydoc
from pathlib import Path

import pytest
from datasets import Dataset
from planted_texts import FAST, SMALL, plant

import hf_anchornet
from hf_anchornet.cli.main import main
from hf_anchornet.registration import DEFAULTS

ROOT = Path(__file__).parent.parent
VERBS = ("adapt", "build", "calibrate", "evaluate", "load", "publish", "train")

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


def test_no_folder_or_file_of_the_package_has_the_name_of_a_function():
    names = {path.stem for path in Path(hf_anchornet.__file__).parent.iterdir()}
    assert not names & set(VERBS)


def test_dir_lists_the_public_names_and_no_module():
    listed = dir(hf_anchornet)
    assert set(VERBS) < set(hf_anchornet.__all__) <= set(listed)
    others = set(listed) - set(hf_anchornet.__all__)
    assert all(name.startswith("__") and name.endswith("__") for name in others)


def test_help_fits_a_screen_and_names_each_verb():
    shown = pydoc.render_doc(hf_anchornet, renderer=pydoc.plaintext)
    assert shown.count("\n") <= 50
    assert all(f"\n        {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("verb", ["train", "adapt"])
def test_an_unknown_option_of_a_training_is_reported_with_the_nearest_one(verb):
    with pytest.raises(TypeError, match="unknown option `epochs`; did you mean `num_epochs`"):
        getattr(hf_anchornet, verb)(dataset="x", output_dir="y", epochs=3)


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [
        (
            "calibrate",
            "dataset localizer classifier output_dir maxloss",
            "`maxloss`; did you mean `max_loss",
        ),
        ("evaluate", "dataset model explainer", "`explainer`; did you mean `explainers`"),
        ("publish", "folder repo_id dryrun", "`dryrun`; did you mean `dry_run`"),
    ],
)
def test_an_unknown_option_is_reported_with_the_nearest_one(verb, arguments, message):
    with pytest.raises(TypeError, match=f"unknown option {message}"):
        getattr(hf_anchornet, verb)(**dict.fromkeys(arguments.split(), "x"))


def test_a_localizer_and_a_classifier_are_trained_calibrated_and_scored(tmp_path):
    data = plant(tmp_path / "data", 96)
    localizer, classifier, cascade = (tmp_path / name for name in ("one", "two", "three"))
    few = {"num_epochs": 1, "seed": 0}
    report = hf_anchornet.train(data, localizer, **SMALL, **FAST, **few)
    assert json.loads((localizer / "training.json").read_text()).keys() == report.keys()
    hf_anchornet.adapt(
        data, classifier, localizer=localizer, max_tokens=8, vocab_size=200, hidden_size=16, **few
    )
    kept = {"stages": ["8"], "max_loss": 1.0, "keep_classifier": True}
    made = hf_anchornet.calibrate(data, localizer, classifier, cascade, **kept)
    assert isinstance(made, hf_anchornet.Cascade)
    assert (cascade / "calibration.json").exists()
    scores = hf_anchornet.evaluate(data, localizer, classifier=cascade, split="validation")
    argv = ["evaluate", "--dataset", data, "--model", str(localizer), "--split", "validation"]
    argv += ["--classifier", str(cascade), "--output", str(tmp_path / "scores.json")]
    assert main(argv) == 0
    assert set(json.loads((tmp_path / "scores.json").read_text())) == set(scores)
    localize = hf_anchornet.load(cascade)
    assert localize.cascade is not None
    assert "classifier" in localize("the film was superb")


def test_a_dry_run_of_publishing_builds_the_folder(localizer_folder, tmp_path):
    built = tmp_path / "built"
    done = hf_anchornet.publish(localizer_folder, "you/it", dry_run=True, build_dir=built)
    assert done is None
    assert (built / "README.md").exists()


def test_the_shipped_text_localizer_is_loaded_by_default():
    localize = hf_anchornet.load()
    assert localize.task_name == "span-localization"
    assert localize("A wonderful film.")["label"] == "positive"


def test_the_task_of_an_image_model_is_patch_localization(image_localizer_folder):
    assert hf_anchornet.load(image_localizer_folder).task_name == "patch-localization"


def test_a_folder_may_be_a_path_and_options_reach_the_pipeline(localizer_folder):
    localize = hf_anchornet.load(Path(localizer_folder), top_k=1)
    assert localize.task_name == "span-localization"
    assert len(localize("good , not bad")["spans"]) == 1


def test_the_shipped_classifier_is_named_default():
    localize = hf_anchornet.load(task="patch-localization", classifier="default")
    assert localize.model.name_or_path == str(DEFAULTS["patch-localization"][0])
    assert localize.reader is not None


def test_a_model_that_is_no_localizer_is_refused(classifier_folder):
    with pytest.raises(ValueError, match=r'`source` must be an AnchorNet, got .* of type "bert"'):
        hf_anchornet.load(classifier_folder)


@pytest.mark.parametrize("load", [hf_anchornet.load, hf_anchornet.Cascade.from_pretrained])
def test_a_cascade_without_its_localizer_names_the_remedy(load):
    with pytest.raises(OSError, match="give this folder as `classifier` to the pipeline"):
        load(hf_anchornet.DEFAULT_TEXT_CASCADE)


@pytest.mark.parametrize("verb", ["train", "build"])
def test_a_dataset_that_was_loaded_is_refused_with_what_to_do(verb, tmp_path):
    rows = Dataset.from_dict({"text": ["a"], "label": [0]})
    for given, name in ((rows, "Dataset"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"`dataset` must be .*, got {name}; write"):
            getattr(hf_anchornet, verb)(given, str(tmp_path / "run"))


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="`task` must be one of span-localization, patch-"):
        hf_anchornet.load(task="text-classification")


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(OSError, match="`source` must be the folder or Hub id of a model, got 'no/"):
        hf_anchornet.load("no/folder")


def test_stages_may_be_numbers(monkeypatch):
    seen = []
    monkeypatch.setattr("hf_anchornet.cli.calibrate.build_cascade", seen.append)
    hf_anchornet.calibrate("d", "l", "c", "o", stages=[32, "full"])
    assert seen[0]["stages"] == ["32", "full"]
