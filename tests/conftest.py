"""Tiny models and a word-level tokenizer, made from configs: no network, no files."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_anchornet import AnchorNetTextConfig, AnchorNetTextForSequenceClassification

VOCABULARY = ["[PAD]", "[UNK]", "good", "bad", "film", "the", "a", "was", "not", ".", ",", "café"]


@pytest.fixture(autouse=True)
def _same_seed_everywhere() -> None:
    torch.manual_seed(0)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over a dozen words and all ASCII letters; no special tokens around a text."""
    letters = [prefix + chr(code) for code in range(97, 123) for prefix in ("", "##")]
    vocabulary = {token: index for index, token in enumerate([*VOCABULARY, *letters])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", model_max_length=10**30
    )


@pytest.fixture
def config() -> AnchorNetTextConfig:
    """Windows of 1, 3, 5 and 9 tokens, width 16, labels negative and positive."""
    return AnchorNetTextConfig(
        vocab_size=80,
        embedding_size=8,
        hidden_size=16,
        kernel_sizes=[3, 3, 3],
        dilations=[1, 1, 2],
        initializer_range=0.5,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )


@pytest.fixture
def model(config: AnchorNetTextConfig) -> AnchorNetTextForSequenceClassification:
    """A random classifier in evaluation mode."""
    return AnchorNetTextForSequenceClassification(config).eval()


def planted_model(tokenizer: PreTrainedTokenizerFast) -> AnchorNetTextForSequenceClassification:
    """A one-token localizer for which "good" is positive, "bad" negative, and nothing else counts."""
    config = AnchorNetTextConfig(
        vocab_size=len(tokenizer),
        embedding_size=4,
        hidden_size=4,
        kernel_sizes=[],
        hidden_act="relu",
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )
    model = AnchorNetTextForSequenceClassification(config).eval()
    ids = tokenizer.convert_tokens_to_ids(["good", "bad"])
    with torch.no_grad():
        model.anchornet.embeddings.weight.zero_()
        model.anchornet.embeddings.weight[ids[0], 0] = 4.0
        model.anchornet.embeddings.weight[ids[1], 1] = 4.0
        model.anchornet.projection.weight.copy_(torch.eye(4))
        model.aggregation.heads[0].weight.copy_(
            torch.tensor([[-3.0, 3.0, 0.0, 0.0], [3.0, -3.0, 0.0, 0.0]])
        )
    return model
