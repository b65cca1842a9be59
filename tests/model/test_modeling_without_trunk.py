"""A localizer whose n-grams are all that there is: the contract, saving, graphs, pipelines."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.testing import assert_close
from transformers import AutoModel, AutoModelForSequenceClassification

from hf_anchornet import AnchorNetTextConfig, AnchorNetTextForSequenceClassification
from hf_anchornet.explain.refined_evidence import refine_evidence
from hf_anchornet.explain.text_gradients import integrate_tokens
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.backend import OnnxNetwork
from hf_anchornet.model.export_onnx import export_onnx
from hf_anchornet.model.pipeline_anchornet_text import SpanLocalizationPipeline
from hf_anchornet.model.text_localizer import TextLocalizer

TEXTS = ["good bad good bad the film was not good", "a", "", "café good film, the bad good"]


@pytest.fixture
def model(tokenizer):
    """Knows every pair of the first tokens, with random scores."""
    vocab_size = len(tokenizer)
    digits = torch.cartesian_prod(*[torch.arange(1, vocab_size + 1)] * 2)
    config = AnchorNetTextConfig(
        trunk=False,
        vocab_size=vocab_size,
        ngram_sizes=[1, 2],
        ngram_counts=[vocab_size, len(digits)],
        num_labels=3,
    )
    model = AnchorNetTextForSequenceClassification(config).eval()
    model.ngrams.set_codes(1, torch.arange(1, vocab_size + 1))
    model.ngrams.set_codes(2, digits @ torch.tensor([vocab_size + 1, 1]))
    for weight in model.ngrams.parameters():
        weight.requires_grad_(False)[1:] = torch.randn_like(weight[1:])
    torch.nn.init.normal_(model.aggregation.bias)
    return model


@pytest.fixture
def inputs(model):
    ids = torch.randint(2, model.config.vocab_size, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    mask[2, 1:] = 0
    return ids, mask


def test_bias_and_evidence_add_up_to_the_logits(model, inputs):
    output = model(*inputs, output_evidence=True)
    assert [branch.shape[1] for branch in output.evidence] == [9, 8]
    total = output.bias + sum(branch.sum(dim=1) for branch in output.evidence)
    assert_close(output.logits, total, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing(model, inputs):
    ids, mask = inputs
    whole = model(ids, mask).logits
    for row, length in enumerate(mask.sum(dim=1)):
        assert_close(model(ids[row : row + 1, :length]).logits[0], whole[row])


def test_a_glance_is_the_whole_answer(model, inputs):
    assert_close(model.glance(*inputs).logits, model(*inputs).logits)


def test_in_pieces_the_answer_is_that_of_one(model, inputs):
    whole = model(*inputs, output_evidence=True)
    model.config.chunk_size = 3
    pieces = model(*inputs, output_evidence=True)
    for one, other in zip(whole.evidence, pieces.evidence, strict=True):
        assert_close(one, other)


def test_a_saved_model_has_no_other_weights_and_answers_the_same(model, inputs, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert {name.split(".")[0] for name in loaded.state_dict()} == {"ngrams", "aggregation"}
    assert_close(loaded(*inputs).logits, model(*inputs).logits, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"`trunk` must be True .* AutoModelForSequence"):
        AutoModel.from_pretrained(tmp_path)


def test_a_graph_gives_the_same(model, inputs, tmp_path):
    network = OnnxNetwork(export_onnx(model, tmp_path))
    found, expected = (each(*inputs, output_evidence=True) for each in (network, model))
    assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    for one, other in zip(found.evidence, expected.evidence, strict=True):
        assert_close(one[:, : other.shape[1]], other, rtol=1e-4, atol=1e-5)


def test_a_pipeline_shows_its_spans_and_no_product_is_counted(model, tokenizer):
    localize = SpanLocalizationPipeline(model, tokenizer=tokenizer, top_k=2)
    answers = localize(TEXTS)
    assert answers[0]["spans"]
    assert not answers[2]["spans"]
    assert {span["scale"] for answer in answers for span in answer["spans"]} <= {1, 2}
    assert TextLocalizer(model, tokenizer).read(TEXTS).multiply_adds() == [0] * len(TEXTS)


def test_without_ngrams_there_must_be_a_trunk():
    with pytest.raises(StrictDataclassError, match="`ngram_sizes` must name at least one size"):
        AnchorNetTextConfig(trunk=False)


def test_layers_of_a_model_without_a_trunk_are_dropped_by_its_config():
    config = AnchorNetTextConfig(
        trunk=False, kernel_sizes=[3], ngram_sizes=[1], ngram_counts=[2], branch_depths=[0, 1]
    )
    assert config.kernel_sizes == config.branch_depths == config.strides == []
    again = AnchorNetTextConfig.from_dict(config.to_dict())
    assert again.branch_depths == []
    assert AnchorNetTextForSequenceClassification(again).windows[0].size == 1


def test_integrated_gradients_of_a_sum_are_its_evidence(model, tokenizer):
    subject = TextSubject(model, tokenizer)
    read = subject.read(TEXTS[0])
    found = integrate_tokens(subject, read, 1, num_steps=2, batch_size=2)
    assert len(found) == read.ids.shape[1]
    evidence = model(read.ids, output_evidence=True).evidence
    assert_close(torch.tensor(found.sum()), sum(each[0, :, 1].sum() for each in evidence).double())


def test_refined_evidence_of_ngrams_is_shared_evenly(model, tokenizer):
    localizer = TextLocalizer(model, tokenizer)
    (located,) = localizer.read(TEXTS[:1]).locate()
    refined = refine_evidence(localizer, TEXTS[0], 1)
    assert_close(refined, located.attribution[:, 1], rtol=1e-5, atol=1e-6)
