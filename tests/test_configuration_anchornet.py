"""The configuration: defaults, round trip, refusals."""

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from hf_anchornet import AnchorNetTextConfig, AnchorNetTextForSequenceClassification


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


def test_saved_and_loaded_configs_are_equal(config, tmp_path):
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is AnchorNetTextConfig
    assert loaded.to_dict() | {"_name_or_path": ""} == config.to_dict()


def test_what_a_saved_pipeline_adds_to_the_config_is_dropped():
    config = AnchorNetTextConfig(custom_pipelines={"span-localization": {}})
    assert not hasattr(config, "custom_pipelines")


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
        ({"chunk_size": 0}, "`chunk_size` must be at least 1, got 0"),
        ({"reading_scales": [0]}, "`reading_scales` must be at least 1, got 0"),
        ({"hidden_dropout_prob": 1.0}, r"`hidden_dropout_prob` must be in \[0, 1\), got 1.0"),
        ({"token_dropout_prob": -0.1}, r"`token_dropout_prob` must be in \[0, 1\), got -0.1"),
        ({"auxiliary_loss_weight": -1.0}, "`auxiliary_loss_weight` must be >= 0, got -1.0; 0"),
    ],
)
def test_a_bad_value_is_refused_by_name(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        AnchorNetTextConfig(**fields)


@pytest.mark.parametrize(
    "fields", [{"hidden_size": "16"}, {"kernel_sizes": (3, 3)}, {"strides": [1.0, 1.0]}]
)
def test_a_bad_type_is_refused_by_name(fields):
    with pytest.raises((StrictDataclassError), match=f"field '{next(iter(fields))}'"):
        AnchorNetTextConfig(**fields)


def test_a_field_set_to_a_bad_value_later_is_refused_by_the_model(config):
    config.token_dropout_prob = 2.0
    with pytest.raises(StrictDataclassError, match="`token_dropout_prob` must be in"):
        AnchorNetTextForSequenceClassification(config)


def test_every_field_is_described():
    fields = set(AnchorNetTextConfig.__annotations__) - {"model_type"}
    described = AnchorNetTextConfig.__doc__
    assert [name for name in fields if f"        {name}: " not in described] == []
