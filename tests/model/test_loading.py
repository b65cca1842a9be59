"""Damaged and hostile folders: refused, never half loaded, and nothing in them is run."""

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, pipeline

from hf_anchornet import (
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
    Cascade,
    SpanReader,
)
from hf_anchornet.model.loading import find_bad_number, load_processor, load_whole
from hf_anchornet.model.localizer import load_localizer
from scripts.shrink import save_half

ROOT = Path(__file__).parents[2]
DAMAGES = {
    "truncated": lambda content: content[:-8],
    "cut in the header": lambda content: content[:4],
    "empty": lambda content: b"",
    "a header of 10^18 bytes": lambda content: struct.pack("<Q", 10**18) + content[8:],
    "a bit flipped in the header": lambda content: content[:20] + b"\x01" + content[21:],
    "a pickle": lambda content: pickle.dumps({"weights": 1}),
}
CHANGES = {
    "missing keys: aggregation.bias": lambda weights: weights.pop("aggregation.bias"),
    "unexpected keys: extra": lambda weights: weights.update(extra=torch.ones(1)),
    "weights have other shapes": lambda weights: weights.update(
        {"aggregation.bias": torch.ones(5)}
    ),
    "aggregation.bias holds a number that is not finite": lambda weights: weights[
        "aggregation.bias"
    ].fill_(float("nan")),
}


class RunsCode:
    """Pickled, it writes a file where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def change_weights(folder, change):
    path = Path(folder, "model.safetensors")
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def ways_to_load(folder):
    """Each way to a localizer."""
    return [
        lambda: AnchorNetTextForSequenceClassification.from_pretrained(folder),
        lambda: AutoModelForSequenceClassification.from_pretrained(folder),
        lambda: load_localizer(folder),
        lambda: pipeline("span-localization", model=folder),
        lambda: SpanReader.load(folder),
    ]


# Weights


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_weights_file_is_refused_by_every_way_to_load_it(random_folder, damage):
    path = Path(random_folder, "model.safetensors")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    for load in ways_to_load(random_folder):
        with pytest.raises((OSError, ValueError), match="a file cannot be read"):
            load()


@pytest.mark.parametrize("what", CHANGES)
def test_weights_that_do_not_fit_the_config_are_refused_and_never_made_up(random_folder, what):
    change_weights(random_folder, CHANGES[what])
    for load in ways_to_load(random_folder):
        with pytest.raises((OSError, ValueError), match=what):
            load()


def test_new_weights_are_made_where_they_are_asked_for(random_folder, model):
    change_weights(random_folder, lambda weights: weights.pop("aggregation.bias"))
    load = AnchorNetTextForSequenceClassification.from_pretrained
    loaded, info = load(random_folder, ignore_mismatched_sizes=True, output_loading_info=True)
    assert set(info["missing_keys"]) == {"aggregation.bias"}
    assert loaded.aggregation.heads[0].weight.equal(model.aggregation.heads[0].weight)


def test_who_asks_for_the_loading_information_reads_there_what_is_missing(random_folder):
    change_weights(random_folder, lambda weights: weights.pop("aggregation.bias"))
    load = AnchorNetTextForSequenceClassification.from_pretrained
    loaded, info = load(random_folder, output_loading_info=True)
    assert set(info["missing_keys"]) == {"aggregation.bias"}
    assert not loaded.aggregation.bias.any()


def test_weights_that_the_caller_gives_need_not_be_whole(model):
    weights = model.anchornet.state_dict(prefix="anchornet.")
    load = AnchorNetTextForSequenceClassification.from_pretrained
    loaded = load(None, config=model.config, state_dict=weights)
    assert loaded.anchornet.embeddings.weight.equal(model.anchornet.embeddings.weight)


def test_weights_of_other_shapes_are_the_error_that_transformers_raises_too(random_folder):
    load = AnchorNetTextForSequenceClassification.from_pretrained
    for kind in (OSError, RuntimeError):
        with pytest.raises(kind, match="weights have other shapes than it says"):
            load(random_folder, hidden_size=32)


def test_numbers_that_are_not_finite_are_refused_also_where_new_weights_are_asked_for(
    random_folder,
):
    change_weights(random_folder, lambda weights: weights["aggregation.bias"].fill_(torch.nan))
    load = AnchorNetTextForSequenceClassification.from_pretrained
    for options in ({"ignore_mismatched_sizes": True}, {"output_loading_info": True}):
        with pytest.raises(OSError, match=r"aggregation\.bias holds a number that is not finite"):
            load(random_folder, **options)


def test_the_trunk_of_a_classifier_is_loaded_without_its_head(random_folder, model):
    trunk = AnchorNetTextModel.from_pretrained(random_folder)
    assert trunk.embeddings.weight.equal(model.anchornet.embeddings.weight)


def test_a_head_for_a_trunk_is_made_only_where_it_is_asked_for(config, tmp_path):
    AnchorNetTextModel(config).save_pretrained(tmp_path)
    load = AnchorNetTextForSequenceClassification.from_pretrained
    with pytest.raises(OSError, match=r"missing keys: aggregation.*pass `ignore_mismatched_sizes"):
        load(tmp_path)
    assert load(tmp_path, ignore_mismatched_sizes=True).config.num_labels == 2


def test_a_classifier_without_its_head_is_refused(classifier_folder):
    change_weights(classifier_folder, lambda weights: weights.pop("classifier.bias"))
    with pytest.raises(OSError, match=r"`classifier` must be .*missing keys: classifier\.bias"):
        SpanReader.load(classifier_folder)


def test_half_of_a_damaged_model_is_not_saved(random_folder, tmp_path):
    change_weights(random_folder, lambda weights: weights.pop("aggregation.bias"))
    with pytest.raises(OSError, match="missing keys"):
        save_half(random_folder, tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_an_error_of_another_kind_passes_through():
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        load_whole(fail, "somewhere")


def test_a_bad_number_is_found_in_statistics_too(image_model):
    assert find_bad_number(image_model) is None
    norms = [name for name in image_model.state_dict() if name.endswith("running_var")]
    image_model.state_dict()[norms[0]][0] = float("inf")
    assert find_bad_number(image_model) == norms[0]


# Pickles and code


@pytest.mark.parametrize("sound", [False, True])
def test_a_pickled_file_is_never_opened(random_folder, tmp_path, sound):
    weights = load_file(Path(random_folder, "model.safetensors"))
    Path(random_folder, "model.safetensors").unlink()
    pickled = Path(random_folder, "pytorch_model.bin")
    if sound:
        torch.save(weights, pickled)
    else:
        pickled.write_bytes(pickle.dumps(RunsCode(tmp_path / "written")))
    for load in ways_to_load(random_folder):
        with pytest.raises((OSError, ValueError), match=r"no file named model\.safetensors"):
            load()
    assert not (tmp_path / "written").exists()


def test_asking_for_pickled_weights_is_refused(random_folder):
    with pytest.raises(ValueError, match="`use_safetensors` must be True, got False: pickled"):
        AnchorNetTextForSequenceClassification.from_pretrained(random_folder, use_safetensors=False)


def test_a_pickled_classifier_in_a_cascade_is_never_opened(text_cascade, tmp_path):
    folder = tmp_path / "cascade"
    text_cascade.save_pretrained(folder)
    (folder / "classifier" / "model.safetensors").unlink()
    (folder / "classifier" / "pytorch_model.bin").write_bytes(
        pickle.dumps(RunsCode(tmp_path / "written"))
    )
    with pytest.raises(OSError, match=r"`classifier` must be .*no file named model\.safetensors"):
        Cascade.from_pretrained(folder)
    assert not (tmp_path / "written").exists()


def test_code_in_a_folder_is_not_run_unless_it_is_trusted(classifier_folder, tmp_path):
    path = Path(classifier_folder, "config.json")
    auto_map = {
        "AutoConfig": "evil.Config",
        "AutoModelForSequenceClassification": "evil.Model",
    }
    changed = {"model_type": "evil", "auto_map": auto_map}
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    code = f"from pathlib import Path\nPath({str(tmp_path / 'written')!r}).touch()\n"
    Path(classifier_folder, "evil.py").write_text(code)
    for load in ways_to_load(classifier_folder):
        with pytest.raises((OSError, ValueError), match=r"trust_remote_code|`model_type`"):
            load()
    assert not (tmp_path / "written").exists()


def test_the_installed_code_serves_a_folder_that_brings_its_own(random_folder, tmp_path):
    path = Path(random_folder, "config.json")
    content = json.loads(path.read_text())
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    path.write_text(json.dumps(content | {"auto_map": auto_map}))
    code = f"from pathlib import Path\nPath({str(tmp_path / 'written')!r}).touch()\n"
    Path(random_folder, "evil.py").write_text(code)
    assert pipeline("span-localization", model=random_folder)("good")["spans"]
    assert not (tmp_path / "written").exists()


# Configurations and processors


@pytest.mark.parametrize("content", ["{", "[]", '"x"', "", "null", "\x00\x00"])
def test_a_config_that_describes_no_model_is_refused(random_folder, content):
    Path(random_folder, "config.json").write_text(content)
    with pytest.raises((OSError, ValueError), match=r"config\.json"):
        load_localizer(random_folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda _: b"", lambda _: b"[]"])
def test_a_damaged_tokenizer_is_refused(random_folder, name, damage):
    path = Path(random_folder, name)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match="`source` must hold a tokenizer or image processor that"):
        load_localizer(random_folder)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda _: b"", lambda _: b"[]"])
def test_a_damaged_image_processor_is_refused(random_image_folder, damage):
    path = Path(random_image_folder, "preprocessor_config.json")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match="`source` must hold a tokenizer or image processor that"):
        load_localizer(random_image_folder)


def test_the_bare_exception_of_a_library_is_named():
    def fail(_):
        raise Exception("data did not match any variant")

    with pytest.raises(OSError, match="got 'somewhere': Exception: data did not match"):
        load_processor(fail, "somewhere")


def test_a_tokenizer_with_more_tokens_than_the_model_knows_is_an_error(random_folder):
    path = Path(random_folder, "tokenizer.json")
    content = json.loads(path.read_text())
    content["model"]["vocab"] |= {"huge": 10**6}
    path.write_text(json.dumps(content))
    with pytest.raises(IndexError, match="index out of range"):
        pipeline("span-localization", model=random_folder)("huge")
