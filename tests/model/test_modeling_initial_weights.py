"""New weights are initial ones: for a head on a trunk, for other labels, for another vocabulary."""

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
)

PLANTED = 77


@pytest.fixture
def planted_memory(monkeypatch):
    """Memory that nobody has written to holds `PLANTED`."""
    for name in ("empty", "empty_like"):
        allocate = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *args, allocate=allocate, **kw: allocate(*args, **kw).fill_(PLANTED)
        )


def random_ids(*shape):
    return torch.randint(2, 80, shape)


def list_stale(state, state_of_old=()):
    """Names of the weights that hold `PLANTED`."""
    return [name for name, value in state.items() if (value == PLANTED).any()]


# No uninitialised memory


@pytest.mark.parametrize("kind", ["text", "image"])
@pytest.mark.usefixtures("planted_memory")
def test_a_head_that_is_new_to_a_trunk_saves_initial_weights_and_no_memory(kind, request, tmp_path):
    model = request.getfixturevalue("model" if kind == "text" else "image_model")
    model.anchornet.save_pretrained(tmp_path / "trunk")
    loaded = type(model).from_pretrained(
        tmp_path / "trunk", num_labels=4, ignore_mismatched_sizes=True
    )
    loaded.save_pretrained(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    assert list_stale(saved) == []
    for name, value in model.anchornet.state_dict().items():
        assert_close(saved[f"anchornet.{name}"], value, rtol=0, atol=0)
    for name, value in saved.items():
        if name.startswith("ngrams.") or name == "aggregation.bias":
            assert not value.any(), name


@pytest.mark.usefixtures("planted_memory")
def test_ngrams_that_are_new_to_a_model_save_no_memory(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    loaded = AnchorNetTextForSequenceClassification.from_pretrained(
        tmp_path / "model",
        ngram_sizes=[1, 2],
        ngram_counts=[30, 60],
        ignore_mismatched_sizes=True,
    )
    assert list_stale(loaded.state_dict()) == []
    assert not loaded.ngrams.codes_1.any()
    assert not loaded.ngrams.codes_2.any()


@pytest.mark.usefixtures("planted_memory")
@pytest.mark.parametrize("squeeze_excite", [False, True])
@pytest.mark.parametrize("gated", [False, True])
def test_weights_that_an_image_checkpoint_lacks_are_initial_ones(
    image_config, tmp_path, squeeze_excite, gated
):
    image_config.squeeze_excite, image_config.gated = squeeze_excite, gated
    model = AnchorNetForImageClassification(image_config)
    state = {"aggregation.bias": model.aggregation.bias}
    model.save_pretrained(tmp_path, state_dict=state)
    loaded = AnchorNetForImageClassification.from_pretrained(tmp_path, ignore_mismatched_sizes=True)
    assert list_stale(loaded.state_dict()) == []
    for name, value in model.named_buffers():
        assert_close(loaded.get_buffer(name), value, rtol=0, atol=0)


# Other labels


@pytest.fixture
def relabelled(model, tmp_path):
    """`model`, loaded with five labels."""
    model.save_pretrained(tmp_path / "two")
    return AnchorNetTextForSequenceClassification.from_pretrained(
        tmp_path / "two", num_labels=5, ignore_mismatched_sizes=True
    )


def test_for_other_labels_ngrams_keep_their_codes_and_score_nothing(model, relabelled):
    assert torch.equal(relabelled.ngrams.codes_2, model.ngrams.codes_2)
    assert relabelled.ngrams.tables[0].weight.shape == (41, 5)
    assert not relabelled.ngrams.tables[0].weight.any()


def test_training_on_other_labels_teaches_known_ngrams_and_no_unknown_one(relabelled):
    model, ids = relabelled.train(), random_ids(16, 200)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        model(ids, labels=torch.arange(16) % 5).loss.backward()
        optimizer.step()
    table = model.ngrams.tables[0].weight
    assert table[1:].any()
    assert not table[0].any()
    with torch.no_grad():
        evidence = model.eval()(torch.full((1, 30), 79), output_evidence=True).evidence[-1]
    assert not evidence.any()


def test_a_checkpoint_whose_unknown_ngrams_have_a_score_answers_as_before(model, tmp_path):
    torch.nn.init.ones_(model.ngrams.tables[0].weight)
    ids = random_ids(2, 20)
    model.save_pretrained(tmp_path)
    loaded = AnchorNetTextForSequenceClassification.from_pretrained(tmp_path)
    assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=0)


# Another vocabulary


@pytest.mark.parametrize("vocab_size", [60, 200])
def test_a_resized_vocabulary_survives_saving(model, tmp_path, vocab_size):
    ids = torch.randint(2, 60, (12, 40))
    before = model(ids, output_evidence=True)
    model.resize_token_embeddings(vocab_size)
    model.save_pretrained(tmp_path)
    loaded = AnchorNetTextForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.vocab_size == vocab_size
    assert before.evidence[-1].any()
    for after in (model(ids, output_evidence=True), loaded(ids, output_evidence=True)):
        assert_close(after.logits, before.logits, rtol=0, atol=0)
        assert_close(after.evidence, before.evidence, rtol=0, atol=0)


def test_a_checkpoint_from_before_the_field_answers_as_before_also_when_resized(model, tmp_path):
    ids = random_ids(12, 40)
    before = model(ids).logits
    model.save_pretrained(tmp_path / "old")
    config = tmp_path / "old" / "config.json"
    lines = config.read_text("utf-8").splitlines()
    config.write_text("\n".join(line for line in lines if "ngram_vocab_size" not in line), "utf-8")
    old = AnchorNetTextForSequenceClassification.from_pretrained(tmp_path / "old")
    assert_close(old(ids).logits, before, rtol=0, atol=0)
    old.resize_token_embeddings(300)
    old.save_pretrained(tmp_path / "new")
    new = AnchorNetTextForSequenceClassification.from_pretrained(tmp_path / "new")
    assert_close(new(ids).logits, before, rtol=0, atol=0)


def test_ngrams_with_a_token_beyond_their_vocabulary_are_unknown(model):
    # In base 81, 81 more in the second place is 1 more in the first: the code of another n-gram.
    first, second = divmod(int(model.ngrams.codes_2[7]), 81)
    model.resize_token_embeddings(200)
    ids = torch.tensor([[first - 1, second - 1, 1], [first - 2, second - 1 + 81, 1]])
    known, beyond = model.ngrams(ids, torch.ones(2, 3).bool())[0][:, 0]
    assert known.any()
    assert not beyond.any()


def test_codes_of_another_vocabulary_are_refused(model):
    message = r"`codes` must be in \[0, 81 \*\* 2\), got 0 to 6561; .* `ngram_vocab_size` 80"
    with pytest.raises(ValueError, match=message):
        model.ngrams.set_codes(2, torch.arange(81**2 + 1)[-40:] * (torch.arange(40) > 0))


def test_the_base_of_ngram_codes_is_a_vocabulary_size_unless_it_is_given():
    assert AnchorNetTextConfig(vocab_size=50).ngram_vocab_size == 50
    assert AnchorNetTextConfig(vocab_size=50, ngram_vocab_size=70).ngram_vocab_size == 70
    with pytest.raises(Exception, match="`ngram_vocab_size` must be at least 1, got 0"):
        AnchorNetTextConfig(ngram_vocab_size=0)
    with pytest.raises(Exception, match="`ngram_sizes` must leave n-gram codes below"):
        AnchorNetTextConfig(ngram_vocab_size=2**40, ngram_sizes=[2], ngram_counts=[1])
