"""Cuts of a text: parts with the words and tokens of the whole, for tokenizers of any kind."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hf_anchornet.model.text_cuts import cut_text
from hf_anchornet.model.text_words import Words, encodable

PIECES = [
    *("good", "café", "cafe\u0301", "it's", "7,5", "\u7535\u5f71", "\U0001f1e9\U0001f1ea"),
    *(" ", " ", " ", "  ", "\n", "\n\n", "\t", ".", "...", "(", "\u0e44\u0e17\u0e22", "\ud800"),
]
CORPUS = ["good film, it's not bad.", "the café was 7,5 good\n\nbad  bad", "a b c d e f g h"] * 3


def train_byte_bpe():
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def train_unigram():
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>", show_progress=False)
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def train_word_piece():
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=["[UNK]"], show_progress=False
    )
    inner.train_from_iterator(CORPUS, trainer)
    return inner


@pytest.fixture(scope="module", params=[train_byte_bpe, train_unigram, train_word_piece])
def tokenize(request):
    """Token ids of several texts, by a tokenizer of one of the usual kinds."""
    inner = request.param()
    return lambda texts: [inner.encode(encodable(text)).ids for text in texts]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.integers(1, 40))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_parts_have_the_words_and_tokens_of_the_whole(tokenize, text, size):
    bounds = cut_text(text, size, tokenize)
    parts = [text[start:end] for start, end in pairwise(bounds)]
    assert "".join(parts) == text
    assert all(len(part) >= size for part in parts[:-1])
    assert [token for part in tokenize(parts) for token in part] == tokenize([text])[0]
    words = [w + start for part, start in zip(parts, bounds, strict=False) for w in found(part)]
    assert words == found(text)


def found(text):
    return Words.split(text).starts.tolist()


def test_a_text_of_words_is_cut_soon_behind_the_size(tokenize):
    bounds = cut_text("good film " * 500, 100, tokenize)
    assert len(bounds) == 51
    assert max(b - a for a, b in pairwise(bounds)) < 110


@pytest.mark.parametrize("train", [train_byte_bpe, train_word_piece])
def test_a_text_without_spaces_is_cut_between_its_characters(train):
    inner = train()
    text = "\u7535\u5f71\u597d" * 500
    assert len(cut_text(text, 100, lambda texts: [inner.encode(t).ids for t in texts])) == 16


def test_a_word_without_end_is_not_cut(tokenize):
    assert cut_text("a" * 5000, 100, tokenize) == [0, 5000]
    assert cut_text("", 100, tokenize) == [0]
