"""The configuration: defaults, round trip, refusals."""

import json
from pathlib import Path

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetImageConfig,
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
)


def test_lists_that_are_left_out_are_filled_in():
    config = AnchorNetTextConfig(kernel_sizes=[3, 5])
    assert config.strides == [1, 1]
    assert config.dilations == [1, 1]
    assert config.branch_depths == [0, 1, 2]


def test_a_config_without_layers_reads_single_tokens():
    assert AnchorNetTextConfig(kernel_sizes=[]).branch_depths == [0]


def test_defaults_are_not_shared_between_configs():
    before = list(AnchorNetTextConfig().kernel_sizes)
    AnchorNetTextConfig().kernel_sizes.append(7)
    assert AnchorNetTextConfig().kernel_sizes == before


@pytest.mark.parametrize("fixture", ["config", "image_config"])
def test_saved_and_loaded_configs_are_equal(request, fixture, tmp_path):
    config = request.getfixturevalue(fixture)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is type(config)
    assert loaded.to_dict() | {"_name_or_path": ""} == config.to_dict()


@pytest.mark.parametrize("config_class", [AnchorNetTextConfig, AnchorNetImageConfig])
def test_what_a_saved_pipeline_adds_to_the_config_is_dropped(config_class):
    config = config_class(custom_pipelines={"span-localization": {}})
    assert not hasattr(config, "custom_pipelines")


def test_lists_given_as_strides_of_an_image_config_may_be_left_out():
    config = AnchorNetImageConfig(
        kernel_sizes=[3, 3], strides=[], channels=[4, 8], expand_ratios=[1, 1.5], branch_depths=[2]
    )
    assert config.strides == [1, 1]
    assert config.dilations == [1, 1]


def test_a_config_of_the_other_modality_is_refused(config, tmp_path):
    config.save_pretrained(tmp_path)
    message = '`model_type` of .* must be "anchornet_image", got "anchornet_text"; load it with'
    with pytest.raises(ValueError, match=message):
        AnchorNetImageConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_sizes": [3, 0]}, "`kernel_sizes` must be at least 1, got 0; give a positive"),
        ({"kernel_sizes": [3], "strides": [1, 1]}, "`strides` must have one entry for each of the"),
        ({"kernel_sizes": [3], "strides": [0]}, "`strides` must be at least 1, got 0"),
        ({"kernel_sizes": [3], "dilations": [1, 1]}, "`dilations` must have one entry for each"),
        ({"kernel_sizes": [3], "branch_depths": [0]}, r"`branch_depths` must rise .* got \[0\]"),
        ({"kernel_sizes": [3], "branch_depths": [1, 1]}, "`branch_depths` must rise strictly"),
        ({"kernel_sizes": [3], "branch_depths": [-1, 1]}, "`branch_depths` must rise strictly"),
        ({"vocab_size": 0}, "`vocab_size` must be at least 1, got 0"),
        ({"hidden_size": -1}, "`hidden_size` must be at least 1, got -1"),
        ({"hidden_act": "gello"}, r"`hidden_act` must be .* got 'gello'; it knows gelu, "),
        ({"chunk_size": 0}, "`chunk_size` must be at least 1, got 0"),
        ({"reading_scales": [0]}, "`reading_scales` must be at least 1, got 0"),
        ({"hidden_dropout_prob": 1.0}, r"`hidden_dropout_prob` must be in \[0, 1\), got 1.0"),
        ({"token_dropout_prob": -0.1}, r"`token_dropout_prob` must be in \[0, 1\), got -0.1"),
        ({"auxiliary_loss_weight": -1.0}, "`auxiliary_loss_weight` must be >= 0, got -1.0; 0"),
        ({"ngram_penalty": -1.0}, "`ngram_penalty` must be >= 0, got -1.0; 0 switches it off"),
    ],
)
def test_a_bad_value_is_refused_by_name(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        AnchorNetTextConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_sizes": [3] * 7}, "`channels` must have one entry for each of the 7"),
        ({"channels": [8] * 7}, "`channels` must have one entry for each of the 8 layers in"),
        (
            {"expand_ratios": [1] * 9},
            "`expand_ratios` must have one entry for each of the 8 layers",
        ),
        ({"channels": [0] * 8}, "`channels` must be at least 1, got 0"),
        ({"expand_ratios": [0.5] * 8}, "`expand_ratios` must be at least 1, got 0.5"),
        ({"num_channels": 0}, "`num_channels` must be at least 1, got 0"),
        (
            {"branch_depths": [0, 8]},
            r"`branch_depths` of an image .* at least 1, got \[0, 8\] over",
        ),
        ({"branch_depths": []}, "`branch_depths` of an image AnchorNet must be at least 1, got"),
        ({"branch_depths": [4, 6]}, r"`branch_depths` must rise .* layers \(8\), got \[4, 6\]"),
        (
            {
                "kernel_sizes": [],
                "strides": [],
                "channels": [],
                "expand_ratios": [],
                "branch_depths": [0],
            },
            "`branch_depths` of an image AnchorNet must be at least 1, got .* over 0 layers",
        ),
        ({"hidden_dropout_prob": 1.0}, r"`hidden_dropout_prob` must be in \[0, 1\), got 1.0"),
        (
            {"reading_scales": [31, 47]},
            r"`reading_scales` must be window sizes of this model, \[31, 63, 95\], got \[31, 47\]",
        ),
    ],
)
def test_a_bad_value_of_an_image_config_is_refused_by_name(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        AnchorNetImageConfig(**fields)


@pytest.mark.parametrize(
    ("config_class", "fields"),
    [
        (AnchorNetTextConfig, {"hidden_size": "16"}),
        (AnchorNetTextConfig, {"kernel_sizes": (3, 3)}),
        (AnchorNetTextConfig, {"strides": [1.0, 1.0]}),
        (AnchorNetImageConfig, {"channels": [8.5] * 8}),
        (AnchorNetImageConfig, {"expand_ratios": ["1"] * 8}),
        (AnchorNetImageConfig, {"squeeze_excite": "yes"}),
    ],
)
def test_a_bad_type_is_refused_by_name(config_class, fields):
    with pytest.raises((StrictDataclassError), match=f"field '{next(iter(fields))}'"):
        config_class(**fields)


@pytest.mark.parametrize(
    ("config_class", "fields", "message"),
    [
        (AnchorNetTextConfig, {"kernel_sizes": [1] * 1025}, "`kernel_sizes` must be at most 1,024"),
        (AnchorNetTextConfig, {"dilations": [1, 10**9]}, "`dilations` must give windows and"),
        (AnchorNetTextConfig, {"dilations": [1, 10**30]}, "at most 65,536 tokens or pixels, got"),
        (AnchorNetTextConfig, {"strides": [10**9, 1]}, "`strides` and `dilations` must give"),
        (AnchorNetTextConfig, {"kernel_sizes": [3, 10**9]}, "`kernel_sizes`, `strides` and"),
        (AnchorNetTextConfig, {"hidden_size": 10**9}, "`hidden_size` must leave the model at most"),
        (AnchorNetTextConfig, {"embedding_size": 10**9}, "`vocab_size` must leave the model"),
        (AnchorNetTextConfig, {"vocab_size": 10**12}, "`vocab_size` must leave the model"),
        (AnchorNetTextConfig, {"ngram_sizes": [10**9], "ngram_counts": [1]}, "`ngram_sizes` must"),
        (AnchorNetTextConfig, {"ngram_sizes": [1], "ngram_counts": [10**10]}, "`ngram_counts`"),
        (AnchorNetTextConfig, {"num_labels": 10**9}, "`num_labels` must be at most 65,536"),
        (AnchorNetTextConfig, {"id2label": {5: "a"}}, r"`id2label` must name .* got \[5\]"),
        (AnchorNetTextConfig, {"id2label": {0: "a", 2: "b"}}, r"`id2label` must name the labels"),
        (AnchorNetTextConfig, {"reading_scales": [10**30]}, "`reading_scales` must be at most"),
        (AnchorNetTextConfig, {"evidence_penalty": float("nan")}, "`evidence_penalty` must be"),
        (AnchorNetTextConfig, {"ngram_penalty": float("inf")}, "`ngram_penalty` must be >= 0"),
        (AnchorNetTextConfig, {"initializer_range": -1.0}, "`initializer_range` must be >= 0"),
        (AnchorNetTextConfig, {"layer_norm_eps": float("nan")}, r"`layer_norm_eps` must be in"),
        (AnchorNetTextConfig, {"layer_norm_eps": 0.0}, r"`layer_norm_eps` must be in \(0, 1\]"),
        (AnchorNetImageConfig, {"count_exponent": 1.5}, r"`count_exponent` must be in \[0, 1\]"),
        (AnchorNetImageConfig, {"batch_norm_eps": -1.0}, r"`batch_norm_eps` must be in \(0, 1\]"),
        (AnchorNetImageConfig, {"expand_ratios": [float("nan")] * 8}, "`expand_ratios` must be at"),
        (AnchorNetImageConfig, {"expand_ratios": [float("inf")] * 8}, "`expand_ratios` must be at"),
        (AnchorNetImageConfig, {"channels": [10**9] * 8}, "`channels` must leave the model"),
        (AnchorNetImageConfig, {"num_channels": 10**9}, "`num_channels` must leave the model"),
        (AnchorNetImageConfig, {"strides": [100] * 8}, "`strides` and `dilations` must give"),
    ],
)
def test_what_no_machine_holds_and_what_is_no_number_is_refused_at_once(
    config_class, fields, message
):
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        config_class(**fields)


@pytest.mark.parametrize("fixture", ["random_folder", "random_image_folder"])
@pytest.mark.parametrize("value", [-1, 10**12, "16", None, [1], float("nan")])
def test_a_hostile_size_in_a_folder_is_refused_by_name(request, fixture, value):
    path = Path(request.getfixturevalue(fixture), "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_size": value}))
    with pytest.raises((StrictDataclassError, ValueError), match="hidden_size"):
        AutoConfig.from_pretrained(path.parent)


def test_a_field_set_to_a_bad_value_later_is_refused_by_the_model(config, image_config):
    config.token_dropout_prob = 2.0
    with pytest.raises(StrictDataclassError, match="`token_dropout_prob` must be in"):
        AnchorNetTextForSequenceClassification(config)
    image_config.branch_depths = [1, 2]
    with pytest.raises(StrictDataclassError, match="`branch_depths` must rise strictly"):
        AnchorNetForImageClassification(image_config)


@pytest.mark.parametrize("config_class", [AnchorNetTextConfig, AnchorNetImageConfig])
def test_every_field_is_described(config_class):
    inherited = config_class.__mro__[1]
    fields = {*config_class.__annotations__, *inherited.__annotations__} - {"model_type"}
    described = config_class.__doc__ + inherited.__doc__
    assert [name for name in fields if f"        {name}: " not in described] == []
