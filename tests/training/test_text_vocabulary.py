"""A localizer's vocabulary: offsets, special tokens, n-grams, first embeddings."""

import subprocess
import sys

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerFast

from hf_anchornet.model.classifier import count_readable_tokens
from hf_anchornet.training.text_vocabulary import (
    count_ngrams,
    embed_vocabulary,
    load_tokenizer,
    train_tokenizer,
)

TEXTS = ["The café was good, naïve and good.", "A bad film! 😀", "good films are films"] * 5


def test_a_trained_tokenizer_tells_where_its_tokens_stand_in_the_original_text():
    tokenizer = train_tokenizer(TEXTS, 200)
    text = "The CAFÉ\r\nwas  cafe\u0301 😀 good!"
    encoded = tokenizer(text, return_offsets_mapping=True)
    pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
    # The mark behind the last letter of a token is no token's; the package widens spans to words.
    assert pieces == ["The", "CAFÉ", "was", "cafe", "😀", "good", "!"]
    assert tokenizer.unk_token_id not in encoded["input_ids"]


def test_a_localizers_tokenizer_adds_no_special_tokens_and_a_classifiers_does():
    ids = train_tokenizer(TEXTS, 200)("good film").input_ids
    tokenizer = train_tokenizer(TEXTS, 200, classifies=True)
    assert len(ids) == 2
    read = tokenizer.convert_ids_to_tokens(tokenizer("good film").input_ids)
    assert read == ["[CLS]", "good", "film", "[SEP]"]
    assert not {"[CLS]", "[SEP]"} & set(train_tokenizer(TEXTS, 200).get_vocab())


def test_pieces_inside_words_are_no_special_tokens():
    tokenizer = train_tokenizer(TEXTS, 200)
    assert set(tokenizer.all_special_tokens) == {"[PAD]", "[UNK]"}
    assert tokenizer.decode(tokenizer("##o").input_ids, skip_special_tokens=True)
    assert tokenizer.convert_ids_to_tokens(tokenizer("##o").input_ids) == ["[UNK]", "[UNK]", "o"]


def test_the_vocabulary_stays_within_its_size_and_has_no_gaps():
    tokenizer = train_tokenizer(TEXTS, 45)
    assert len(tokenizer) == 45
    assert sorted(tokenizer.get_vocab().values()) == list(range(45))


def test_a_trained_tokenizer_survives_saving(tmp_path):
    tokenizer = train_tokenizer(TEXTS, 200, classifies=True)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("The café 😀 good").input_ids == tokenizer("The café 😀 good").input_ids


def test_training_twice_gives_the_same_vocabulary():
    # Many ties: all pairs of letters are about equally frequent.
    code = "import sys; from hf_anchornet.training.text_vocabulary import train_tokenizer; "
    code += "print(sorted(train_tokenizer(sys.argv[1:], 120).get_vocab().items()))"
    texts = [a + b + c for a in "abcd" for b in "efgh" for c in "ijkl"]
    vocabulary = sorted(train_tokenizer(texts, 120).get_vocab().items())
    assert vocabulary == sorted(train_tokenizer(texts, 120).get_vocab().items())
    fresh = subprocess.run(
        [sys.executable, "-c", code, *texts], check=True, capture_output=True, text=True
    )
    assert fresh.stdout.strip() == str(vocabulary)


def test_an_existing_tokenizer_loses_its_special_tokens_and_its_limit(
    classifier_folder, tokenizer, tmp_path
):
    stored = AutoTokenizer.from_pretrained(classifier_folder)
    stored("good", truncation=True, max_length=3)  # saved with the tokenizer from here on
    stored.save_pretrained(tmp_path / "cut")
    loaded = load_tokenizer(str(tmp_path / "cut"))
    assert loaded("good bad " * 100).input_ids == [2, 3] * 100
    assert loaded.pad_token_id == tokenizer.pad_token_id
    assert loaded.num_special_tokens_to_add() == 0


def test_a_tokenizer_without_a_padding_token_is_refused(tmp_path):
    inner = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="must be a fast tokenizer with a padding token, got"):
        load_tokenizer(str(tmp_path))


def test_ngrams_are_counted_within_texts():
    rows = Dataset.from_dict({"input_ids": [[1, 2, 1, 2], [2, 1], [3], []]})
    # Digits are ids + 1 to the base of 10 + 1: (1, 2) twice, (2, 1) twice; no pair across texts.
    assert count_ngrams(rows, 2, 2, 10).tolist() == [2 * 11 + 3, 3 * 11 + 2]
    assert count_ngrams(rows, 2, 3, 10).tolist() == []
    assert count_ngrams(rows, 1, 1, 10).tolist() == [2, 3, 4]
    assert count_ngrams(rows, 1, 3, 10).tolist() == [2, 3]


def test_texts_shorter_than_an_ngram_have_none():
    codes = count_ngrams(Dataset.from_dict({"input_ids": [[1, 2]]}), 3, 1, 10)
    assert codes.shape == (0,)
    assert codes.dtype == torch.long


def test_first_embeddings_are_finite_alike_each_time_and_of_unit_spread(classifier_folder):
    tokenizer = train_tokenizer(TEXTS, 200)
    table = embed_vocabulary(tokenizer, classifier_folder, 12, batch_size=10)
    assert table.shape == (len(tokenizer), 12)
    assert table.dtype == torch.float32
    assert table.isfinite().all()
    torch.testing.assert_close(table.std(), torch.tensor(1.0), atol=1e-4, rtol=0)
    again = embed_vocabulary(tokenizer, classifier_folder, 12, batch_size=1000)
    # A principal direction may come out with either sign.
    torch.testing.assert_close(table.abs(), again.abs(), atol=1e-3, rtol=1e-3)


def test_tokens_that_an_encoder_reads_alike_get_the_same_embedding(classifier_folder):
    tokenizer = train_tokenizer(TEXTS, 200)
    table = embed_vocabulary(tokenizer, classifier_folder, 12)
    inside, alone = tokenizer.convert_tokens_to_ids(["##o", "o"])
    torch.testing.assert_close(table[inside], table[alone], atol=1e-4, rtol=1e-4)


def test_embeddings_wider_than_the_encoder_allows_are_refused(classifier_folder):
    tokenizer = train_tokenizer(TEXTS, 200)
    with pytest.raises(ValueError, match=r"`size` must be at most 48, .*, got 49; lower `hidden_s"):
        embed_vocabulary(tokenizer, classifier_folder, 49)


def test_pieces_of_a_byte_level_tokenizer_are_read_as_text(classifier_folder):
    vocabulary = {"[PAD]": 0, "Ġgood": 1, "good": 2}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel()
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]")
    table = embed_vocabulary(tokenizer, classifier_folder, 2)
    torch.testing.assert_close(table[1], table[2])


def test_a_classifier_reads_no_more_than_its_positions_and_its_tokenizer_allow(
    classifier_folder, planted
):
    model, tokenizer = (
        BertModel.from_pretrained(classifier_folder),
        AutoTokenizer.from_pretrained(classifier_folder),
    )
    assert count_readable_tokens(model, tokenizer) == 128
    assert count_readable_tokens(model, tokenizer, at_most=64) == 64
    assert count_readable_tokens(planted, tokenizer, at_most=512) == 512
    tokenizer.model_max_length = 32
    assert count_readable_tokens(model, tokenizer) == 32
