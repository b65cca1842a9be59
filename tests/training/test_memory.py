"""Batches that stay below a bound of memory."""

from transformers import BertConfig, ResNetConfig

from hf_anchornet.training.memory import ACTIVATIONS, PER_UNIT, plan_batches


def test_a_larger_model_or_longer_text_gets_smaller_batches_of_the_same_step():
    mini = BertConfig(hidden_size=384, num_hidden_layers=6)
    base = BertConfig(hidden_size=768, num_hidden_layers=12)
    for config, longest in ((mini, 512), (mini, 64), (base, 512)):
        size, passes = plan_batches(config, longest, 16)
        assert size * passes == 16
        layers, width = config.num_hidden_layers, config.hidden_size
        assert size * PER_UNIT * width * layers * longest <= ACTIVATIONS
    assert plan_batches(base, 512, 16)[0] < plan_batches(mini, 512, 16)[0]
    assert plan_batches(mini, 64, 16) == (16, 1)


def test_networks_that_are_no_transformers_keep_their_batches():
    assert plan_batches(ResNetConfig(), 512, 16) == (16, 1)
