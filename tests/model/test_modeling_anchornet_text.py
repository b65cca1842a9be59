"""What only texts have: short and long ones, n-grams; and what transformers expects of a model.

The contract that both modalities keep is tested in `test_contract.py`.
"""

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet import (
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
)


def random_ids(config, *shape):
    return torch.randint(2, config.vocab_size, shape)


def total(evidence):
    return torch.stack([branch.sum(dim=1) for branch in evidence]).sum(dim=0)


# Short texts, padding on either side


@pytest.mark.parametrize("length", [1, 2, 8])
def test_the_evidence_of_clipped_windows_adds_up_too(model, length):
    output = model(random_ids(model.config, 2, length), output_evidence=True)
    assert_close(output.bias + total(output.evidence), output.logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_of_short_and_long_texts_changes_nothing(model, side):
    texts = [random_ids(model.config, 1, n) for n in (1, 4, 8, 9, 30)]
    width = 45
    ids = torch.zeros(len(texts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        n = text.shape[1]
        where = slice(0, n) if side == "right" else slice(width - n, width)
        ids[row, where], mask[row, where] = text[0], 1
    together = model(ids, attention_mask=mask, output_evidence=True)
    for row, text in enumerate(texts):
        alone = model(text, output_evidence=True)
        assert_close(together.logits[row], alone.logits[0], rtol=1e-5, atol=5e-6)
        for branch, (new, old) in enumerate(zip(together.evidence, alone.evidence, strict=True)):
            count = int(alone.masks[branch].sum())
            assert together.masks[branch][row].tolist() == [
                position < count for position in range(new.shape[1])
            ]
            assert_close(new[row, :count], old[0, :count], rtol=1e-5, atol=1e-6)
            assert (new[row, count:] == 0).all()


def test_the_bare_model_masks_the_windows_that_touch_padding(config):
    model = AnchorNetTextModel(config).eval()
    mask = torch.tensor([[1] * 12, [1] * 10 + [0] * 2])
    output = model(random_ids(config, 2, 12), attention_mask=mask)
    counts = [[int(row.sum()) for row in branch] for branch in output.masks]
    assert counts == [[12, 10], [10, 8], [8, 6], [4, 2]]
    assert [feature.shape[1] for feature in output.features] == [12, 10, 8, 4]


def test_a_text_shorter_than_a_window_gives_one_clipped_window(model):
    output = model(random_ids(model.config, 1, 4), output_evidence=True)
    assert [int(mask.sum()) for mask in output.masks] == [4, 2, 1, 1, 3]


def test_an_empty_text_predicts_the_bias(model):
    output = model(torch.zeros(1, 0, dtype=torch.long), output_evidence=True)
    assert_close(output.logits, output.bias)
    assert not any(mask.any() for mask in output.masks)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 2), (5, 2, 1)])
def test_a_layer_adds_the_centre_of_its_window(config, kernel, stride, dilation):
    config.kernel_sizes, config.strides, config.dilations = [kernel], [stride], [dilation]
    config.branch_depths = [0, 1]
    layer = AnchorNetTextModel(config).eval().layers[0]
    torch.nn.init.zeros_(layer.conv.weight)  # only the residual is left
    hidden, lost = torch.randn(1, 20, 16), (kernel - 1) * dilation
    expected = hidden[:, lost // 2 : 20 - lost // 2 : stride]
    assert_close(layer(hidden), expected, rtol=0, atol=0)


# N-grams


def test_an_unknown_ngram_scores_nothing_and_a_known_one_its_row(model):
    table, known = model.ngrams.tables[0], model.ngrams.codes_2[7]
    first, second = divmod(int(known), model.config.vocab_size + 1)
    scores = model.ngrams(torch.tensor([[first - 1, second - 1, 1]]), torch.ones(1, 3).bool())[0]
    assert_close(scores[0, 0], table.weight[8])
    assert not scores[0, 1].any()


# Long texts


@pytest.mark.parametrize("strides", [[1, 1, 1], [2, 1, 3]])
@pytest.mark.parametrize("chunk_size", [1, 7, 64])
def test_chunks_give_what_the_whole_text_gives(config, strides, chunk_size):
    config.strides = strides
    model = AnchorNetTextForSequenceClassification(config).eval()
    ids, mask = random_ids(config, 3, 200), torch.ones(3, 200)
    mask[1, 3:] = 0  # a text shorter than a window beside a long one
    mask[2, :90] = 0
    whole = model(ids, attention_mask=mask, output_evidence=True)
    model.config.chunk_size = chunk_size
    chunked = model(ids, attention_mask=mask, output_evidence=True)
    assert_close(chunked.logits, whole.logits, rtol=1e-5, atol=1e-5)
    for new, old in zip(chunked.evidence, whole.evidence, strict=True):
        assert_close(new, old, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rest", range(1, 8))
def test_a_last_piece_shorter_than_an_ngram_gives_what_the_whole_text_gives(config, rest):
    config.ngram_sizes, config.ngram_counts = [7], [5]
    model = AnchorNetTextForSequenceClassification(config).eval()
    ids = random_ids(config, 1, 60 + rest)
    whole = model(ids, output_evidence=True)
    model.config.chunk_size = 60
    chunked = model(ids, output_evidence=True)
    assert_close(chunked.logits, whole.logits, rtol=1e-5, atol=1e-5)
    for new, old in zip(chunked.evidence, whole.evidence, strict=True):
        assert_close(new, old, rtol=1e-5, atol=1e-5)


def test_a_hundred_thousand_tokens_never_reach_the_trunk_in_one_piece(config):
    config.chunk_size = 4096
    model = AnchorNetTextForSequenceClassification(config).eval()
    lengths = []
    count = model.anchornet.embeddings.register_forward_pre_hook
    count(lambda _, args: lengths.append(args[0].shape[1]))
    with torch.no_grad():
        output = model(random_ids(config, 1, 100_000), output_evidence=True)
    assert max(lengths) == 4096 + 9 - 1
    assert output.evidence[-1].shape == (1, 100_000 - 2 + 1, 2)
    assert_close(output.bias + total(output.evidence), output.logits, rtol=1e-5, atol=1e-6)


# What transformers expects


def without_dropout(model):
    model.config.token_dropout_prob = model.ngrams.dropout_prob = 0.0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def test_every_parameter_gets_a_gradient(model):
    ids = random_ids(model.config, 4, 400)
    without_dropout(model)(ids, labels=torch.tensor([0, 1, 1, 0])).loss.backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_training_adds_the_branches_own_losses_and_the_evidence_penalties(model):
    model.config.evidence_penalty, model.config.ngram_penalty = 0.01, 0.02
    ids, labels = random_ids(model.config, 3, 20), torch.tensor([0, 1, 1])
    output = without_dropout(model)(ids, labels=labels, output_evidence=True)
    cross_entropy = torch.nn.functional.cross_entropy
    alone = [
        cross_entropy(output.bias + 5 * branch.sum(dim=1), labels) for branch in output.evidence
    ]
    # with two labels, |e - mean| is half the difference for each of them
    totals = [(branch[..., 1] - branch[..., 0]).abs().sum() / 3 for branch in output.evidence]
    penalty = 0.01 * sum(totals[:-1]) + 0.02 * totals[-1]
    expected = cross_entropy(output.logits, labels) + 0.3 * torch.stack(alone).mean()
    assert model.config.ngram_sizes == [2]
    assert_close(output.loss, expected + penalty)
    assert_close(model.eval()(ids, labels=labels).loss, cross_entropy(output.logits, labels))


def test_ngram_codes_take_four_bytes_where_they_fit_and_eight_elsewhere():
    sizes = {"ngram_sizes": [1, 2, 3], "ngram_counts": [5, 5, 5]}
    config = AnchorNetTextConfig(vocab_size=30_000, embedding_size=8, hidden_size=16, **sizes)
    ngrams = AnchorNetTextForSequenceClassification(config).ngrams
    codes = (ngrams.codes_1, ngrams.codes_2, ngrams.codes_3)
    assert [code.element_size() for code in codes] == [4, 4, 8]


def test_probabilities_of_single_labels_train_with_a_softmax_loss(model):
    ids, probs = random_ids(model.config, 3, 20), torch.tensor([[0.3, 0.7], [1.0, 0.0], [0.5, 0.5]])
    model.config.problem_type = "single_label_classification"
    output = model.eval()(ids, labels=probs)
    assert_close(output.loss, -(probs * output.logits.log_softmax(dim=1)).sum(dim=1).mean())
    whole = model(ids, labels=torch.tensor([1, 0, 0])).loss
    assert_close(model(ids, labels=torch.eye(2)[[1, 0, 0]]).loss, whole)


def test_multi_label_targets_train_with_a_sigmoid_loss(config):
    config.problem_type = "multi_label_classification"
    model = AnchorNetTextForSequenceClassification(config).eval()
    targets = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    output = model(random_ids(config, 2, 20), labels=targets)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, targets)
    assert_close(output.loss, expected)


def test_saved_and_loaded_models_give_the_same_logits(model, tmp_path):
    ids = random_ids(model.config, 2, 20)
    model.save_pretrained(tmp_path)
    loaded = AnchorNetTextForSequenceClassification.from_pretrained(tmp_path)
    assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=0)


def test_half_precision_weights_load_as_half_precision_and_keep_evidence_in_float32(
    model, tmp_path
):
    model.half().save_pretrained(tmp_path)
    loaded = AnchorNetTextForSequenceClassification.from_pretrained(tmp_path)
    output = loaded(random_ids(model.config, 1, 20), output_evidence=True)
    assert loaded.dtype == torch.float16
    assert {branch.dtype for branch in output.evidence} == {torch.float32}


def test_tuples_and_model_outputs_agree(model):
    ids = random_ids(model.config, 2, 20)
    assert_close(model(ids, return_dict=False)[0], model(ids).logits)


def test_a_bad_field_given_to_from_pretrained_is_refused(model, tmp_path):
    model.save_pretrained(tmp_path)
    with pytest.raises(Exception, match="`hidden_dropout_prob` must be in"):
        AnchorNetTextForSequenceClassification.from_pretrained(tmp_path, hidden_dropout_prob=2.0)


def test_token_dropout_acts_in_training_only(config):
    config.hidden_dropout_prob, config.token_dropout_prob = 0.0, 0.5
    model = AnchorNetTextForSequenceClassification(config)
    ids = random_ids(config, 1, 50)
    assert not torch.equal(model.train()(ids).logits, model(ids).logits)
    assert torch.equal(model.eval()(ids).logits, model(ids).logits)


def test_the_model_compiles_to_one_graph(model):
    exported = torch.export.export(
        model,
        (random_ids(model.config, 2, 30),),
        {"output_evidence": True},
        dynamic_shapes={
            "input_ids": {1: torch.export.Dim("tokens", min=10, max=1000)},
            "output_evidence": None,
        },
    )
    ids = random_ids(model.config, 2, 77)
    assert_close(exported.module()(ids, output_evidence=True).logits, model(ids).logits)
