"""The answer of the n-gram branches alone: the terms that they add in `forward`, and no trunk."""

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet import AnchorNetTextForSequenceClassification
from hf_anchornet.model.text_localizer import TextLocalizer

TEXTS = ["good bad good bad the film was not good", "a", "", "café good film, the bad good"]


@pytest.fixture
def inputs():
    """The n-grams that `model` knows end in token 2."""
    ids = torch.randint(2, 42, (3, 12))
    ids[:, 1::3] = 2
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    mask[2, 1:] = 0
    return ids * mask, mask


@pytest.fixture(params=[1, 2, 40], ids=lambda count: f"{count} known")
def localizer(request, model, tokenizer):
    """Of the n-grams of texts some are known."""
    known = torch.randperm(1600)[: request.param]
    pairs = torch.cartesian_prod(torch.arange(2, 42), torch.arange(2, 42))[known] + 1
    codes = pairs @ torch.tensor([model.config.vocab_size + 1, 1])
    model.ngrams.set_codes(2, codes[torch.arange(40) % len(codes)])
    return TextLocalizer(model, tokenizer)


def test_bias_and_evidence_add_up_to_the_logits(model, inputs):
    output = model.glance(*inputs)
    assert any(branch.any() for branch in output.evidence)
    total = output.bias + sum(branch.sum(dim=1) for branch in output.evidence)
    assert_close(output.logits, total, rtol=1e-5, atol=1e-6)


def test_evidence_is_that_of_the_ngram_branches_in_forward(model, inputs):
    glance, whole = model.glance(*inputs), model(*inputs, output_evidence=True)
    count = len(model.ngram_windows)
    assert [window.size for window in model.ngram_windows] == model.config.ngram_sizes == [2]
    assert_close(glance.bias, whole.bias, rtol=0, atol=0)
    for name in ("evidence", "masks"):
        assert len(glance[name]) == count
        for alone, together in zip(glance[name], whole[name][-count:], strict=True):
            assert_close(alone, together, rtol=0, atol=0)


def test_the_trunk_adds_the_rest(model, inputs):
    glance, whole = model.glance(*inputs), model(*inputs, output_evidence=True)
    trunk = whole.evidence[: -len(model.ngram_windows)]
    assert_close(glance.logits + sum(branch.sum(dim=1) for branch in trunk), whole.logits)


def test_the_trunk_does_not_run(model, inputs):
    model.anchornet = None
    assert model.glance(*inputs).logits.isfinite().all()


def test_padding_and_neighbours_change_nothing(model, inputs):
    ids, mask = inputs
    together = model.glance(ids, mask)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        alone = model.glance(ids[row : row + 1, :length])
        assert_close(together.logits[row], alone.logits[0])
    flipped = model.glance(ids.flip(0), mask.flip(0))
    assert_close(flipped.logits.flip(0), together.logits)
    left = model.glance(ids.roll(5, dims=1)[1:2], mask.roll(5, dims=1)[1:2])
    assert_close(left.logits[0], together.logits[1])


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_texts_may_be_shorter_than_a_window(model, length):
    ids = torch.full((1, length), 3)
    glance, whole = model.glance(ids), model(ids, output_evidence=True)
    assert_close(glance.evidence[0], whole.evidence[-1])


def test_a_long_text_is_the_same_in_one_piece(model):
    ids = torch.randint(2, 42, (1, 300))
    model.config.chunk_size = 64
    assert_close(model.glance(ids).evidence[0], model(ids, output_evidence=True).evidence[-1])


def test_in_half_precision_evidence_is_float32(model, inputs):
    assert model.to(torch.bfloat16).glance(*inputs).evidence[0].dtype == torch.float32


def test_a_model_without_ngrams_cannot_glance(config, inputs):
    config.ngram_sizes, config.ngram_counts = [], []
    model = AnchorNetTextForSequenceClassification(config).eval()
    assert model.ngram_windows == ()
    with pytest.raises(ValueError, match="`ngram_sizes` must name at least one size for a glance"):
        model.glance(*inputs)


# In a batch of texts


def glance(localizer, texts):
    encoded = localizer.tokenize(texts)
    return localizer.glance_tokens(texts, encoded["input_ids"], encoded["offset_mapping"])


def test_the_words_of_a_glance_carry_its_logits(localizer):
    batch = glance(localizer, TEXTS)
    assert batch.windows == localizer.ngram_windows
    bias = localizer.model.aggregation.bias
    for located, logits in zip(batch.locate(), batch.logits, strict=True):
        centred = (logits - bias) - (logits - bias).mean()
        assert_close(torch.from_numpy(located.attribution.sum(axis=0)).float(), centred)


def test_rows_that_are_deepened_are_those_of_a_batch_read_at_once(localizer):
    batch, expected = glance(localizer, TEXTS), localizer.read([TEXTS[3], TEXTS[1]])
    deep = batch.deepen([3, 1])
    assert deep.texts == [TEXTS[3], TEXTS[1]]
    assert_close(deep.logits, expected.logits)
    assert deep.multiply_adds() == expected.multiply_adds()
    assert batch.multiply_adds() == [0] * 4


def test_deepened_rows_are_not_tokenized_again(localizer, monkeypatch):
    batch = glance(localizer, TEXTS)
    monkeypatch.setattr(localizer, "tokenizer", None)
    assert len(batch.deepen([0]).logits) == 1


def test_a_split_batch_holds_each_row_once_where_it_was_answered_last(localizer):
    batch = glance(localizer, TEXTS)
    ((rows, whole),) = batch.split()
    assert (list(rows), whole) == ([0, 1, 2, 3], batch)
    deep = batch.deepen([3, 1])
    (first, last) = batch.split()
    assert first == ([3, 1], deep)
    assert last[0] == [0, 2]
    assert last[1].texts == [TEXTS[0], TEXTS[2]]
    for part, row in zip(last[1].locate(), (0, 2), strict=True):
        assert (part.attribution == batch.locate([row])[0].attribution).all()
